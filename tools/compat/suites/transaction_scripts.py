"""A transactional producer's life as a transcript, of each of Python's clients, at an Apache Kafka and at
the node. The programs' own are in transcripts.py, error codes of the wire in transaction_codes.py."""
import asyncio

from harness import topics
from harness.process import wait_until
from harness.tests import test

from . import differential

try:
    import aiokafka
    import kafka
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
except ImportError:
    pass  # every test here says that it needs it


class Librdkafka:
    def __init__(self, bootstrap, name):
        self.client = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, "linger.ms": 0})

    def init(self):
        self.client.init_transactions(20)

    def begin(self):
        self.client.begin_transaction()

    def send(self, topic, partition, value):
        told = []
        self.client.produce(topic, value, partition=partition, on_delivery=lambda error, message: told.append((error, message)))
        assert self.client.flush(20) == 0
        error, message = told[0]
        return error.name() if error else message.offset()

    def offsets(self, topic, group, offset):
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            self.client.send_offsets_to_transaction([TopicPartition(topic, 0, offset)], consumer.consumer_group_metadata(), 20)
        finally:
            consumer.close()

    def commit(self):
        self.client.commit_transaction(20)

    def abort(self):
        self.client.abort_transaction(20)

    def close(self):
        pass


class KafkaPython:
    def __init__(self, bootstrap, name):
        self.client = kafka.KafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)

    def init(self):
        self.client.init_transactions()

    def begin(self):
        self.client.begin_transaction()

    def send(self, topic, partition, value):
        return self.client.send(topic, value.encode(), partition=partition).get(20).offset

    def offsets(self, topic, group, offset):
        at = {kafka.TopicPartition(topic, 0): kafka.OffsetAndMetadata(offset, "", -1)}
        self.client.send_offsets_to_transaction(at, group)

    def commit(self):
        self.client.commit_transaction()

    def abort(self):
        self.client.abort_transaction()

    def close(self):
        self.client.close(timeout=5)


class Aiokafka:
    def __init__(self, bootstrap, name):
        self.loop = asyncio.new_event_loop()

        async def make():
            return aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
        self.client = self._run(make())

    def _run(self, work):
        return self.loop.run_until_complete(asyncio.wait_for(work, 25))

    def init(self):
        self._run(self.client.start())

    def begin(self):
        self._run(self.client.begin_transaction())

    def send(self, topic, partition, value):
        return self._run(self.client.send_and_wait(topic, value.encode(), partition=partition)).offset

    def offsets(self, topic, group, offset):
        at = {aiokafka.TopicPartition(topic, 0): offset}
        self._run(self.client.send_offsets_to_transaction(at, group))

    def commit(self):
        self._run(self.client.commit_transaction())

    def abort(self):
        self._run(self.client.abort_transaction())

    def close(self):
        try:
            self._run(self.client.stop())
        finally:
            self.loop.close()


def called(error):
    """What an error is called, without words of anybody's own."""
    return error.args[0].name() if isinstance(error, KafkaException) else type(error).__name__


def read(bootstrap, topic, isolation):
    """{"partition-offset": value} up to the ends that a reader of this isolation has."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "isolation.level": isolation,
                         "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(2)])
    found, ended = {}, set()
    try:
        def more():
            for message in consumer.consume(100, 0.1):
                if message.error():
                    ended.add(message.partition())
                else:
                    found[f"{message.partition()}-{message.offset()}"] = message.value().decode()
            return len(ended) == 2
        wait_until("both partitions are read", more, 20)
    finally:
        consumer.close()
    return found


def transcript(client, node, topic):
    name, group, told = f"{topic}-id", f"{topic}-g", {}

    def say(what, ask, *args):
        try:
            answer = ask(*args)
            told[what] = "done" if answer is None else answer
        except Exception as error:
            told[what] = called(error)

    def producer():
        made = client(node.bootstrap, name)
        made.bootstrap = node.bootstrap
        return made

    def committed():
        consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": group})
        try:
            return consumer.committed([TopicPartition(topic, 0)], 20)[0].offset
        finally:
            consumer.close()

    old, newer = producer(), producer()
    try:
        say("init", old.init)
        old.begin()
        say("send", old.send, topic, 0, "committed")
        say("send to the other", old.send, topic, 1, "committed")
        say("begin in a transaction", old.begin)
        say("seen while it is open", read, node.bootstrap, topic, "read_committed")
        say("commit", old.commit)
        old.begin()
        say("send what is aborted", old.send, topic, 0, "aborted")
        say("abort", old.abort)
        old.begin()
        say("commit nothing", old.commit)
        old.begin()
        say("offsets", old.offsets, topic, group, 2)
        say("abort offsets", old.abort)
        old.begin()
        say("offsets again", old.offsets, topic, group, 1)
        say("commit offsets", old.commit)
        wait_until("they show", lambda: committed() == 1, 20)
        old.begin()
        say("send what is fenced", old.send, topic, 0, "fenced")
        say("fence", newer.init)
        say("commit of who is fenced", old.commit)
        newer.begin()
        say("send of who fences", newer.send, topic, 1, "fences")
        say("commit of who fences", newer.commit)
        wait_until("it is through", lambda: len(read(node.bootstrap, topic, "read_committed")) == 3, 20)
        say("read committed", read, node.bootstrap, topic, "read_committed")
        say("read all", read, node.bootstrap, topic, "read_uncommitted")
    finally:
        for one in old, newer:
            try:
                one.close()
            except Exception:
                pass  # who was fenced may say so again
    return told


def _script(name, client):
    @test(needs=["java", "python"], limit_s=120)
    def run(env):
        found = []
        for node in (env.oracle(), env.shared_node()):
            topic = env.name()
            topics.create(node.bootstrap, topic, 2)
            found.append(transcript(client, node, topic))
        expected = {
            row["line"]: (row["kafka"], row["odradek"]) for row in differential.allowed(env, "transcript")
            if [name, "transactions"] in row["scripts"]}
        differential.compare(*found, expected)
    run.__module__ = __name__
    return run


librdkafka = _script("confluent-kafka", Librdkafka)
kafka_python = _script("kafka-python", KafkaPython)
aio_kafka = _script("aiokafka", Aiokafka)
