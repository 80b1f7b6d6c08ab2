"""Transactions of clients written by others, while they and the node are killed."""
import collections
import shutil
import subprocess
import time

from harness import topics
from harness.oracle import java_command
from harness.process import die_with_parent, wait_until
from harness.tests import test

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
except ImportError:
    pass  # every test here says that it needs it

PARTITIONS = 4
ACCOUNTS = 20
# Of the orders, how many may be ahead of what is booked: there is always something under way.
AHEAD = 1000
JAVA_FLAGS = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]


def producer(bootstrap, transactional_id, **settings):
    made = Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id, **settings})
    made.init_transactions(30)
    return made


def reader(bootstrap, isolation="read_committed"):
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "isolation.level": isolation,
                     "enable.auto.commit": False, "enable.partition.eof": False})


def values(bootstrap, topic, count, partitions=1, isolation="read_committed"):
    """So many, and a short look that no more follow."""
    consumer = reader(bootstrap, isolation)
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    found = []

    def more(wait_s=0.2):
        for message in consumer.consume(500, wait_s):
            assert message.error() is None, message.error()
            found.append(message.value().decode())
        return len(found) >= count
    try:
        wait_until(f"{count} values came", more, 30)
        more(0.3)
    finally:
        consumer.close()
    assert len(found) == count, f"{len(found)} instead of {count}"
    return found


@test(needs=["python"])
def librdkafka_commits_aborts_and_is_fenced(env):
    topic = env.name()
    topics.create(env.bootstrap, topic, 2)
    old = producer(env.bootstrap, topic)
    expected = []
    for i in range(9):
        old.begin_transaction()
        for p in range(2):
            old.produce(topic, f"{i}-{p}", partition=p)
        if i % 3 == 1:
            old.flush(20)
            old.abort_transaction(20)
            continue
        old.commit_transaction(20)
        expected += [f"{i}-0", f"{i}-1"]
    assert sorted(values(env.bootstrap, topic, 12, 2)) == expected
    assert len(values(env.bootstrap, topic, 18, 2, "read_uncommitted")) == 18
    old.begin_transaction()
    old.produce(topic, "late", partition=0)
    old.flush(20)
    newer = producer(env.bootstrap, topic)
    newer.begin_transaction()
    newer.produce(topic, "newer", partition=0)
    newer.commit_transaction(20)
    try:
        old.commit_transaction(20)
    except KafkaException as error:
        assert error.args[0].fatal() or error.args[0].txn_requires_abort(), error
    else:
        raise AssertionError("the older producer commits")
    assert sorted(values(env.bootstrap, topic, 13, 2)) == sorted([*expected, "newer"])


@test(needs=["python"])
def librdkafka_consumes_transforms_and_produces(env):
    source, sink, group = env.name("in"), env.name("out"), env.name("g")
    topics.create(env.bootstrap, source, 2)
    topics.create(env.bootstrap, sink, 1)
    plain = Producer({"bootstrap.servers": env.bootstrap})
    for i in range(200):
        plain.produce(source, str(i), partition=i % 2)
    assert plain.flush(20) == 0
    done, round_ = 0, 0
    while done < 200:
        # Every round a new one, as if the last had died; every third one dies before its commit.
        round_ += 1
        consumer = Consumer({"bootstrap.servers": env.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                             "enable.auto.commit": False, "isolation.level": "read_committed"})
        out = producer(env.bootstrap, sink)
        consumer.subscribe([source])
        taken = []

        def some(taken=taken, consumer=consumer):
            taken.extend(consumer.consume(40, 0.2))
            return taken
        wait_until("there is something to do", some, 30)
        out.begin_transaction()
        for message in taken:
            assert message.error() is None, message.error()
            out.produce(sink, message.value())
        out.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 20)
        if round_ % 3 == 2:
            out.flush(20)
        else:
            out.commit_transaction(20)
            done += len(taken)
        consumer.close()
    assert sorted(map(int, values(env.bootstrap, sink, 200))) == list(range(200))


