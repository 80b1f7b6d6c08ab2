"""Two producers at once, and a node that is killed half way and started again."""
import json
import os
import re
import struct
import subprocess
import time

from harness import paths, wire
from harness.oracle import java_command
from harness.process import die_with_parent, tail, wait_until

SUMMARY = re.compile(r"^(\d+) records, (?:.*; (\d+) batches sent again)?")
JAVA_FLAGS = ["-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]


class Producer:
    """A child process that produces a file of keyed lines (or its stdin, as /dev/stdin)."""

    def __init__(self, name, argv, directory, stdin=subprocess.DEVNULL):
        self.name = name
        self.out = directory / f"{name}.out"
        self.err = directory / f"{name}.err"
        self.begun = time.monotonic()
        self.seconds = None
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [str(a) for a in argv], stdin=stdin, stdout=out, stderr=err,
                preexec_fn=die_with_parent)

    def running(self):
        """False once it has ended well. Raises if it has failed."""
        code = self.process.poll()
        if code is None:
            return True
        if self.seconds is None:
            self.seconds = time.monotonic() - self.begun
        assert code == 0, f"{self.name} ended with {code}\n{tail(self.err, 20)}"
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()


def odradek(node, topic, file, directory, *options, **stdin):
    return Producer("odradek", [
        paths.odradek_binary(), "produce", topic, "--bootstrap-server", node.bootstrap, "--file", file,
        "--key-separator", "\t", *options], directory, **stdin)


def java(node, topic, file, directory, **stdin):
    argv = java_command("compat.LineProducer", node.bootstrap, topic, str(file), flags=JAVA_FLAGS)
    return Producer("java", argv, directory, **stdin)


PRODUCERS = {"odradek": odradek, "java": java}


def told(producer):
    """(records acknowledged, what was sent again) as the producer says."""
    text = producer.out.read_text()
    if producer.name == "java":
        answer = json.loads(text)
        return answer["records"], f"{answer['retries']} records"
    records, retries = SUMMARY.match(text).groups()
    return int(records), f"{retries or 0} batches"


class Ends:
    """How many records of a topic consumers may see.

    Asked by hand: librdkafka's admin client keeps the leaders' epochs over a restart, is refused
    (by Kafka, too) and waits.
    """

    LIST_OFFSETS, VERSION, LATEST, NOT_LEADER = 2, 1, -1, 6

    def __init__(self, addresses, topic, partitions):
        self.addresses = addresses
        self.partitions = partitions
        wanted = b"".join(struct.pack(">iq", p, self.LATEST) for p in range(partitions))
        self.request = struct.pack(">ii", -1, 1) + wire.string(topic) + struct.pack(">i", partitions) + wanted
        self.behind_name = 4 + 2 + len(topic.encode())
        self.connections = {}

    def total(self):
        """None unless every partition answers. Waits for those that are being recovered."""
        found = {}
        for address in self.addresses:
            try:
                if address not in self.connections:
                    self.connections[address] = wire.Connection(address, timeout_s=60)
                answer = self.connections[address].call(self.LIST_OFFSETS, self.VERSION, self.request)
            except OSError:
                self.connections.pop(address, None)
                return None
            for row in struct.iter_unpack(">ihqq", answer[self.behind_name + 4:]):
                partition, error, _time, offset = row
                assert error in (0, self.NOT_LEADER), f"partition {partition}: error {error}"
                if error == 0:
                    found[partition] = offset
        return sum(found.values()) if len(found) == self.partitions else None


def cpu_seconds(pid):
    """User and system time of all threads of a process."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def through_a_kill(node, topic, partitions, parts, directory, timeout_s=300.0):
    """Produces every part ({producer: (file, records)}) at once, kills the node with SIGKILL as soon
    as half of all records can be read, starts it again, and waits until the producers have ended.
    The first part's producer has records in the log before the others start: one may be slow to
    start. Returns what was seen. Raises if a producer fails, or was done before the kill."""
    wanted = sum(records for _file, records in parts.values())
    ends = Ends(node.broker_addresses, topic, partitions)
    producers = []
    try:
        begun = time.monotonic()
        for name, (file, _records) in parts.items():
            producers.append(PRODUCERS[name](node, topic, file, directory))
            wait_until("records flow", lambda: not producers[0].running() or ends.total(), 60, interval_s=0.01)

        def half():
            early = [p.name for p in producers if not p.running()]
            assert not early, f"done before half of all was in the log: {early}"
            total = ends.total() or 0
            return total if 2 * total >= wanted else None

        at_kill = wait_until("half of the records are in the log", half, timeout_s, interval_s=0.01)
        cpu = cpu_seconds(node.daemon.pid)
        killed = time.monotonic()
        node.kill()
        assert all(p.running() for p in producers), "a producer was done before the kill"
        started = time.monotonic()
        node.start(timeout_s=60)
        ready = time.monotonic()
        found = wait_until("the partitions answer", ends.total, 60, interval_s=0.005)
        assert found >= at_kill, f"{at_kill} records could be read before the kill, {found} after it"
        answering = time.monotonic()
        wait_until("records flow again", lambda: (ends.total() or 0) > found, 60, interval_s=0.005)
        flowing = time.monotonic()
        wait_until("the producers are done", lambda: not [p for p in producers if p.running()], timeout_s, 0.02)
        ended = time.monotonic()
        cpu += cpu_seconds(node.daemon.pid)
    finally:
        for producer in producers:
            producer.kill()
    report = {
        "records": wanted,
        "seconds": ended - begun,
        "node_cpu_seconds": cpu,
        "kill": {
            "after_seconds": killed - begun,
            "records_visible_before": at_kill,
            "records_visible_after": found,
            "restart_to_ready_seconds": ready - started,
            "kill_to_ready_seconds": ready - killed,
            "kill_to_all_partitions_seconds": answering - killed,
            "kill_to_new_records_seconds": flowing - killed,
        },
        "producers": {},
    }
    for producer in producers:
        records, sent_again = told(producer)
        expected = parts[producer.name][1]
        assert records == expected, f"{producer.name} counts {records} acknowledged of {expected}"
        report["producers"][producer.name] = {
            "records": records, "seconds": producer.seconds, "sent_again": sent_again}
    return report
