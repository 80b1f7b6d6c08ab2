"""A kill between two producers written independently, with real text: `odradek produce` and Kafka's
Java producer, keyed; all of it comes back once, in each key's order, and in the same place whoever
reads. tools/real-input does the same with a gigabyte of logs."""
import contextlib
import pathlib
import re
import subprocess
import sysconfig
import threading

from harness import paths, topics
from harness.process import wait_until
from harness.tests import Skip, test

PARTITIONS = 6
BYTES_MAX = 12 << 20


def _source_text():
    """Python's own library, as (key, line): a file's name and each of its lines."""
    size = 0
    for file in sorted(pathlib.Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        key = file.stem.encode()
        for line in file.read_bytes().split(b"\n"):
            yield key, line
            size += len(line)
        if size > BYTES_MAX:
            return


def _need_odradek():
    if not paths.odradek_binary().exists():
        raise Skip(f"no {paths.odradek_binary()}")


@test(needs=["python", "java"], limit_s=150)
def kill_9_between_odradek_and_java(env):
    from real_input import load, readback
    from real_input.checksums import Keys, partition_of_key

    _need_odradek()
    # Every other key goes to the other: a key's order is one producer's.
    owner, lines, sent = {}, {"java": [], "odradek": []}, Keys()
    for key, line in _source_text():
        name = owner.setdefault(key, sorted(lines)[len(owner) % 2])
        lines[name].append(key + b"\t" + line + b"\n")
        sent.add(key, line)

    node, topic = env.own_node(), env.name()
    topics.create(node.bootstrap, topic, PARTITIONS)
    ends = load.Ends(node.broker_addresses, topic, PARTITIONS)
    restarted = threading.Event()
    producers = [
        load.PRODUCERS[name](node, topic, "/dev/stdin", env.directory, stdin=subprocess.PIPE) for name in lines]

    def feed(producer):
        # The last part only once the node is back: so the kill comes before the end, however
        # quick the machine.
        part = lines[producer.name]
        early = len(part) * 2 // 3
        with producer.process.stdin as stdin:
            stdin.write(b"".join(part[:early]))
            restarted.wait(100)
            stdin.write(b"".join(part[early:]))

    feeders = [threading.Thread(target=feed, args=(p,), daemon=True) for p in producers]
    try:
        for feeder in feeders:
            feeder.start()
        wait_until("a third is in the log", lambda: 3 * (ends.total() or 0) >= sent.records, 60, interval_s=0.01)
        node.kill()
        assert all(p.running() for p in producers)
        node.start()
        restarted.set()
        wait_until("the producers are done", lambda: not [p for p in producers if p.running()], 90)
    finally:
        for producer in producers:
            producer.kill()
    for producer in producers:
        records, _sent_again = load.told(producer)
        assert records == len(lines[producer.name]), f"{producer.name} counts {records} acknowledged"
    results = readback.by_all(node, topic, PARTITIONS, 60.0)
    readback.compare(sent.table(), results, PARTITIONS, partition_of_key)


@test(needs=["python"], limit_s=90)
def odradek_produce_gives_up_in_time_and_says_how_far_it_got(env):
    from real_input import load

    _need_odradek()
    node, topic = env.own_node(), env.name()
    topics.create(node.bootstrap, topic, PARTITIONS)
    ends = load.Ends(node.broker_addresses, topic, PARTITIONS)
    lines = b"".join(b"key %d\tvalue\n" % i for i in range(500))
    producer = load.odradek(
        node, topic, "/dev/stdin", env.directory, "--delivery-timeout-ms", "1500", "--in-flight", "1",
        stdin=subprocess.PIPE)
    try:
        stdin = producer.process.stdin
        for wanted in (500, 1000):
            stdin.write(lines)
            stdin.flush()
            wait_until("they are in the log", lambda wanted=wanted: ends.total() == wanted)
        node.kill()
        with contextlib.suppress(BrokenPipeError), stdin:
            stdin.write(lines)
        assert producer.process.wait(30) == 1
    finally:
        producer.kill()
    said = producer.err.read_text()
    got = re.search(rf"^odradek: (\d+) records were produced, then: .*producing to {topic}: gave up after", said)
    # The last answer may have died with the node; the one before came before the last request.
    assert got and 500 <= int(got[1]) <= 1000, said
    node.start()
    wait_until("they are there again", lambda: ends.total() == 1000)


@test(needs=["python"])
def the_comparison_sees_a_record_lost_doubled_moved_or_changed(env):
    from real_input.checksums import Keys, Partitions, partition_of_key
    from real_input.readback import compare

    records = [(b"key %d" % (i % 7), b"value %d" % i) for i in range(50)]

    def keys(rows):
        table = Keys()
        for key, value in rows:
            table.add(key, value)
        return table.table()

    def read(rows, place=lambda key: partition_of_key(key, 2)):
        partitions, ends = Partitions(2), [0, 0]
        for key, value in rows:
            at = place(key)
            partitions.add(at, ends[at], 0, key, value)
            ends[at] += 1
        return keys(rows), partitions.table(), 0.0

    def differs(ours, theirs):
        try:
            compare(keys(records), {"ours": ours, "theirs": theirs}, 2, partition_of_key)
        except AssertionError:
            return True
        return False

    good = read(records)
    assert not differs(good, good)
    swapped = [*records[:3], records[10], *records[4:10], records[3], *records[11:]]
    assert records[3][0] == records[10][0]
    for wrong in (
        records[:-1], records + records[-1:], swapped, [*records[:-1], (records[-1][0], b"value  9")],
        [*records[:-1], (b"other", records[-1][1])]):
        assert differs(read(wrong), read(wrong)), wrong
    assert differs(read(records, lambda _key: 0), read(records, lambda _key: 0)), "a key's place"
    # Another order of keys: right for each client alone, but not what the other one read.
    other = sorted(records, key=lambda row: row[0])
    assert not differs(read(other), read(other)) and differs(good, read(other))
