"""Kafka Streams with exactly_once_v2: whoever is killed, the output is that of a batch computation."""
import collections

from harness import jvm, paths, topics
from harness.process import Daemon, wait_until
from harness.tests import test

try:
    from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "Kafka Streams"
PARTITIONS = 4
CUSTOMERS = 24
WORDS = 40
WORDS_OF_A_LINE = 5
# Of the input, how much may be ahead of what has come out: there is always something under way.
AHEAD = 60


def line(i):
    return " ".join(f"word{(i * 7 + j * j * 3) % WORDS}" for j in range(WORDS_OF_A_LINE))


def order(i):
    """(customer, order): every customer has several."""
    return i * 5 % CUSTOMERS, f"order{i}"


class Flow:
    """Lines and orders go in, no more than AHEAD before what has come out: counts and shipments."""

    def __init__(self, bootstrap, app, total):
        self.app, self.total, self.sent = app, total, 0
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 1,
                                  "reconnect.backoff.max.ms": 500})
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "unused", "isolation.level": "read_committed",
            "enable.auto.commit": False, "reconnect.backoff.max.ms": 500})
        self.consumer.assign([TopicPartition(f"{app}-{t}", p, 0) for t in ("counts", "shipments") for p in range(PARTITIONS)])
        self.counts, self.shipments = collections.defaultdict(list), collections.defaultdict(list)
        self.seen = 0

    def expected(self, items):
        return items * (WORDS_OF_A_LINE + 1)

    def step(self):
        while self.sent < self.total and self.expected(self.sent - AHEAD) < self.seen:
            customer, name = order(self.sent)
            self.producer.produce(f"{self.app}-lines", line(self.sent), partition=self.sent % PARTITIONS)
            self.producer.produce(f"{self.app}-orders", name, f"customer{customer}", partition=customer % PARTITIONS)
            self.sent += 1
        self.producer.poll(0)
        for message in self.consumer.consume(500, 0.1):
            if message.error() is not None:
                # What a client says of a node that is away is no fault of the node.
                assert message.error().code() in (
                    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE), message.error()
                continue
            into = self.counts if message.topic().endswith("-counts") else self.shipments
            into[message.key().decode()].append(message.value().decode())
            self.seen += 1

    def until(self, items, programs):
        def reached():
            self.step()
            assert all(p.alive() for p in programs), "the application ended"
            return self.seen >= self.expected(items)
        wait_until(f"what {items} lines and orders lead to has come out", reached, 60, interval_s=0)

    def check(self):
        """All of it has come: nothing else may, and it is what a batch computation finds."""
        assert not self.consumer.consume(1, 1.0), "something more came out"
        self.consumer.close()
        words = collections.Counter(word for i in range(self.total) for word in line(i).split())
        for word, count in words.items():
            assert self.counts.pop(word) == [str(n + 1) for n in range(count)], f"counts of {word}"
        assert not self.counts, self.counts
        shipments = collections.defaultdict(list)
        for customer, name in map(order, range(self.total)):
            shipments[f"customer{customer}"].append(f"{name} of {customer}")
        assert self.shipments == shipments


def prepared(bootstrap, app):
    for topic in ("lines", "orders", "customers", "counts", "shipments"):
        topics.create(bootstrap, f"{app}-{topic}", PARTITIONS)
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for customer in range(CUSTOMERS):
        for value in "nobody", f"of {customer}":
            # Older than every order, by which it comes first into the join.
            producer.produce(f"{app}-customers", value, f"customer{customer}", partition=customer % PARTITIONS,
                             timestamp=1_700_000_000_000)
    assert producer.flush(20) == 0


def application(env, node, app):
    directory = env.own_directory()
    argv = jvm.command("compat.StreamsApp", node.bootstrap, app, directory / "state",
                       classpath=paths.ECOSYSTEM_CLASSPATH, directory=directory)
    return env.own_program(Daemon("Kafka Streams", argv, directory / "streams.log"))


def _exactly_once(env, total, instances, victims):
    """`victims`: who is killed, each after another part of the input; of several instances another each time."""
    node, app = env.own_node(), env.name("streams")
    prepared(node.bootstrap, app)
    programs = [application(env, node, app) for _ in range(instances)]
    flow = Flow(node.bootstrap, app, total)
    for program in programs:
        program.start()
    for n, victim in enumerate(victims):
        flow.until(total * (n + 1) // (len(victims) + 1), programs)
        program = programs[n % instances]
        if "application" in victim:
            program.kill()
        if "node" in victim:
            node.kill()
            node.start()
        if "application" in victim:
            program.start()
    flow.until(total, programs)
    flow.check()


@test(needs=["python", "ecosystem"], limit_s=110)
def counts_and_joins_are_exact_whoever_is_killed(env):
    _exactly_once(env, 400, 1, ["application", "node"])


@test(needs=["python", "ecosystem"], limit_s=400, full=True)
def two_instances_are_exact_after_many_kills(env):
    _exactly_once(env, 2000, 2, ["application", "node", "application", "application and node"] * 2)


@test(needs=["python", "java", "ecosystem"], limit_s=150, full=True)
def an_application_that_is_reset_begins_anew(env):
    """kafka-streams-application-reset: all comes once more."""
    node, app, total = env.own_node(), env.name("streams"), 200
    prepared(node.bootstrap, app)
    flow = Flow(node.bootstrap, app, total)
    for round_ in 1, 2:
        program = application(env, node, app)
        program.start()
        flow.until(round_ * total, [program])
        program.kill()
        # Its members are not yet known to be gone.
        inputs = ",".join(f"{app}-{topic}" for topic in ("lines", "orders", "customers"))
        told = env.tool("StreamsResetter", "--application-id", app, "--input-topics", inputs, "--force", bootstrap=node.bootstrap)
        assert f"{app}-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog" in told.out, told
    for came in flow.counts, flow.shipments:
        for key, values in came.items():
            once = len(values) // 2
            assert values[:once] == values[once:], (key, values)
            came[key] = values[:once]
    flow.check()
