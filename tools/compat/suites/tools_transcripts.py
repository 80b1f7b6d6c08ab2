"""Kafka's tools for groups, Streams applications and transactions print the same against Apache Kafka and
against the node, but for what differences.toml lists."""
import re

from harness import messages, topics
from harness.process import wait_until
from harness.tests import test

from .differential import allowed, compare
from .group_codes import OK, Group, subscribed
from .transaction_codes import COMMIT, Coordinator, leader_of

try:
    from confluent_kafka import Producer
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "Kafka's tools"

# What no two servers have in common.
OWN = (
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"\b\d{13}\b"), "TIME"),
    (re.compile(r"\b(broker |[pP]roducerId=)\d+"), r"\1N"),
)
LISTED_NAMES = re.compile(r"\[([\w.-]+(?:, [\w.-]+)+)\]")
# Of an exception, and of a client's log, to which one that is closed may yet add.
TRACE = re.compile(r"^\s*(at |Caused by: |\.\.\. \d+ more|\[kafka-admin-client-thread)")


class Transcript:
    """What one server's tools print. `names` are the script's own, by what they are to be called."""

    def __init__(self, env, node, **names):
        self.env, self.node, self.told, self.names = env, node, {}, {}
        self.call(**names)

    def call(self, **names):
        self.names.update({str(value): name for name, value in names.items()})

    def run(self, tool, *args):
        where = ["--bootstrap-server", self.node.bootstrap]
        return self.env.driver.tool(tool, *where, *args)

    def tool(self, what, tool, *args, only="", columns=None):
        """`only`: lines that match. `columns`: of a table separated by tabs, these alone."""
        result = self.run(tool, *args)
        lines = [line for line in (result.out + result.err).splitlines() if line.strip() and not TRACE.match(line)]
        if columns is not None and result.exit == 0:
            lines = self._of(columns, lines)
        lines = [self.without_names(line) for line in lines if re.search(only, line)]
        # Some tools print sets.
        self.say(what, f"exit {result.exit}: {' | '.join(sorted(lines))}")

    def say(self, what, answer):
        assert what not in self.told, what
        self.told[what] = str(answer)

    def _of(self, columns, lines):
        head, *rows = [[cell.strip() for cell in line.split("\t")] for line in lines]
        return [" ".join(f"{name}={row[head.index(name)]}" for name in columns) for row in rows]

    def without_names(self, line):
        for pattern, name in OWN:
            line = pattern.sub(name, line)
        for value in sorted(self.names, key=len, reverse=True):
            line = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", self.names[value], line)
        line = LISTED_NAMES.sub(lambda found: f"[{', '.join(sorted(found[1].split(', ')))}]", line)
        return " ".join(line.split())


def compared(env, script):
    found = [script(env, node) for node in (env.oracle(), env.shared_node())]
    expected = {row["line"]: (row["kafka"], row["odradek"]) for row in allowed(env, "tool") if row["script"] == script.__name__}
    compare(*found, expected)


def newest(node, *apis):
    return {api: messages.versions(api, node.bootstrap)[1] for api in apis}


def group(node, name):
    return Group(node, newest(
        node, "Heartbeat", "JoinGroup", "SyncGroup", "OffsetCommit", "OffsetFetch", "LeaveGroup", "DeleteGroups",
        "DescribeGroups"), name)


def joined(group, **fields):
    """One member, the only one; and what it has to say when it leaves."""
    member = group.join(**fields)[1]
    assert group.join(member, **fields)[0][0] == OK
    assert group.sync(member, 1, [(member, b"")], protocol_type=fields.get("protocol_type", "consumer"))[0] == OK
    return member


