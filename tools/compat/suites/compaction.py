"""Compacted topics: of every key the last value stays, and Kafka's own tool reads what is left."""
import os
import re
import time

from harness import topics
from harness.process import wait_until
from harness.tests import test

from .dump_log import BATCH, RECORD, dump, partition_directory, segments

try:
    from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec
except ImportError:
    pass  # every test here says that it needs it

KEYS = 50
UPDATES = 200


def compacting(env):
    return env.own_node(log_cleaner_backoff_ms=100, log_retention_check_interval_ms=300)


def create(node, topic, **config):
    settings = {"cleanup_policy": "compact", "segment_bytes": 1 << 20, "min_cleanable_dirty_ratio": 0.01,
                "delete_retention_ms": 0, "file_delete_delay_ms": 100}
    topics.create(node.bootstrap, topic, **{**settings, **config})


def update(node, topic, values, deleted=(), **config):
    """Every key many times, the last time with its value; then tombstones, then what closes the segment."""
    producer = Producer({"bootstrap.servers": node.bootstrap, "enable.idempotence": True, **config})
    for n in range(UPDATES):
        for key in values:
            last = n == UPDATES - 1
            # Does not compress away: segments must roll.
            producer.produce(topic, values[key] if last else f"{key} {n} {os.urandom(300).hex()}", key)
            producer.poll(0)
    for key in deleted:
        producer.produce(topic, None, key)
    assert producer.flush(60) == 0
    for n in range(4 * 1024):
        producer.produce(topic, os.urandom(512), f"filler {n % 7}")
        producer.poll(0)
    assert producer.flush(60) == 0


def transact(node, topic, commit, values):
    producer = Producer({"bootstrap.servers": node.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    for key, value in values.items():
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0
    (producer.commit_transaction if commit else producer.abort_transaction)(30)


def read(node, topic):
    """(key, value, offset) of every message from the beginning."""
    client = AdminClient({"bootstrap.servers": node.bootstrap})
    p = TopicPartition(topic, 0)
    end = client.list_offsets({p: OffsetSpec.latest()})[p].result(20).offset
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "unused", "check.crcs": True,
                         "auto.offset.reset": "earliest",
                         "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages, ended = [], []

    def come():
        for message in consumer.consume(1000, 0.5):
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                ended.append(message.offset())
            else:
                messages.append((message.key(), message.value(), message.offset()))
        return ended

    wait_until("the end of the topic", come, 30)
    consumer.close()
    assert ended[0] == end, (ended, end)
    return messages


def compacted(node, topic, keys):
    """Waits until every one of these keys is there at most once."""
    def once():
        messages = read(node, topic)
        found = [key.decode() for key, _value, _offset in messages if key.decode() in keys]
        return messages if len(found) == len(set(found)) else None

    return wait_until("it is compacted", once, 60)


@test(needs=["python", "java"], limit_s=180)
def the_last_value_of_every_key_stays(env):
    node = compacting(env)
    topic = env.name()
    create(node, topic)
    values = {f"key {k}": f"value {k} of {topic}" for k in range(KEYS)}
    deleted = [f"key {k}" for k in range(0, KEYS, 5)]
    kept = {f"key {k} of a transaction": f"kept {k}" for k in range(3)}
    for commit, what in (True, "older"), (True, "kept"), (False, "aborted"):
        transact(node, topic, commit, {key: f"{what} {k}" for k, key in enumerate(kept)})
    update(node, topic, values, deleted, **{"compression.type": "lz4"})
    values |= kept
    messages = compacted(node, topic, values)
    offsets = [offset for _key, _value, offset in messages]
    assert offsets == sorted(set(offsets)), "offsets rise"
    found = {key.decode(): value for key, value, _offset in messages if value is not None}
    for key, value in values.items():
        expected = None if key in deleted else value.encode()
        assert found.get(key) == expected, (key, found.get(key))
    if env.kind != "kafka":
        # The same again from what is on disk, after a clean stop.
        assert node.stop() == 0
        out = check_dump(env, node, topic)
        assert "kept 1" in out and "older 1" not in out and "aborted 1" not in out, "what transactions left"


def check_dump(env, node, topic):
    """All that the tool says of its records."""
    directory, gaps, everything = partition_directory(node, topic), 0, []
    files = segments(directory)
    for file in files:
        if not file.stat().st_size:
            continue
        out = dump(env, "--deep-iteration", "--print-data-log", "--files", file)
        everything.append(out)
        batches, next_offset, position = BATCH.findall(out), int(file.stem), 0
        for first, last, _count, at, size, magic, _codec, _valid in batches:
            assert int(first) >= next_offset and int(at) == position and magic == "2", (file, first, at)
            gaps += int(first) > next_offset
            next_offset, position = int(last) + 1, position + int(size)
        assert position == file.stat().st_size, f"{file}: batches end at {position}"
        offsets = [int(record[0]) for record in RECORD.findall(out)]
        assert offsets == sorted(set(offsets)), f"{file}: records"
        index = file.with_suffix(".index")
        if index.exists() and index.stat().st_size:
            dump(env, "--index-sanity-check", "--files", index)
    assert gaps or len(files) > 1, "nothing was compacted"
    checkpoint = (directory / "cleaner-offset-checkpoint").read_text()
    assert re.fullmatch(rf"0\n1\n{re.escape(topic)} 0 \d+\n", checkpoint), checkpoint
    return "".join(everything)


@test(needs=["python"], limit_s=120)
def lags_and_both_policies(env):
    """min. and max.compaction.lag.ms, and cleanup.policy=compact,delete."""
    node = compacting(env)
    plain, young, lazy, overdue, both = (env.name(p) for p in ("plain", "young", "lazy", "overdue", "both"))
    hour = 3_600_000
    create(node, plain)
    create(node, young, min_compaction_lag_ms=hour)
    create(node, lazy, min_cleanable_dirty_ratio=1)
    create(node, overdue, min_cleanable_dirty_ratio=1, max_compaction_lag_ms=500)
    create(node, both, cleanup_policy="compact,delete", retention_ms=hour)
    now, count = int(time.time() * 1000), 3000
    producer = Producer({"bootstrap.servers": node.bootstrap, "batch.num.messages": 50})

    def fill(topic, at):
        for n in range(count):
            producer.produce(topic, os.urandom(1000), f"key {n % 20}", timestamp=at)
            producer.poll(0)
        assert producer.flush(60) == 0

    fill(both, now - 2 * hour)
    for topic in young, lazy, overdue, both, plain:
        fill(topic, now)
    for topic in plain, overdue:
        # In closed segments one of every key stays.
        wait_until(f"{topic} is compacted", lambda topic=topic: len(read(node, topic)) < count - 1000, 60)

    def both_done():
        messages = read(node, both)
        return messages[0][2] >= count and len(messages) < count - 1000
    wait_until("old ones are deleted and newer ones compacted", both_done, 60)
    for topic in young, lazy:
        assert [offset for _key, _value, offset in read(node, topic)] == list(range(count)), topic


@test(needs=["python"], limit_s=120)
def records_need_keys(env):
    node, topic = env.shared_node(), env.name()
    create(node, topic)
    producer, told = Producer({"bootstrap.servers": node.bootstrap}), []
    for key in None, "k":
        producer.produce(topic, b"v", key, on_delivery=lambda e, m: told.append(e.code() if e else m.offset()))
        assert producer.flush(20) == 0
    assert told == [KafkaError.INVALID_RECORD, 0], told
