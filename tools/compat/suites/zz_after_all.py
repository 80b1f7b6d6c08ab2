"""Last: what all the other suites left in the shared node stops, dumps and starts again."""
from harness import wire
from harness.process import wait_until
from harness.tests import test

from . import dump_log

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec
except ImportError:
    pass  # every test here says that it needs it


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


@test(needs=["python"], limit_s=180)
def everything_is_still_readable(env):
    node = env.shared_node()
    ends = {p: e for p, e in _ends(node).items() if e[1] > e[0]}
    expected = sum(last - first for first, last in ends.values())
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(t, p, first) for (t, p), (first, _) in ends.items()])
    next_offset = {p: first for p, (first, _) in ends.items()}
    count = 0
    while count < expected:
        messages = consumer.consume(1000, 10)
        assert messages, f"{count} of {expected} records, then none for 10 s"
        for message in messages:
            assert message.error() is None, message.error()
            at = (message.topic(), message.partition())
            assert message.offset() == next_offset[at], (at, message.offset(), next_offset[at])
            next_offset[at] += 1
            count += 1
    consumer.close()