class Worker:
    """A process that books orders, until it is killed."""

    def __init__(self, node, number, orders, bookings, directory):
        self.err = directory / f"worker-{number}.err"
        self.argv = java_command("compat.Transfers", node.bootstrap, f"{bookings}-{number}", f"{bookings}-g",
                                 orders, bookings, flags=JAVA_FLAGS)
        self.process = None
        self.start()

    def start(self):
        with open(self.err, "ab") as err:
            self.process = subprocess.Popen([str(a) for a in self.argv], stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                            preexec_fn=die_with_parent)

    def keep(self):
        """Starts it anew if it has ended: a failure of its own is as good as a kill."""
        if self.process.poll() is not None:
            self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Money:
    """Orders go in, never many more than are booked; each is to be booked once, on both sides, or the sum would
    not be constant."""

    def __init__(self, node, orders, bookings):
        self.orders, self.sent, self.count = orders, 0, 0
        self.booked = collections.defaultdict(list)
        self.producer = Producer({"bootstrap.servers": node.bootstrap, "enable.idempotence": True, "linger.ms": 1,
                                  "reconnect.backoff.max.ms": 500})
        self.consumer = reader(node.bootstrap)
        self.consumer.assign([TopicPartition(bookings, p, 0) for p in range(PARTITIONS)])

    @staticmethod
    def order(i):
        """(who pays, who gets it, amount)"""
        return str(i * 7 % ACCOUNTS), str((i * 7 + 1 + i % (ACCOUNTS - 1)) % ACCOUNTS), 1 + i % 9

    def step(self, more=True):
        while more and self.sent < self.count // 2 + AHEAD:
            self.producer.produce(self.orders, " ".join(map(str, (self.sent, *self.order(self.sent)))), partition=self.sent % PARTITIONS)
            self.sent += 1
        self.producer.poll(0)
        for message in self.consumer.consume(1000, 0.1):
            if message.error() is not None:
                # What a client says of a node that is away is no fault of the node.
                assert message.error().code() in (
                    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE), message.error()
                continue
            order, amount = message.value().decode().split()
            self.booked[int(order)].append((message.key().decode(), int(amount)))
            self.count += 1

    def check(self):
        assert self.producer.flush(30) == 0
        for message in self.consumer.consume(100, 1.0):
            raise AssertionError(f"booked again: {message.value()}")
        self.consumer.close()
        accounts = collections.Counter()
        for i in range(self.sent):
            payer, payee, amount = self.order(i)
            assert sorted(self.booked[i]) == sorted([(payer, -amount), (payee, amount)]), (i, self.booked[i])
            for account, change in self.booked[i]:
                accounts[account] += change
        assert len(self.booked) == self.sent and sum(accounts.values()) == 0