def groups(env, node):
    prefix, topic = env.name("groups"), env.name()
    topics.create(node.bootstrap, topic)
    id_ = messages.topic_id(node.bootstrap, topic)
    consumer, connect, simple = (group(node, f"{prefix}-{kind}") for kind in ("consumer", "connect", "simple"))
    consumer.metadata = subscribed(topic)
    members = [(consumer, joined(consumer)), (connect, joined(connect, protocol_type="connect"))]
    assert simple.commit((topic, id_), "", -1) == [OK]
    t = Transcript(env, node, G=prefix)

    def listed(*options):
        t.tool(" ".join(options) or "all", "GroupsCommand", "--list", *options, only=f"{prefix}|^GROUP|Error|Exception|must")

    listed()
    for type_ in ("classic", "consumer", "share", "streams", "odd"):
        listed("--group-type", type_)
    for protocol in ("consumer", "connect", "odd", ""):
        listed("--protocol", protocol)
    for kind in ("--consumer", "--share", "--streams"):
        listed(kind)
    listed("--group-type", "classic", "--protocol", "connect")
    listed("--consumer", "--share")
    t.tool("no action", "GroupsCommand", only="Error|Exception|must")
    for one, member in members:
        one.leave(member)
    for one in (consumer, connect, simple):
        one.delete()
    return t.told


@test(needs=["java", "python"])
def groups_command(env):
    compared(env, groups)


def reset(env, node):
    """kafka-streams-application-reset: input offsets are set back, internal topics are deleted."""
    app = env.name("app")
    first, second, through = (f"{app}.{name}" for name in ("first", "second", "through"))
    internal = [f"{app}-counts-changelog", f"{app}-words-repartition"]
    other = f"{app}-own"
    for topic in (first, second, through, *internal, other):
        topics.create(node.bootstrap, topic, 2, retention_ms=-1)
    producer = Producer({"bootstrap.servers": node.bootstrap})
    for topic in (first, second, through):
        for i in range(20):
            producer.produce(topic, str(i), partition=i % 2, timestamp=1_700_000_000_000 + i * 1000)
    assert producer.flush(20) == 0
    one = group(node, app)
    ids = {topic: messages.topic_id(node.bootstrap, topic) for topic in (first, second, through)}
    t = Transcript(env, node, APP=app)

    def offsets():
        answers = [one.fetch(((topic, ids[topic]), 0, 1)) for topic in (first, second, through)]
        return [[offset for _, offset, *_ in partitions] for _, partitions in answers]

    def commit(offset=8):
        for topic in (first, second, through):
            for partition in (0, 1):
                assert one.commit((topic, ids[topic]), "", -1, partition, offset) == [OK]

    def run(what, *options):
        t.tool(what, "StreamsResetter", "--application-id", app, *options)
        t.say(f"{what}: offsets", offsets())

    inputs = ("--input-topics", f"{first},{second}")
    run("of nothing", "--dry-run")
    commit()
    run("dry", *inputs, "--dry-run")
    only = ("--internal-topics", internal[0])
    run("dry, of one internal topic", *inputs, *only, "--dry-run")
    run("of what is not internal", *inputs, "--internal-topics", other, "--dry-run")
    run("of what is not there", "--input-topics", f"{app}.none", "--dry-run")
    # Every run deletes internal topics; one to come is told which.
    run("to an offset", *inputs, *only, "--to-offset", 3)
    wait_until("it is gone", lambda: internal[0] not in t.run("TopicCommand", "--list").out.split())
    plan = env.directory / f"{app}.csv"
    plan.write_text(f"{first},0,2\n{first},1,4\n")
    for what, options in (
        ("by a shift", ("--shift-by", -2)),
        ("far behind the end", ("--shift-by", 50)),
        ("to a time", ("--to-datetime", "2023-11-14T22:13:25.000")),
        ("to a time to come", ("--to-datetime", "2100-01-01T00:00:00.000")),
        ("by a duration", ("--by-duration", "PT1M")),
        ("to the end", ("--to-latest",)),
        ("to the beginning", ("--to-earliest",)),
        ("two ways", ("--to-latest", "--to-earliest")),
    ):
        run(what, *inputs, *options, "--dry-run")
    run("by a plan", "--input-topics", first, "--from-file", plan, "--dry-run")
    one.metadata = subscribed(first)
    member = joined(one)
    t.call(MEMBER=member)
    run("while it has a member", *inputs)
    t.say("the member is there", one.heartbeat(member, 1))
    run("by force", *inputs, "--intermediate-topics", through, "--force")
    t.say("the member is gone", one.heartbeat(member, 1))
    wait_until("it is gone, too", lambda: internal[1] not in t.run("TopicCommand", "--list").out.split())
    t.say("others are not", other in t.run("TopicCommand", "--list").out.split())
    one.delete()
    return t.told


