"""No reply to acks=all leaves before its records are durable: by the kernel's own trace.

A client sends produce requests, each with a batch for every one of some partitions, and waits for
each reply. Meanwhile the kernel records what the node has done: writes to the partitions' files,
flushes of the device, and sends on sockets. Between two replies the trace must show, for every
partition and before the second reply was sent, that all bytes of its batch were covered by a write
with DSYNC that completed, or by a write that completed before an fsync began that succeeded; and
within each of these, that the device completed a flush, or a write with FUA.

Needs root and tracefs, and a file system of which the kernel tells enough: ext4.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import struct
import sys
import tempfile

from harness import frames, paths
from harness.node import Odradek
from harness.process import wait_until
from harness.wire import Connection, string

TRACING = pathlib.Path("/sys/kernel/tracing")
EVENTS = ["iomap/iomap_dio_rw_begin", "iomap/iomap_dio_complete", "ext4/ext4_da_write_begin", "ext4/ext4_da_write_end",
          "ext4/ext4_write_begin", "ext4/ext4_write_end", "ext4/ext4_sync_file_enter", "ext4/ext4_sync_file_exit",
          "block/block_rq_complete", "sock/sock_send_length", "io_uring/io_uring_complete"]
LINE = re.compile(r"^\s*(?P<task>.+)-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+(?P<time>[\d.]+): (?P<event>\w+): (?P<rest>.*)$")
TOPIC = "durable"
VALUE_BYTES = 3000
UNKNOWN_TOPIC_OR_PARTITION = 3


class Missing(Exception):
    """Why it cannot be done here."""


class Trace:
    """An instance of its own of the kernel's tracer."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Missing("it needs root, to read the kernel's trace")
        if not (TRACING / "events").is_dir():
            raise Missing(f"tracefs is not mounted: mount -t tracefs nodev {TRACING}")
        lacking = [event for event in EVENTS if not (TRACING / "events" / event).is_dir()]
        if lacking:
            raise Missing(f"this kernel has no events {', '.join(lacking)}")
        self.path = TRACING / "instances" / f"odradek-{os.getpid()}"
        self.path.mkdir()
        self.write("buffer_size_kb", "16384")
        # One order over all CPUs.
        self.write("trace_clock", "mono")
        for event in EVENTS:
            self.write(f"events/{event}/enable", "1")

    def write(self, name, text):
        (self.path / name).write_text(text)

    def lines(self):
        """All that was recorded, in order of time."""
        self.write("tracing_on", "0")
        for stats in self.path.glob("per_cpu/*/stats"):
            lost = re.search(r"^overrun: (\d+)$", stats.read_text(), re.MULTILINE)
            assert lost and lost[1] == "0", f"the trace has lost events: {stats}: {lost and lost[0]}"
        return (self.path / "trace").read_text(errors="replace").splitlines()

    def close(self):
        self.path.rmdir()


