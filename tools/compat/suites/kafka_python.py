"""kafka-python: a client written in Python alone, which much of its world starts with."""
import json
import socket
import threading
import time

from harness import topics
from harness.process import wait_until
from harness.tests import Skip, test

try:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "kafka-python"


def orders(count):
    return [{"order": i, "item": "spool", "price": 0.5 * i} for i in range(count)]


def send_all(producer, topic, values, **kwargs):
    futures = [producer.send(topic, value, **kwargs) for value in values]
    producer.flush(30)
    return [f.get(30) for f in futures]


def take(consumer, count, timeout_s=30):
    records = []

    def more():
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend(batch)
        return len(records) >= count
    wait_until(f"{count} records came", more, timeout_s)
    assert len(records) == count, f"{len(records)} instead of {count}"
    return records


def _tutorial(bootstrap, topic, group):
    """A newcomer's two samples."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, value_serializer=lambda v: json.dumps(v).encode("utf-8"))
    for order in orders(100):
        producer.send(topic, order)
    producer.flush()
    producer.close()

    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
        value_deserializer=lambda v: json.loads(v.decode("utf-8")))
    seen = []
    for message in consumer:
        seen.append(message)
        if len(seen) == 100:
            break
    consumer.close()
    assert [m.value for m in seen] == orders(100)
    assert [m.offset for m in seen] == list(range(100))


@test(needs=["python"])
def tutorial(env):
    _tutorial(env.bootstrap, env.name("orders"), env.name("order-processors"))


@test(needs=["python"])
def tutorial_as_written_on_port_9092(env):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", 9092))
        except OSError:
            raise Skip("port 9092 is taken") from None
    env.node_on_port(9092)

    producer = KafkaProducer(bootstrap_servers="localhost:9092", value_serializer=lambda v: json.dumps(v).encode("utf-8"))
    told = send_all(producer, "orders", orders(20))
    producer.close()
    assert [t.offset for t in told] == list(range(20))

    # As written it starts at the end: it is there before what it is to see.
    consumer = KafkaConsumer(
        "orders", bootstrap_servers="localhost:9092", group_id="order-processors",
        value_deserializer=lambda v: json.loads(v.decode("utf-8")))
    wait_until("it is assigned", lambda: consumer.poll(timeout_ms=100) is not None and consumer.assignment())
    for partition in consumer.assignment():
        consumer.position(partition)
    producer = KafkaProducer(bootstrap_servers="localhost:9092", value_serializer=lambda v: json.dumps(v).encode("utf-8"))
    send_all(producer, "orders", orders(30))
    producer.close()
    seen = take(consumer, 30)
    consumer.close()
    assert [m.value for m in seen] == orders(30)
    assert [m.offset for m in seen] == list(range(20, 50))


def _round_trip(env, count=500, size=100, **config):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    producer = KafkaProducer(bootstrap_servers=env.bootstrap, **config)
    values = [(f"{i:06d} " + "x" * size)[:size].encode() for i in range(count)]
    told = send_all(producer, topic, values, partition=0)
    producer.close()
    assert [t.offset for t in told] == list(range(count)) or config.get("acks") == 0
    consumer = KafkaConsumer(bootstrap_servers=env.bootstrap, auto_offset_reset="earliest", group_id=None)
    consumer.assign([TopicPartition(topic, 0)])
    records = take(consumer, count)
    consumer.close()
    assert [r.value for r in records] == values
    assert [r.offset for r in records] == list(range(count))


@test(needs=["python"])
def acks_0(env):
    _round_trip(env, acks=0, enable_idempotence=False)


@test(needs=["python"])
def acks_1(env):
    _round_trip(env, acks=1, enable_idempotence=False)


@test(needs=["python"])
def acks_all(env):
    _round_trip(env, acks="all", enable_idempotence=False)


@test(needs=["python"])
def idempotent(env):
    _round_trip(env, enable_idempotence=True)


@test(needs=["python"])
def large_records(env):
    _round_trip(env, count=4, size=900_000)


def _codec(codec):
    @test(needs=["python"])
    def run(env):
        _round_trip(env, compression_type=codec, linger_ms=20)
    run.__module__ = __name__
    return run


gzip, snappy, lz4, zstd = _codec("gzip"), _codec("snappy"), _codec("lz4"), _codec("zstd")


@test(needs=["python"])
def keys_headers_timestamps(env):
    topic = env.name()
    at = int(time.time() * 1000) - 3_600_000
    producer = KafkaProducer(bootstrap_servers=env.bootstrap)
    producer.send(topic, b"v", key=b"k", headers=[("h", b"\x00\xff")], timestamp_ms=at).get(20)
    producer.send(topic, None, key=b"k", timestamp_ms=at + 1).get(20)
    producer.close()
    consumer = KafkaConsumer(topic, bootstrap_servers=env.bootstrap, auto_offset_reset="earliest", group_id=None)
    first, second = take(consumer, 2)
    assert (first.key, first.value, first.timestamp) == (b"k", b"v", at)
    assert list(first.headers) == [("h", b"\x00\xff")]
    assert second.value is None
    p = TopicPartition(topic, 0)
    assert consumer.offsets_for_times({p: at + 1})[p].offset == 1
    assert consumer.beginning_offsets([p]) == {p: 0} and consumer.end_offsets([p]) == {p: 2}
    consumer.seek(p, 1)
    assert take(consumer, 1)[0].offset == 1
    consumer.close()


@test(needs=["python"])
def group_commits_and_goes_on(env):
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic, 3)
    producer = KafkaProducer(bootstrap_servers=env.bootstrap)
    for partition in range(3):
        send_all(producer, topic, [b"x"] * 50, partition=partition)
    config = {"bootstrap_servers": env.bootstrap, "group_id": group, "auto_offset_reset": "earliest",
              "enable_auto_commit": False}
    first = KafkaConsumer(topic, **config)
    take(first, 150)
    first.commit()
    first.close()
    for partition in range(3):
        send_all(producer, topic, [b"y"] * 10, partition=partition)
    second = KafkaConsumer(topic, **config)
    assert {r.value for r in take(second, 30)} == {b"y"}
    assert second.committed(TopicPartition(topic, 1)) == 50
    second.close()
    producer.close()


class Member(threading.Thread):
    """A consumer polled on its own thread, as its program would: a join blocks poll."""

    def __init__(self, topic, **config):
        super().__init__(daemon=True)
        self.topic, self.config = topic, config
        self.seen, self.assigned, self.error = [], 0, None
        self.leave = threading.Event()

    def run(self):
        try:
            consumer = KafkaConsumer(self.topic, **self.config)
            while not self.leave.is_set():
                for batch in consumer.poll(timeout_ms=100).values():
                    self.seen.extend((r.partition, r.offset) for r in batch)
                self.assigned = len(consumer.assignment())
            consumer.close()
        except Exception as e:
            self.error = e


@test(needs=["python"])
def two_members_share(env):
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic, 4)
    members = [
        Member(topic, bootstrap_servers=env.bootstrap, group_id=group, auto_offset_reset="earliest",
               heartbeat_interval_ms=300, session_timeout_ms=10_000, metadata_max_age_ms=500)
        for _ in range(2)]
    def state():
        for member in members:
            assert member.error is None, member.error
        return [m.assigned for m in members], members[0].seen + members[1].seen

    # One after the other: where both join at once, kafka-python 3.0.12 now and then gets its
    # SyncGroup answer with an assignment (its own debug log says so) and never takes it on.
    for count, member in enumerate(members, 1):
        member.start()
        shared = [4 // count if other < count else 0 for other in range(2)]
        wait_until(f"each of {count} has its share", lambda: state()[0] == shared)
    producer = KafkaProducer(bootstrap_servers=env.bootstrap)
    for partition in range(4):
        send_all(producer, topic, [b"x"] * 50, partition=partition)
    wait_until("all came", lambda: len(state()[1]) >= 200)
    assert sorted(state()[1]) == [(p, o) for p in range(4) for o in range(50)]
    for member in members:
        for partition in range(4):
            offsets = [o for p, o in member.seen if p == partition]
            assert offsets == sorted(offsets), f"order in partition {partition}"
    members[0].leave.set()
    wait_until("the other has all", lambda: state()[0][1] == 4)
    members[1].leave.set()
    for member in members:
        member.join(20)
        assert not member.is_alive() and member.error is None, member.error
    producer.close()


@test(needs=["python"])
def admin(env):
    a = KafkaAdminClient(bootstrap_servers=env.bootstrap)
    topic = env.name()
    a.create_topics([NewTopic(topic, 2, 1)])
    assert topic in a.list_topics()
    try:
        a.create_topics([NewTopic(topic, 2, 1)])
        raise AssertionError("created twice")
    except TopicAlreadyExistsError:
        pass
    assert len(a.describe_topics([topic])[0]["partitions"]) == 2
    assert len(a.describe_cluster()["brokers"]) == env.shared_node().brokers
    a.delete_topics([topic])
    wait_until("it has left the list", lambda: topic not in a.list_topics())
    a.close()