@test(needs=["java", "python"], limit_s=90)
def streams_resetter(env):
    compared(env, reset)


LISTED = ("TransactionalId", "ProducerId", "TransactionState")
DESCRIBED = ("TransactionalId", "ProducerId", "ProducerEpoch", "TransactionState", "TransactionTimeoutMs", "TopicPartitions")
PRODUCERS = ("ProducerId", "ProducerEpoch", "LatestCoordinatorEpoch", "LastSequence", "CurrentTransactionStartOffset")


def transactions(env, node):
    topic, name = env.name(), env.name("id")
    topics.create(node.bootstrap, topic, 2, retention_ms=-1)
    leader = leader_of(node, topic)
    at = ("--topic", topic, "--partition", 0)
    t = Transcript(env, node, TOPIC=topic, ID=name)

    def tool(what, *args, **options):
        t.tool(what, "TransactionsCommand", *args, **options)

    def look(when):
        tool(f"list, {when}", "list", only=name, columns=LISTED)
        tool(f"describe, {when}", "describe", "--transactional-id", name, columns=DESCRIBED)
        tool(f"producers, {when}", "describe-producers", *at, columns=PRODUCERS)

    def begun(producer):
        assert producer.add(topic, 0) == [OK] and producer.produce(leader, topic, producer.sequence) == OK
        producer.sequence += 1

    tool("describe what is not there", "describe", "--transactional-id", name)
    tool("force what is not there", "forceTerminateTransaction", "--transactionalId", env.name("none"))
    tool("producers, before all", "describe-producers", *at)
    tool("find hanging anywhere", "find-hanging")
    tool("find hanging in a partition of any topic", "find-hanging", "--partition", 0)
    tool("abort without saying what", "abort", *at)
    tool("abort with half of it", "abort", *at, "--producer-id", 1)
    producer = Coordinator(node.bootstrap, name)
    assert producer.init() == OK
    producer.sequence = 0
    look("nothing begun")
    begun(producer)
    look("one open")
    tool("list long ones", "list", "--duration-filter", 3_600_000, only=name, columns=LISTED)
    tool("list by pattern", "list", "--transactional-id-pattern", f"{name}.?", only=name, columns=LISTED)
    tool("list by a pattern that does not fit", "list", "--transactional-id-pattern", f"{name}.", columns=LISTED)
    tool("list by no pattern", "list", "--transactional-id-pattern", "(")
    tool("find hanging", "find-hanging", "--topic", topic)
    tool("find hanging at once", "find-hanging", *at, "--max-transaction-timeout", 0)
    tool("abort where none begins", "abort", *at, "--start-offset", 7)
    tool("abort", "abort", *at, "--start-offset", 0)
    look("aborted behind its coordinator")
    tool("abort again", "abort", *at, "--start-offset", 0)
    t.say("commit what was aborted behind it", producer.end(COMMIT))
    producer.sequence = 0
    assert producer.init() == OK
    begun(producer)
    tool("abort as of old", "abort", *at, "--producer-id", producer.producer[0], "--producer-epoch", producer.producer[1],
         "--coordinator-epoch", 0)
    look("aborted as of old")
    tool("abort for an older epoch", "abort", *at, "--producer-id", producer.producer[0], "--producer-epoch", 0,
         "--coordinator-epoch", 0)
    t.say("commit what was aborted so", producer.end(COMMIT))
    producer.sequence = 0
    assert producer.init() == OK
    begun(producer)
    tool("force", "forceTerminateTransaction", "--transactionalId", name)
    look("forced")
    t.say("commit what was forced", producer.end(COMMIT))
    tool("force again", "forceTerminateTransaction", "--transactionalId", name)
    return t.told


@test(needs=["java", "python"], limit_s=90)
def transactions_command(env):
    compared(env, transactions)
