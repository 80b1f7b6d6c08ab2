"""confluent-kafka: current librdkafka, as most non-Java programs use it."""
import collections
import time

from harness import topics, wire
from harness.process import wait_until
from harness.tests import test

try:
    from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "confluent-kafka"

COUNT = 2000


def admin(env):
    return AdminClient({"bootstrap.servers": env.bootstrap})


def create(env, topic, partitions=1, **config):
    topics.create(env.bootstrap, topic, partitions, **config)


def produce(env, topic, values, partition=0, **config):
    """Sends, waits for all acks, and returns the offsets told, in the order sent."""
    told = {}
    errors = []

    def delivered(error, message):
        if error:
            errors.append(error)
        else:
            told[int(message.key())] = message.offset()

    producer = Producer({"bootstrap.servers": env.bootstrap, **{k.replace("_", "."): v for k, v in config.items()}})
    for i, value in enumerate(values):
        producer.produce(topic, value, key=str(i), partition=partition, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(30) == 0, "not all sent within 30 s"
    assert not errors, errors[:3]
    return [told[i] for i in range(len(values))]


def consumer(env, **config):
    return Consumer({
        "bootstrap.servers": env.bootstrap, "group.id": env.name("g"), "auto.offset.reset": "earliest",
        "enable.auto.commit": False, **{k.replace("_", "."): v for k, v in config.items()}})


def take(consumer_, count, timeout_s=30):
    """Exactly `count` messages, and a short look that no more follow."""
    messages = []
    deadline = time.monotonic() + timeout_s
    while len(messages) < count:
        assert time.monotonic() < deadline, f"only {len(messages)} of {count} messages came"
        messages += _good(consumer_.consume(count, 0.2))
    messages += _good(consumer_.consume(10, 0.1))
    assert len(messages) == count, f"{len(messages)} instead of {count}"
    return messages


def _good(messages):
    for message in messages:
        assert message.error() is None, message.error()
    return messages


def read(env, topic, count, partition=0):
    c = consumer(env)
    c.assign([TopicPartition(topic, partition, 0)])
    try:
        return take(c, count)
    finally:
        c.close()


def leader(env, topic, partition=0):
    metadata = admin(env).list_topics(topic, 10)
    broker = metadata.brokers[metadata.topics[topic].partitions[partition].leader]
    return f"{broker.host}:{broker.port}"


def round_trip(env, count=COUNT, size=200, **config):
    topic = env.name()
    create(env, topic)
    values = [(f"{i:08d} " + "0123456789abcdef" * (size // 16 + 1))[:size].encode() for i in range(count)]
    assert produce(env, topic, values, **config) == list(range(count)), "offsets told"
    messages = read(env, topic, count)
    assert [m.value() for m in messages] == values
    assert [m.offset() for m in messages] == list(range(count))
    return topic


@test(needs=["python"])
def plain_producer(env):
    round_trip(env)


@test(needs=["python"])
def acks_1(env):
    round_trip(env, acks="1")


@test(needs=["python"])
def idempotent_producer(env):
    topic = round_trip(env, enable_idempotence=True)
    batches = wire.stored_batches(leader(env, topic), topic, 0)
    assert batches[0].producer_id >= 0, batches[0]
    sequence = 0
    for batch in batches:
        assert batch.sequence == sequence, batch
        sequence += batch.count


@test(needs=["python"])
def large_records(env):
    round_trip(env, count=8, size=900_000)


def _codec(codec):
    # librdkafka silently stops compressing when a broker's Produce range starts above the
    # versions at which it dates each codec.
    @test(needs=["python"])
    def run(env):
        topic = round_trip(env, compression_type=codec, linger_ms=50, enable_idempotence=True)
        batches = wire.stored_batches(leader(env, topic), topic, 0)
        assert {wire.codec(b) for b in batches} == {codec}, {wire.codec(b) for b in batches}
        assert sum(b.count for b in batches) == COUNT
        stored = sum(b.size for b in batches)
        assert stored < COUNT * 200 / 2, f"{stored} bytes stored for {COUNT * 200} sent"
    run.__module__ = __name__
    return run


gzip, snappy, lz4, zstd = _codec("gzip"), _codec("snappy"), _codec("lz4"), _codec("zstd")


@test(needs=["python"])
def headers_and_timestamps(env):
    topic = env.name()
    create(env, topic)
    at = int(time.time() * 1000) - 3_600_000
    producer = Producer({"bootstrap.servers": env.bootstrap})
    producer.produce(topic, b"v", b"k", timestamp=at, headers=[("h", b"1"), ("h", b"\x00\xff"), ("n", None)])
    producer.produce(topic, None, b"tombstone", timestamp=at + 1)
    assert producer.flush(20) == 0
    first, second = read(env, topic, 2)
    assert first.headers() == [("h", b"1"), ("h", b"\x00\xff"), ("n", None)]
    assert first.timestamp()[1] == at
    assert second.value() is None and second.timestamp()[1] == at + 1


@test(needs=["python"])
def auto_created_topic(env):
    topic = env.name()
    values = [str(i).encode() for i in range(50)]
    # One request at a time: the topic appears under the producer's feet.
    assert produce(env, topic, values, max_in_flight=1) == list(range(50))
    assert [m.value() for m in read(env, topic, 50)] == values


@test(needs=["python"])
def unknown_topic_is_an_error_for_a_consumer(env):
    c = consumer(env, allow_auto_create_topics=False)
    c.subscribe([env.name("none")])
    try:
        message = wait_until("an error comes", lambda: c.poll(0.2))
        assert message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART, message.error()
    finally:
        c.close()


@test(needs=["python"])
def offsets_for_times_and_watermarks(env):
    topic = env.name()
    create(env, topic)
    at = int(time.time() * 1000) - 3_600_000
    producer = Producer({"bootstrap.servers": env.bootstrap})
    for i in range(100):
        producer.produce(topic, str(i), timestamp=at + 10 * i)
    assert producer.flush(20) == 0
    c = consumer(env)
    try:
        assert c.get_watermark_offsets(TopicPartition(topic, 0), 10) == (0, 100)
        assert c.offsets_for_times([TopicPartition(topic, 0, at + 421)], 10)[0].offset == 43
        assert c.offsets_for_times([TopicPartition(topic, 0, at + 99_999)], 10)[0].offset == -1
    finally:
        c.close()


@test(needs=["python"])
def group_commits_and_goes_on(env):
    topic, group = env.name(), env.name("g")
    create(env, topic, 3)
    for partition in range(3):
        produce(env, topic, [b"x"] * 100, partition)
    first = consumer(env, group_id=group)
    first.subscribe([topic])
    take(first, 300)
    first.commit(asynchronous=False)
    first.close()
    for partition in range(3):
        produce(env, topic, [b"y"] * 10, partition)
    second = consumer(env, group_id=group)
    second.subscribe([topic])
    assert {m.value() for m in take(second, 30)} == {b"y"}
    assert [p.offset for p in second.committed([TopicPartition(topic, i) for i in range(3)], 10)] == [100] * 3
    second.close()


def _shared(strategy):
    @test(needs=["python"])
    def run(env):
        """Two members share; one leaves; the other has all. Nothing is lost or out of order."""
        topic, group = env.name(), env.name("g")
        create(env, topic, 4)
        config = {"group_id": group, "partition_assignment_strategy": strategy, "heartbeat_interval_ms": 300,
                  "session_timeout_ms": 10_000}
        members = [consumer(env, **config), consumer(env, **config)]
        for member in members:
            member.subscribe([topic])
        next_offset = collections.Counter()

        def turn(of):
            for member in of:
                message = member.poll(0.05)
                while message is not None:
                    _good([message])
                    assert message.offset() == next_offset[message.partition()], (message.partition(), message.offset())
                    next_offset[message.partition()] += 1
                    message = member.poll(0)
            return [len(member.assignment()) for member in of]

        wait_until("both have half", lambda: turn(members) == [2, 2])
        for partition in range(4):
            produce(env, topic, [b"x"] * 100, partition)
        wait_until("all came", lambda: turn(members) and sum(next_offset.values()) == 400)
        for member in members:
            member.commit(asynchronous=False)
        members[0].close()
        wait_until("the other has all", lambda: turn(members[1:]) == [4])
        for partition in range(4):
            produce(env, topic, [b"y"] * 25, partition)
        wait_until("the rest came", lambda: turn(members[1:]) and sum(next_offset.values()) == 500)
        members[1].close()
    run.__module__ = __name__
    return run


two_members_share_range = _shared("range")
two_members_share_cooperatively = _shared("cooperative-sticky")


@test(needs=["python"])
def static_member(env):
    topic, group = env.name(), env.name("g")
    create(env, topic, 2)
    produce(env, topic, [b"x"] * 10)
    config = {"group_id": group, "group_instance_id": "one", "session_timeout_ms": 20_000}
    first = consumer(env, **config)
    first.subscribe([topic])
    take(first, 10)
    first.commit(asynchronous=False)
    first.close()
    produce(env, topic, [b"y"] * 5)
    again = consumer(env, **config)
    again.subscribe([topic])
    assert {m.value() for m in take(again, 5)} == {b"y"}
    again.close()


@test(needs=["python"])
def admin_topics(env):
    a = admin(env)
    topic = env.name()
    create(env, topic, 3, retention_ms="3600000")
    try:
        create(env, topic)
        raise AssertionError("created twice")
    except KafkaException as e:
        assert e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, e
    described = a.list_topics(topic, 10).topics[topic]
    assert len(described.partitions) == 3 and described.error is None
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    config = a.describe_configs([resource])[resource].result(10)
    assert config["retention.ms"].value == "3600000"
    a.delete_topics([topic])[topic].result(10)
    wait_until("it has left the list", lambda: topic not in a.list_topics(timeout=10).topics)


@test(needs=["python"])
def admin_cluster_and_offsets(env):
    a = admin(env)
    cluster = a.describe_cluster().result(10)
    assert len(cluster.nodes) == env.shared_node().brokers and cluster.cluster_id
    topic = env.name()
    create(env, topic)
    produce(env, topic, [b"x"] * 7)
    p = TopicPartition(topic, 0)
    assert a.list_offsets({p: OffsetSpec.latest()})[p].result(10).offset == 7
    assert a.list_offsets({p: OffsetSpec.earliest()})[p].result(10).offset == 0
    assert a.list_offsets({p: OffsetSpec.max_timestamp()})[p].result(10).offset >= 0


@test(needs=["python"])
def admin_groups(env):
    a = admin(env)
    topic, group = env.name(), env.name("g")
    create(env, topic)
    produce(env, topic, [b"x"] * 7)
    c = consumer(env, group_id=group, client_id="it-is-me")
    c.subscribe([topic])
    take(c, 7)
    c.commit(asynchronous=False)
    assert group in {g.group_id for g in a.list_consumer_groups().result(10).valid}
    description = a.describe_consumer_groups([group])[group].result(10)
    assert description.state.name == "STABLE" and description.members[0].client_id == "it-is-me", description
    c.close()
    request = ConsumerGroupTopicPartitions(group)
    offsets = a.list_consumer_group_offsets([request])[group].result(10).topic_partitions
    assert [(p.topic, p.offset) for p in offsets] == [(topic, 7)]
    a.delete_consumer_groups([group])[group].result(10)
    assert group not in {g.group_id for g in a.list_consumer_groups().result(10).valid}
