"""aiokafka: the asynchronous client of Python's services."""
import asyncio
import contextlib
import time

from harness import topics
from harness.tests import test

try:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
    from aiokafka.errors import (
        KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, OffsetOutOfRangeError, TopicAlreadyExistsError,
        for_code)
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "aiokafka"


def asynchronous(needs=("python",), limit_s=60.0):
    """A test that is a coroutine; a client that it leaves open is a mistake of its own."""
    def mark(function):
        def run(env):
            asyncio.run(function(env))
        run.__name__, run.__module__ = function.__name__, function.__module__
        return test(needs=needs, limit_s=limit_s)(run)
    return mark


async def until(what, condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"still waiting until {what}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def producer(env, **config):
    async with AIOKafkaProducer(bootstrap_servers=env.bootstrap, **config) as client:
        yield client


@contextlib.asynccontextmanager
async def reader(env, topic, partitions=1, **config):
    """A consumer without a group, with these partitions, at their beginning."""
    client = AIOKafkaConsumer(
        bootstrap_servers=env.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, **config)
    client.assign([TopicPartition(topic, p) for p in range(partitions)])
    async with client:
        yield client


@contextlib.asynccontextmanager
async def admin_client(env):
    client = AIOKafkaAdminClient(bootstrap_servers=env.bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def send_all(client, topic, values, partition=0):
    futures = [await client.send(topic, value, partition=partition) for value in values]
    return [await f for f in futures]


async def take(consumer, count):
    """Exactly `count` records, and a short look that no more follow."""
    records = []
    async with asyncio.timeout(30):
        while len(records) < count:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
    for batch in (await consumer.getmany(timeout_ms=50)).values():
        records += batch
    assert len(records) == count, f"{len(records)} instead of {count}"
    return records


async def _round_trip(env, count=500, size=100, **config):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    values = [(f"{i:06d} " + "x" * size)[:size].encode() for i in range(count)]
    async with producer(env, **config) as client:
        told = await send_all(client, topic, values)
    assert config.get("acks") == 0 or [t.offset for t in told] == list(range(count))
    async with reader(env, topic) as consumer:
        records = await take(consumer, count)
    assert [r.value for r in records] == values
    assert [r.offset for r in records] == list(range(count))


def _producing(**config):
    @asynchronous()
    async def run(env):
        await _round_trip(env, **config)
    run.__module__ = __name__
    return run


acks_0, acks_1, acks_all = _producing(acks=0), _producing(acks=1), _producing(acks="all")
idempotent = _producing(enable_idempotence=True)
gzip, snappy, lz4, zstd = (_producing(compression_type=c, linger_ms=20) for c in ("gzip", "snappy", "lz4", "zstd"))
large_messages = _producing(count=4, size=900_000)


@asynchronous()
async def too_large(env):
    topic = env.name()
    topics.create(env.bootstrap, topic, max_message_bytes=100_000)
    async with producer(env, max_request_size=1 << 20) as client:
        try:
            await client.send_and_wait(topic, bytes(200_000))
            raise AssertionError("200 kB went into 100 kB")
        except KafkaError as e:
            assert isinstance(e, (MessageSizeTooLargeError, for_code(10))), repr(e)
        assert (await client.send_and_wait(topic, b"v")).offset == 0


@asynchronous()
async def keys_headers_timestamps(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    at = int(time.time() * 1000) - 3_600_000
    async with producer(env) as client:
        await client.send_and_wait(topic, b"v", key="clé".encode(), headers=[("h", b"\0\xff"), ("h", b"")], timestamp_ms=at)
        await client.send_and_wait(topic, None, key=b"k", timestamp_ms=at + 1)
    async with reader(env, topic) as consumer:
        first, second = await take(consumer, 2)
    assert (first.key, first.value, first.timestamp) == ("clé".encode(), b"v", at)
    assert list(first.headers) == [("h", b"\0\xff"), ("h", b"")]
    assert second.value is None


@asynchronous()
async def batches_by_hand(env):
    """A batch that the program fills itself."""
    topic = env.name()
    topics.create(env.bootstrap, topic, 2)
    async with producer(env) as client:
        batch = client.create_batch()
        for i in range(50):
            assert batch.append(key=None, value=b"%d" % i, timestamp=None)
        told = await (await client.send_batch(batch, topic, partition=1))
        assert told.offset == 0
    async with reader(env, topic, 2) as consumer:
        records = await take(consumer, 50)
    assert [(r.partition, r.value) for r in records] == [(1, b"%d" % i) for i in range(50)]


@asynchronous()
async def unknown_topic(env):
    """Its metadata request makes the topic; a partition that it has not is refused."""
    topic = env.name()
    async with producer(env, request_timeout_ms=3000, retry_backoff_ms=20) as client:
        assert (await client.send_and_wait(topic, b"v")).offset == 0
        try:
            await client.send_and_wait(topic, b"v", partition=77)
            raise AssertionError("there is a partition 77")
        except (AssertionError, KafkaTimeoutError, KafkaError) as e:
            assert "Unrecognized partition" in str(e), repr(e)


@asynchronous()
async def seek(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    at = int(time.time() * 1000) - 3_600_000
    async with producer(env) as client:
        for start in range(0, 100, 10):
            for n in range(start, start + 10):
                await client.send(topic, b"%d" % n, timestamp_ms=at + n)
            await client.flush()
    p = TopicPartition(topic, 0)
    async with reader(env, topic) as consumer:
        assert await consumer.beginning_offsets([p]) == {p: 0} and await consumer.end_offsets([p]) == {p: 100}
        for asked, offset in ((at + 42, 42), (at - 1, 0), (at + 999, None)):
            told = (await consumer.offsets_for_times({p: asked}))[p]
            assert (told and told.offset) == offset, (asked, told)
        for first in (57, 99, 0):
            consumer.seek(p, first)
            assert (await take(consumer, 100 - first))[0].value == b"%d" % first
        await consumer.seek_to_end(p)
        assert await consumer.position(p) == 100
        await consumer.seek_to_beginning(p)
        assert (await take(consumer, 100))[0].offset == 0
        # A position that is not there is reset, here to the beginning.
        consumer.seek(p, 1_000_000)
        assert (await take(consumer, 100))[0].offset == 0
    client = AIOKafkaConsumer(bootstrap_servers=env.bootstrap, auto_offset_reset="none", enable_auto_commit=False)
    client.assign([p])
    async with client:
        client.seek(p, 1_000_000)
        try:
            await client.getmany(timeout_ms=10_000)
            raise AssertionError("an offset that is not there was read")
        except OffsetOutOfRangeError:
            pass


@asynchronous()
async def long_poll_is_woken_by_a_record(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    async with reader(env, topic, fetch_max_wait_ms=8_000) as consumer, producer(env) as client:
        waiting = asyncio.create_task(consumer.getone())
        await consumer.position(TopicPartition(topic, 0))
        await client.send_and_wait(topic, b"v")
        assert (await asyncio.wait_for(waiting, 6)).value == b"v"


def member(env, topic, group, **config):
    return AIOKafkaConsumer(
        topic, bootstrap_servers=env.bootstrap, group_id=group, auto_offset_reset="earliest",
        enable_auto_commit=False, heartbeat_interval_ms=200, **config)


@asynchronous()
async def group_commits_and_goes_on(env):
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic, 3)
    async with producer(env) as client:
        for partition in range(3):
            await send_all(client, topic, [b"x"] * 50, partition)
        async with member(env, topic, group) as first:
            await take(first, 150)
            await first.commit({TopicPartition(topic, p): (50, "a note") for p in range(3)})
        for partition in range(3):
            await send_all(client, topic, [b"y"] * 10, partition)
        async with member(env, topic, group) as second:
            assert {r.value for r in await take(second, 30)} == {b"y"}
            assert [await second.committed(TopicPartition(topic, p)) for p in range(3)] == [50] * 3


@asynchronous()
async def auto_commit(env):
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic)
    async with producer(env) as client:
        await send_all(client, topic, [b"x"] * 20)
    config = {"bootstrap_servers": env.bootstrap, "group_id": group, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(topic, **config) as first:
        await take(first, 20)
    async with AIOKafkaConsumer(topic, **config) as second:
        assert await second.committed(TopicPartition(topic, 0)) == 20


@asynchronous()
async def two_members_share(env):
    """Two members have two partitions each; one leaves, the other has all."""
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic, 4)
    seen = []

    async def consume(client):
        async for record in client:
            seen.append((record.partition, record.offset))

    told = []

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            told.append(len(revoked))

        def on_partitions_assigned(self, assigned):
            told.append(len(assigned))

    first = AIOKafkaConsumer(
        bootstrap_servers=env.bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        heartbeat_interval_ms=200)
    first.subscribe([topic], listener=Listener())
    await first.start()
    async with member(env, topic, group) as second, producer(env) as client:
        tasks = [asyncio.create_task(consume(c)) for c in (first, second)]
        await until("both have half", lambda: [len(c.assignment()) for c in (first, second)] == [2, 2])
        assert told[-1] == 2, told
        for partition in range(4):
            await send_all(client, topic, [b"x"] * 50, partition)
        await until("all came", lambda: len(seen) >= 200)
        assert sorted(seen) == [(p, o) for p in range(4) for o in range(50)]
        for c in (first, second):
            await c.commit()
        tasks[0].cancel()
        await first.stop()
        await until("the other has all", lambda: len(second.assignment()) == 4)
        tasks[1].cancel()
        assert len(seen) == 200, "records came twice"


@asynchronous()
async def static_member(env):
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic, 2)
    for _ in range(2):
        async with member(env, topic, group, group_instance_id="one") as client:
            await client.getmany(timeout_ms=100)
            assert len(client.assignment()) == 2


@asynchronous()
async def admin(env):
    topic = env.name()
    async with admin_client(env) as client:
        await client.create_topics([NewTopic(topic, 2, 1, topic_configs={"retention.ms": "7200000"})])
        # It returns errors in the answer.
        again = await client.create_topics([NewTopic(topic, 2, 1)])
        assert again.topic_errors[0][1] == TopicAlreadyExistsError.errno, again
        topics.wait_until_ready(topics.AdminClient({"bootstrap.servers": env.bootstrap}), topic, 2)
        assert topic in await client.list_topics()
        await client.create_partitions({topic: NewPartitions(4)})
        topics.wait_until_ready(topics.AdminClient({"bootstrap.servers": env.bootstrap}), topic, 4)
        assert len((await client.describe_topics([topic]))[0]["partitions"]) == 4
        assert len((await client.describe_cluster())["brokers"]) == env.shared_node().brokers
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        shown = (await client.describe_configs([resource]))[0].resources[0][4]
        assert {e[0]: e[1] for e in shown}["retention.ms"] == "7200000", shown
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "100000"})])
        await client.delete_topics([topic])
        async with asyncio.timeout(10):
            while topic in await client.list_topics():
                await asyncio.sleep(0.02)


@asynchronous()
async def admin_groups_and_records(env):
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic)
    p = TopicPartition(topic, 0)
    async with producer(env) as sender:
        await send_all(sender, topic, [b"x"] * 20)
    async with admin_client(env) as client:
        async with member(env, topic, group, client_id="the-client") as consumer:
            await take(consumer, 20)
            await consumer.commit()
            answer = (await client.describe_consumer_groups([group]))[0].to_object()["groups"][0]
            assert (answer["state"], answer["members"][0]["client_id"]) == ("Stable", "the-client"), answer
        assert (group, "consumer") in [g[:2] for g in await client.list_consumer_groups()]
        assert (await client.list_consumer_group_offsets(group))[p].offset == 20
        await client.delete_records({p: RecordsToDelete(before_offset=7)})
    async with reader(env, topic) as consumer:
        assert (await take(consumer, 13))[0].offset == 7
