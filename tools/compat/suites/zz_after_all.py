"""Last: what all the other suites left in the shared node stops, dumps and starts again."""
import struct
from bisect import bisect_left

from harness import wire
from harness.process import wait_until
from harness.tests import test

from . import dump_log

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec
except ImportError:
    pass  # every test here says that it needs it


# Of a batch's attributes.
CONTROL = 0x20


def _ends(node):
    """{(topic, partition): (log start offset, log end offset)} of all topics but the internal
    ones (coordinators write to those when they please), once all answer: a node that has just
    started may still be loading some."""
    def answered():
        try:
            return _ask_ends(node)
        except KafkaException as e:
            if not e.args[0].retriable() and e.args[0].code() != KafkaError.UNKNOWN_LEADER_EPOCH:
                raise
            return None

    return wait_until("all partitions tell their offsets", answered)


def _groups(client):
    return {g.group_id for g in client.list_consumer_groups().result(20).valid}


def _ask_ends(node):
    client = AdminClient({"bootstrap.servers": node.bootstrap})
    topics = client.list_topics(timeout=20).topics
    partitions = [TopicPartition(t, p) for t, m in topics.items() if not t.startswith("__") for p in m.partitions]
    if not partitions:
        return {}
    first = client.list_offsets({p: OffsetSpec.earliest() for p in partitions})
    last = client.list_offsets({p: OffsetSpec.latest() for p in partitions})
    return {(p.topic, p.partition): (first[p].result(20).offset, last[p].result(20).offset) for p in partitions}


@test(needs=["python", "java"], limit_s=180)
def everything_survives_a_clean_restart(env):
    node = env.shared_node()
    before = _ends(node)
    client = AdminClient({"bootstrap.servers": node.bootstrap})
    groups = _groups(client)
    assert node.stop() == 0, "exit code after SIGTERM"

    files = [f for f in node.log_dir.rglob("*.log") if f.stat().st_size and "-delete" not in str(f)]
    for start in range(0, len(files), 20):
        dump_log.dump(env, "--deep-iteration", "--files", ",".join(map(str, files[start:start + 20])))

    node.start()
    after = _ends(node)
    changed = {p: (before.get(p), after.get(p)) for p in {*before, *after} if before.get(p) != after.get(p)}
    assert not changed, changed
    client = AdminClient({"bootstrap.servers": node.bootstrap})
    # Coordinators load one after the other.
    wait_until("all groups are back", lambda: _groups(client) == groups)
    assert wire.api_versions(node.bootstrap)


def _batches(node, topic, index):
    """(first offset, last offset, records) of each batch of data in a partition's files: transactions
    leave markers, which nobody is given, and compaction leaves fewer records than offsets."""
    for path in sorted((node.log_dir / f"{topic}-{index}").glob("*.log")):
        data, at = path.read_bytes(), 0
        while at + 61 <= len(data):
            base, length = struct.unpack_from(">qi", data, at)
            attributes, delta = struct.unpack_from(">hi", data, at + 21)
            (count,) = struct.unpack_from(">i", data, at + 57)
            if length <= 0:
                break
            if not attributes & CONTROL and count > 0:
                yield base, base + delta, count
            at += 12 + length


@test(needs=["python"], limit_s=180)
def everything_is_still_readable(env):
    node = env.shared_node()
    ends = {p: e for p, e in _ends(node).items() if e[1] > e[0]}
    batches = {p: [b for b in _batches(node, *p) if b[1] >= ends[p][0]] for p in ends}
    expected = {p: sum(_readable(b, ends[p][0]) for b in batches[p]) for p in ends}
    consumer = Consumer({
        "bootstrap.servers": node.bootstrap, "group.id": "unused", "enable.auto.commit": False,
        "isolation.level": "read_uncommitted",
    })
    consumer.assign([TopicPartition(t, p, first) for (t, p), (first, _) in ends.items()])
    offsets = {p: [] for p in ends}
    missing = sum(expected.values())
    while missing > 0:
        messages = consumer.consume(min(1000, missing), 10)
        assert messages, f"{missing} of {sum(expected.values())} records are missing, and none came for 10 s"
        for message in messages:
            assert message.error() is None, message.error()
            offsets[message.topic(), message.partition()].append(message.offset())
        missing -= len(messages)
    consumer.close()
    for at, seen in offsets.items():
        for first, last, count in batches[at]:
            of_batch = seen[bisect_left(seen, first):bisect_left(seen, last + 1)]
            first = max(first, ends[at][0])
            if count == last - first + 1:
                assert of_batch == list(range(first, last + 1)), (at, first, last, of_batch)
        assert len(seen) == expected[at] and seen == sorted(set(seen)), (at, len(seen), expected[at])


def _readable(batch, start):
    first, last, count = batch
    # Whoever deletes records in the middle of a compacted batch is not among the suites.
    return count if first >= start else last - start + 1
