"""What raw transactional requests answer, right and wrong, by an Apache Kafka and by the node: the
error codes that clients of all ages act on."""
import struct
import time

from harness import frames, topics
from harness.tests import test
from harness.wire import Connection, string

from .differential import allowed, compare

PRODUCE, FIND_COORDINATOR, INIT, ADD_PARTITIONS, ADD_OFFSETS, END, COMMIT_OFFSETS = 0, 10, 22, 24, 25, 26, 28
# Loading, not there yet, elsewhere; the transaction before is not through.
NOT_YET = {14, 15, 16, 51}
COMMIT, ABORT = True, False


class Coordinator:
    """One transactional id at one server; every method returns what was answered, or its code."""

    def __init__(self, bootstrap, transactional_id):
        self.id = transactional_id
        host, port = self._found(bootstrap)
        self.address = f"{host}:{port}"
        self.producer = (-1, -1)

    def _found(self, bootstrap):
        def ask():
            with Connection(bootstrap) as connection:
                body = connection.call(FIND_COORDINATOR, 1, string(self.id) + b"\x01")
            error, length = struct.unpack_from(">hh", body, 4)
            at = 8 + max(length, 0)
            _, size = struct.unpack_from(">ih", body, at)
            host = body[at + 6:at + 6 + size].decode()
            return error, (host, *struct.unpack_from(">i", body, at + 6 + size))
        return settled(ask)[1]

    def call(self, api, version, body, flexible=False):
        with Connection(self.address) as connection:
            return connection.call(api, version, body, flexible)

    def init(self, timeout_ms=60_000, transactional_id=None):
        name = self.id if transactional_id is None else transactional_id

        def ask():
            return struct.unpack_from(">hqh", self.call(INIT, 1, string(name) + struct.pack(">i", timeout_ms)), 4)
        error, *producer = settled(ask)
        if error == 0:
            self.producer = tuple(producer)
        return error

    def add(self, topic, *partitions, producer=None, version=2):
        body = string(self.id) + struct.pack(">qh", *(producer or self.producer))
        body += struct.pack(">i", 1) + string(topic) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)

        def ask():
            at, response = 4 + 4 + 2 + len(topic) + 4, self.call(ADD_PARTITIONS, version, body)
            # In whatever order Kafka's maps have them.
            errors = dict(struct.unpack_from(">ih", response, at + 6 * n) for n in range(len(partitions)))
            return [errors[partition] for partition in partitions]
        return settled(ask)

    def add_offsets(self, group, producer=None, version=2):
        body = string(self.id) + struct.pack(">qh", *(producer or self.producer)) + string(group)
        return settled(lambda: struct.unpack_from(">h", self.call(ADD_OFFSETS, version, body), 4))[0]

    def end(self, commit, producer=None, version=2):
        body = string(self.id) + struct.pack(">qh?", *(producer or self.producer), commit)
        return settled(lambda: struct.unpack_from(">h", self.call(END, version, body), 4))[0]

    def end_raising(self, commit, producer=None):
        """EndTxn 5: the answer has the next epoch. Told is by how much it is higher."""
        name, (number, epoch) = self.id.encode(), producer or self.producer
        body = bytes([len(name) + 1]) + name + struct.pack(">qh?", number, epoch, commit) + b"\0"
        error, told, next_epoch = settled(lambda: struct.unpack_from(">hqh", self.call(END, 5, body, True), 5))
        if error == 0:
            self.producer = (told, next_epoch)
        return error, next_epoch - epoch if error == 0 else None

    def commit_offsets(self, bootstrap, group, topic, partition=0, producer=None, version=2):
        """At the group's coordinator."""
        body = string(self.id) + string(group) + struct.pack(">qh", *(producer or self.producer))
        body += struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, 5, -1) + string("")

        def ask():
            host, port = group_coordinator(bootstrap, group)
            with Connection(f"{host}:{port}") as connection:
                response = connection.call(COMMIT_OFFSETS, version, body)
            return struct.unpack_from(">h", response, 4 + 4 + 2 + len(topic) + 4 + 4)
        return settled(ask)[0]

    def produce(self, leader, topic, sequence, producer=None, transactional_id=None, transactional=True):
        """Produce 3, as of a client that has added the partition."""
        number, epoch = producer or self.producer
        records = frames.batch(attributes=0x10 if transactional else 0, producer_id=number, producer_epoch=epoch,
                               sequence=sequence)
        name = self.id if transactional_id is None else transactional_id
        body = (string(name) if name else b"\xff\xff") + struct.pack(">hi", -1, 10_000)
        body += struct.pack(">i", 1) + string(topic) + struct.pack(">iii", 1, 0, len(records)) + records
        with Connection(leader) as connection:
            response = connection.call(PRODUCE, 3, body)
        return struct.unpack_from(">h", response, 4 + 2 + len(topic) + 4 + 4)[0]