def produce(connection, partitions, number):
    """One batch for each partition, one reply: bytes of a batch, or None if a partition is not there yet."""
    # The node looks at a batch's header and CRC, not into it.
    batch = frames.batch(payload=struct.pack(">i", number) * (VALUE_BYTES // 4), count=1)
    body = struct.pack(">hhii", -1, -1, 30_000, 1) + string(TOPIC) + struct.pack(">i", partitions)
    for index in range(partitions):
        body += struct.pack(">ii", index, len(batch)) + batch
    answer = connection.call(0, 3, body)
    at = 4 + 2 + len(TOPIC) + 4
    for _ in range(partitions):
        _, error, offset = struct.unpack_from(">ihq", answer, at)
        if error == UNKNOWN_TOPIC_OR_PARTITION and number == 0:
            return None
        assert (error, offset) == (0, number), f"error {error} at offset {offset}"
        at += 4 + 2 + 8 + 8
    return len(batch)


class Proof:
    """Replays the trace: what of each file is durable when a reply goes."""

    def __init__(self, files, batch_bytes, process):
        self.files = files  # inode -> partition
        self.batch_bytes = batch_bytes
        self.threads = {int(task) for task in os.listdir(f"/proc/{process}/task")}
        self.flushes = 0  # of the device, completed
        self.begun = {}  # (inode, position) -> flushes when a DSYNC write began
        self.written = {inode: [] for inode in files}  # ranges that only a flush makes durable
        self.syncing = {}  # (pid, inode) -> (ranges, flushes) when an fsync began
        self.durable = {inode: [] for inode in files}
        self.counts = dict.fromkeys(
            ["replies", "dsync_writes", "plain_writes", "fsyncs", "device_flushes", "io_uring_completions"], 0)
        self.wrong = []

    def read(self, line):
        match = LINE.match(line)
        if not match:
            return
        handler = getattr(self, match["event"], None)
        if handler is not None:
            fields = dict(re.findall(r"(\w+) (0x[0-9a-f]+|-?\d+|[A-Z|]+)", match["rest"]))
            handler(int(match["pid"]), fields, match["rest"])

    def inode(self, fields):
        inode = int(fields.get("ino", "0"), 0)
        return inode if inode in self.files else None

    def block_rq_complete(self, _pid, _fields, rest):
        flags = rest.split()[1]
        if "F" in flags and rest.rstrip().endswith("[0]"):
            self.flushes += 1
            self.counts["device_flushes"] += 1

    def io_uring_complete(self, _pid, _fields, _rest):
        self.counts["io_uring_completions"] += 1

    def iomap_dio_rw_begin(self, _pid, fields, rest):
        inode = self.inode(fields)
        if inode and "WRITE" in rest and "DSYNC" in rest:
            self.begun[inode, int(fields["offset"], 0)] = self.flushes

    def iomap_dio_complete(self, _pid, fields, rest):
        inode = self.inode(fields)
        if not inode or "WRITE" not in rest:
            return
        ret = int(fields["ret"])
        if ret <= 0:
            self.wrong.append(f"a write failed: {rest}")
            return
        # The position has moved on by what was written.
        end = int(fields["offset"], 0)
        begin = end - ret
        if "DSYNC" not in rest:
            self.counts["plain_writes"] += 1
            self.written[inode].append((begin, end))
            return
        self.counts["dsync_writes"] += 1
        before = self.begun.pop((inode, begin), None)
        if before is None or before == self.flushes:
            self.wrong.append(f"a write with DSYNC completed without a flush of the device: {rest}")
        self.durable[inode].append((begin, end))

    def ext4_da_write_begin(self, _pid, fields, _rest):
        inode = self.inode(fields)
        if inode:
            self.counts["plain_writes"] += 1

    ext4_write_begin = ext4_da_write_begin

    def ext4_da_write_end(self, _pid, fields, _rest):
        inode = self.inode(fields)
        if inode:
            begin = int(fields["pos"])
            self.written[inode].append((begin, begin + int(fields["copied"])))

    ext4_write_end = ext4_da_write_end

    def ext4_sync_file_enter(self, pid, fields, _rest):
        inode = self.inode(fields)
        if inode:
            self.syncing[pid, inode] = (list(self.written[inode]), self.flushes)

    def ext4_sync_file_exit(self, pid, fields, rest):
        inode = self.inode(fields)
        if not inode:
            return
        ranges, before = self.syncing.pop((pid, inode), ([], 0))
        if int(fields["ret"]) != 0:
            self.wrong.append(f"an fsync failed: {rest}")
            return
        self.counts["fsyncs"] += 1
        if ranges and before == self.flushes:
            self.wrong.append(f"an fsync ended without a flush of the device: {rest}")
        self.durable[inode] += ranges
        self.written[inode] = [one for one in self.written[inode] if one not in ranges]

    def sock_send_length(self, pid, _fields, rest):
        sent = re.search(r"length = (\d+)", rest)
        if pid not in self.threads or not sent or sent[1] == "0":
            return
        number = self.counts["replies"]
        self.counts["replies"] += 1
        wanted = (number * self.batch_bytes, (number + 1) * self.batch_bytes)
        for inode, partition in self.files.items():
            if not covered(self.durable[inode], wanted):
                self.wrong.append(f"reply {number}: bytes {wanted} of partition {partition} were not durable")
        # What came before has been asked about.
        for inode in self.files:
            self.durable[inode] = [one for one in self.durable[inode] if one[1] > wanted[1]][-64:] + [(0, wanted[1])]


def covered(ranges, wanted):
    at = wanted[0]
    for begin, end in sorted(ranges):
        if begin <= at < end:
            at = end
    return at >= wanted[1]


def prove(strategy, args, home):
    settings = {"log.write.strategy": strategy, "num.partitions": str(args.partitions), "offsets.topic.num.partitions": "1",
                **dict(one.split("=", 1) for one in args.set)}
    node = Odradek(home / strategy, settings=settings, shards=1).start()
    trace = None
    try:
        address = node.broker_addresses[0]
        with Connection(address) as connection:
            # Metadata makes the topic, the first request its files.
            connection.call(3, 4, struct.pack(">i", 1) + string(TOPIC) + b"\1")
            batch_bytes = wait_until("the topic is there", lambda: produce(connection, args.partitions, 0))
            files = {}
            for index in range(args.partitions):
                path = node.log_dir / f"{TOPIC}-{index}" / "00000000000000000000.log"
                files[path.stat().st_ino] = index
            trace = Trace()
            for number in range(1, args.requests + 1):
                produce(connection, args.partitions, number)
            lines = trace.lines()
        proof = Proof(files, batch_bytes, node.daemon.pid)
        # The first one was not traced.
        proof.durable = {inode: [(0, batch_bytes)] for inode in files}
        proof.batch_bytes = batch_bytes
        proof.counts["replies"] = 1
        for line in lines:
            proof.read(line)
        proof.counts["replies"] -= 1
        if args.keep:
            (home / f"{strategy}.trace").write_text("\n".join(lines))
        return proof
    finally:
        if trace is not None:
            trace.close()
        node.kill()


def main():
    parser = argparse.ArgumentParser(
        prog="tools/faults/run durability", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--strategy", action="append", help="log.write.strategy (default: direct and buffered)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="a setting of the node; durable.acks.all=false shows that too early replies are noticed")
    parser.add_argument("--keep", action="store_true", help="keep the trace, and say where")
    args = parser.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(prefix="durability-", dir=paths.ROOT / "target"))
    wrong = 0
    try:
        for strategy in args.strategy or ["direct", "buffered"]:
            proof = prove(strategy, args, home)
            counts = proof.counts
            if counts["replies"] != args.requests:
                proof.wrong.append(f"{counts['replies']} replies in the trace, {args.requests} requests")
            print(json.dumps({"strategy": strategy, "partitions": args.partitions, **counts, "wrong": len(proof.wrong)}))
            for line in proof.wrong[:10]:
                print(f"WRONG: {line}")
            wrong += len(proof.wrong)
    except Missing as why:
        print(f"tools/faults/run durability: {why}", file=sys.stderr)
        return 2
    finally:
        if args.keep:
            print(f"traces and logs: {home}", file=sys.stderr)
        else:
            shutil.rmtree(home, ignore_errors=True)
    if wrong == 0:
        print("no reply left before all of its records were durable")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