def _money(env, kills):
    """So many times somebody is killed, each time somebody else, in the middle of whatever it does: something has
    been booked since the last time."""
    node, orders, bookings = env.own_node(), env.name("orders"), env.name("bookings")
    topics.create(node.bootstrap, orders, PARTITIONS)
    topics.create(node.bootstrap, bookings, PARTITIONS)
    money = Money(node, orders, bookings)
    workers = [Worker(node, number, orders, bookings, env.directory) for number in range(2)]

    def step(more=True):
        for worker in workers:
            worker.keep()
        money.step(more)

    try:
        for kill in range(kills):
            deadline, before = time.monotonic() + 1.3 + kill % 3 * 0.4, money.count

            def enough(deadline=deadline, before=before):
                step()
                return time.monotonic() > deadline and money.count > before
            wait_until("something is booked", enough, interval_s=0)
            if kill % 2 == 0:
                node.kill()
                node.start()
            else:
                workers[kill // 2 % len(workers)].kill()
        wait_until("all orders are booked", lambda: step(more=False) or money.count >= 2 * money.sent, 60, interval_s=0)
        money.check()
    finally:
        for worker in workers:
            worker.kill()
    env.figures.append(f"transactions: {money.sent} orders booked during {kills} kills")


@test(needs=["python", "java"], limit_s=120)
def money_stays_what_it_is_whoever_is_killed(env):
    _money(env, 6)


@test(needs=["python", "java"], limit_s=900, full=True)
def money_stays_what_it_is_after_many_kills(env):
    _money(env, 60)


@test(needs=["python", "java"])
def transactions_command(env):
    """kafka-transactions.sh: what is open, and that nothing of it hangs."""
    topic, id_ = env.name(), env.name("id")
    topics.create(env.bootstrap, topic, 2)
    open_ = producer(env.bootstrap, id_)
    open_.begin_transaction()
    open_.produce(topic, "undecided", partition=1)
    open_.flush(20)

    def rows(*args):
        """By the names of their columns."""
        out = env.tool("TransactionsCommand", *args).out
        head, *lines = [line.split("\t") for line in out.splitlines() if line.strip()]
        names = [name.strip() for name in head]
        return [dict(zip(names, map(str.strip, line))) for line in lines]

    def listed(*options):
        found = [row for row in rows("list", *options) if row["TransactionalId"] == id_]
        return found[0] if found else None

    mine = listed()
    assert mine["TransactionState"] == "Ongoing", mine
    assert listed("--transactional-id-pattern", f"{id_}.*") == mine and not listed("--duration-filter", "3600000")
    described, = rows("describe", "--transactional-id", id_)
    assert described["TransactionState"] == "Ongoing" and described["TopicPartitions"] == f"{topic}-1", described
    assert (described["CoordinatorId"], described["ProducerId"]) == (mine["Coordinator"], mine["ProducerId"]), described
    assert int(described["TransactionTimeoutMs"]) == 60_000 and int(described["TransactionDurationMs"]) >= 0, described
    at_work, = rows("describe-producers", "--topic", topic, "--partition", "1")
    assert (at_work["ProducerId"], at_work["CurrentTransactionStartOffset"]) == (mine["ProducerId"], "0"), at_work
    for where in (("--topic", topic), ("--broker-id", described["CoordinatorId"])):
        hanging = rows("find-hanging", *where)
        assert hanging == [], hanging
    open_.abort_transaction(20)
    wait_until("it is over", lambda: listed()["TransactionState"] in ("Empty", "CompleteAbort"))
    wait_until("its marker is there", lambda: rows("describe-producers", "--topic", topic, "--partition", "1")[0][
        "CurrentTransactionStartOffset"] == "None")


@test(needs=["python", "java"])
def a_hanging_transaction_is_found_and_aborted(env):
    """Its coordinator has forgotten it, as nobody but a disk can make it."""
    node, topic, id_ = env.own_node(), env.name(), env.name("id")
    topics.create(node.bootstrap, topic, 2)
    at, plain = ("--topic", topic, "--partition", "1"), Producer({"bootstrap.servers": node.bootstrap})
    open_ = producer(node.bootstrap, id_)
    open_.begin_transaction()
    hour_ago = int(time.time() * 1000) - 3_600_000
    open_.produce(topic, "undecided", partition=1, timestamp=hour_ago)
    open_.flush(20)
    plain.produce(topic, "behind it", partition=1)
    assert plain.flush(20) == 0 and node.stop() == 0
    for directory in node.log_dir.glob("__transaction_state-*"):
        shutil.rmtree(directory)
    node.start()

    def tool(*args, exit=0):
        out = env.tool("TransactionsCommand", *args, bootstrap=node.bootstrap, exit=exit).out
        return [[cell.strip() for cell in line.split("\t")] for line in out.splitlines()[1:]]
    (found_topic, partition, _, epoch, _, start, *_), = tool("find-hanging", "--topic", topic)
    assert (found_topic, partition, epoch, start) == (topic, "1", "0", "0")
    values(node.bootstrap, topic, 0, 2)
    tool("abort", *at, "--start-offset", "1", exit=1)
    tool("abort", *at, "--start-offset", "0")
    assert values(node.bootstrap, topic, 1, 2) == ["behind it"]
    assert tool("find-hanging", "--topic", topic) == []


@test(needs=["java"])
def the_transaction_version_is_described_and_changed(env):
    node = env.own_node()

    def tool(*args, exit=0):
        return env.tool("FeatureCommand", *args, bootstrap=node.bootstrap, exit=exit).out

    def level():
        out = tool("describe")
        line = next(line for line in out.splitlines() if "transaction.version" in line)
        return line.split("FinalizedVersionLevel:")[1].split()[0]
    assert level() == "2"
    tool("downgrade", "--feature", "transaction.version=1")
    assert level() == "1"
    node.kill()
    node.start()
    assert level() == "1"
    tool("upgrade", "--feature", "transaction.version=2")
    assert level() == "2"
    tool("upgrade", "--feature", "transaction.version=3", exit=1)