def group_coordinator(bootstrap, group):
    def ask():
        with Connection(bootstrap) as connection:
            body = connection.call(FIND_COORDINATOR, 1, string(group) + b"\0")
        error, length = struct.unpack_from(">hh", body, 4)
        at = 8 + max(length, 0)
        _, size = struct.unpack_from(">ih", body, at)
        return error, (body[at + 6:at + 6 + size].decode(), *struct.unpack_from(">i", body, at + 6 + size))
    return settled(ask)[1]


def settled(ask, limit_s=20):
    """Asks until the answer is another than "not yet"."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = ask()
        if answer[0] not in NOT_YET or time.monotonic() > deadline:
            return answer
        time.sleep(0.01)


def answers(bootstrap, leader, topic, name):
    c = Coordinator(bootstrap, name)
    other = f"{name}-none"
    nobody = Coordinator(bootstrap, other)
    told = {}

    def say(what, answer):
        told[what] = str(answer).replace(name, "T")

    def stranger():
        return c.producer[0] + 1_000_000, 0

    def older():
        return c.producer[0], c.producer[1] - 1

    def newer():
        return c.producer[0], c.producer[1] + 1

    say("init without time", c.init(timeout_ms=0))
    say("init with too much time", c.init(timeout_ms=2**31 - 1))
    say("init of an empty id", c.init(transactional_id=""))
    say("add to an id that is not there", nobody.add(topic, 0, producer=(1, 0)))
    say("end of an id that is not there", nobody.end(COMMIT, producer=(1, 0)))
    say("init", c.init())
    say("epoch", c.producer[1])
    say("commit nothing", c.end(COMMIT))
    say("abort nothing", c.end(ABORT))
    say("produce before it is added", c.produce(leader, topic, 0))
    say("add of another producer", c.add(topic, 0, producer=stranger()))
    say("add of a later epoch", c.add(topic, 0, producer=newer()))
    say("add of a later epoch, as before KIP-588", c.add(topic, 0, producer=newer(), version=1))
    say("add what is not there", c.add(other, 0))
    say("add what is not there beside what is", c.add(topic, 0, 99))
    say("add", c.add(topic, 0, 1))
    say("add again", c.add(topic, 0, 1))
    say("produce", c.produce(leader, topic, 0))
    say("produce again", c.produce(leader, topic, 0))
    say("produce with a gap", c.produce(leader, topic, 7))
    say("produce without a mark", c.produce(leader, topic, 1, transactional=False))
    say("produce without an id", c.produce(leader, topic, 1, transactional_id=""))
    say("produce of a later epoch", c.produce(leader, topic, 0, producer=newer()))
    say("add offsets", c.add_offsets(name))
    say("add offsets of an empty group", c.add_offsets(""))
    say("commit offsets", c.commit_offsets(bootstrap, name, topic))
    say("commit offsets of no partition", c.commit_offsets(bootstrap, name, topic, partition=99))
    say("end of another producer", c.end(COMMIT, producer=stranger()))
    say("end of a later epoch", c.end(COMMIT, producer=newer()))
    say("commit", c.end(COMMIT))
    say("commit again", c.end(COMMIT))
    say("abort what is committed", c.end(ABORT))
    say("produce after the end", c.produce(leader, topic, 1))
    say("commit offsets after the end", c.commit_offsets(bootstrap, name, topic))
    say("add for the next", c.add(topic, 0))
    say("produce in the next", c.produce(leader, topic, 1))
    say("abort", c.end(ABORT))
    say("abort again", c.end(ABORT))
    say("commit what is aborted", c.end(COMMIT))
    say("open another", c.add(topic, 0))
    say("produce in it", c.produce(leader, topic, 2))
    say("init while one is open", c.init())
    say("end of the one before", c.end(COMMIT, producer=older()))
    say("end of the one before, as before KIP-588", c.end(COMMIT, producer=older(), version=1))
    say("add of the one before", c.add(topic, 0, producer=older()))
    say("add offsets of the one before", c.add_offsets(name, producer=older()))
    say("produce of the one before", c.produce(leader, topic, 3, producer=older()))
    say("open one of the newest kind", c.add(topic, 0))
    say("produce in that", c.produce(leader, topic, 0))
    say("commit that", c.end_raising(COMMIT))
    say("commit nothing of the newest kind", c.end_raising(COMMIT))
    say("abort nothing of the newest kind", c.end_raising(ABORT))
    say("abort for another producer", c.end_raising(ABORT, producer=stranger()))
    say("abort for a later epoch", c.end_raising(ABORT, producer=newer()))
    return told


@test(needs=["java", "python"], limit_s=90)
def transaction_codes(env):
    found = []
    for node in (env.oracle(), env.shared_node()):
        topic, name = env.name(), env.name("id")
        topics.create(node.bootstrap, topic, 2)
        found.append(answers(node.bootstrap, leader_of(node, topic), topic, name))
    expected = {row["name"]: (row["kafka"], row["odradek"]) for row in allowed(env, "transaction")}
    compare(*found, expected)


def leader_of(node, topic):
    from confluent_kafka.admin import AdminClient
    metadata = AdminClient({"bootstrap.servers": node.bootstrap}).list_topics(topic, 20)
    leader = metadata.brokers[metadata.topics[topic].partitions[0].leader]
    return f"{leader.host}:{leader.port}"
