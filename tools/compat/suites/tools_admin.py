"""Kafka's tools for administrators: what they are asked every day, and what they must refuse."""
import json
import re
import urllib.request

from harness.process import wait_until
from harness.tests import test

from .java_tools import brokers, consume, create, produce

CLIENT = "Kafka's tools"

LINES = [f"k:{i}" for i in range(100)]


def refused(env, tool, *args, says, exit=1, **options):
    result = env.tool(tool, *args, exit=exit, **options)
    assert re.search(says, result.out + result.err), f"{tool} {args}: no {says!r} in\n{result.out}\n{result.err}"


def ids(env):
    return sorted(b.id for b in brokers(env))


@test(needs=["java", "python"])
def topic_command_errors(env):
    topic = env.name()
    many = len(ids(env)) + 1
    new = ("--create", "--topic", topic)
    refused(env, "TopicCommand", *new, "--partitions", 1, "--replication-factor", many, says="InvalidReplicationFactorException")
    refused(env, "TopicCommand", *new, "--partitions", 0, says="partitions")
    refused(env, "TopicCommand", *new, "--config", "no.such=1", says="Unknown topic config name: no.such")
    refused(env, "TopicCommand", *new, "--config", "retention.ms=odd", says="Invalid value odd for configuration retention.ms")
    refused(env, "TopicCommand", "--create", "--topic", "no good", says="InvalidTopicException")
    refused(env, "TopicCommand", *new, "--replica-assignment", "424242", says="InvalidReplicaAssignmentException|broker.*424242")
    refused(env, "TopicCommand", "--describe", "--topic", topic, says="does not exist")
    refused(env, "TopicCommand", "--delete", "--topic", topic, says="does not exist")
    refused(env, "TopicCommand", "--alter", "--topic", topic, "--partitions", 3, says="does not exist")
    for quiet in (("--describe",), ("--delete",), ("--alter", "--partitions", 3)):
        env.tool("TopicCommand", *quiet, "--if-exists", "--topic", topic)


@test(needs=["java", "python"])
def topic_command_assignment_and_filters(env):
    topic, last = env.name(), ids(env)[-1]
    env.tool("TopicCommand", "--create", "--topic", topic, "--replica-assignment", f"{last},{last}", "--config", "segment.bytes=2097152")

    def described(*options):
        return env.tool("TopicCommand", "--describe", *options).out

    wait_until("it shows", lambda: topic in env.tool("TopicCommand", "--list").out.split())
    out = described("--topic", topic)
    assert len(re.findall(rf"Leader: {last}\tReplicas: {last}\tIsr: {last}", out)) == 2, out
    assert topic in described("--topics-with-overrides")
    for none in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        assert described(none, "--topic", topic) == "", none
    topic_id = re.search(r"TopicId: (\S+)", out)[1]
    assert f"Topic: {topic}\t" in described("--topic-id", topic_id)
    assert "__consumer_offsets" not in env.tool("TopicCommand", "--list", "--exclude-internal").out


@test(needs=["java", "python"])
def config_command_of_brokers(env):
    last = ids(env)[-1]
    entity = ("--entity-type", "brokers")
    out = env.tool("ConfigCommand", "--describe", *entity, "--entity-name", last, "--all").out
    assert re.search(r"^  log\.dirs=\S+ sensitive=false", out, re.MULTILINE), out
    assert re.search(r"^  log\.retention\.hours=168 ", out, re.MULTILINE), out
    setting = "log.retention.ms"

    def default():
        return env.tool("ConfigCommand", "--describe", *entity, "--entity-default").out

    env.tool("ConfigCommand", "--alter", *entity, "--entity-default", "--add-config", f"{setting}=86400000000")
    try:
        wait_until("it shows", lambda: f"{setting}=86400000000" in default())
        topic = env.name()
        create(env, topic)
        wait_until("topics follow", lambda: "retention.ms=86400000000" in env.tool(
            "ConfigCommand", "--describe", "--topic", topic, "--all").out)
    finally:
        env.tool("ConfigCommand", "--alter", *entity, "--entity-default", "--delete-config", setting)
    wait_until("it is gone", lambda: setting not in default())
    refused(env, "ConfigCommand", "--alter", *entity, "--entity-default", "--add-config", "log.dirs=/nowhere", says="log.dirs")
    refused(env, "ConfigCommand", "--alter", *entity, "--entity-name", last, "--add-config", "log.retention.ms=odd", says="odd")
    refused(env, "ConfigCommand", "--alter", "--topic", env.name(), "--add-config", "retention.ms=1", says="UnknownTopicOrPartition")
    file = env.directory / f"{topic}.properties"
    file.write_text("retention.ms=7200000\nsegment.bytes=2097152\n")
    env.tool("ConfigCommand", "--alter", "--topic", topic, "--add-config-file", file)
    wait_until("it shows", lambda: "segment.bytes=2097152" in env.tool("ConfigCommand", "--describe", "--topic", topic).out)


@test(needs=["java"])
def config_command_of_quotas(env):
    def config(*what, **options):
        return env.tool("ConfigCommand", *what, **options).out

    name = env.name()
    client = ("--entity-type", "clients", "--entity-name", name)
    users = ("--entity-type", "users", "--entity-default")
    both = ("--entity-type", "users", "--entity-name", name, "--entity-type", "clients", "--entity-default")
    # (whom it is set for, what, how it shows)
    cases = (
        (client, "producer_byte_rate=1000000,consumer_byte_rate=2000000",
         rf"Quota configs for client-id '{name}' are .*producer_byte_rate=1000000\.0"),
        (users, "request_percentage=54321.5", r"Quota configs for the default user-principal are request_percentage=54321\.5"),
        (both, "controller_mutation_rate=12.5",
         rf"Quota configs for user-principal '{name}', the default client-id are controller_mutation_rate=12\.5"),
    )
    for entity, values, shown in cases:
        assert "Completed updating" in config("--alter", *entity, "--add-config", values)
        wait_until("it shows", lambda: re.search(shown, config("--describe", *entity)))
        names = ",".join(value.split("=")[0] for value in values.split(","))
        config("--alter", *entity, "--delete-config", names)
        wait_until("it is gone", lambda: not re.search(shown, config("--describe", *entity)))
    refused(env, "ConfigCommand", "--alter", *client, "--add-config", "producer_byte_rate=0", says="must be greater than 0")
    # Credentials are asked for along with quotas.
    user = ("--entity-type", "users", "--entity-name", name)
    assert config("--describe", *user) == "" and "SCRAM" not in config("--describe", "--entity-type", "users")
    if env.kind != "kafka":
        refused(env, "ConfigCommand", "--alter", *user, "--add-config", "SCRAM-SHA-256=[password=secret]", says="no authentication")


@test(needs=["java", "python"], limit_s=90)
def client_metrics_command(env):
    """What clients are to push is set and shown; a Java producer and librdkafka push it."""
    name = env.name("metrics")
    match = f"client_id={name}.*"

    def command(*what, tool="ClientMetricsCommand", **options):
        return env.tool(tool, *what, **options).out

    def described():
        return command("--describe", "--name", name)

    command("--alter", "--name", name, "--interval", 200, "--metrics", "org.apache.kafka.", "--match", match)
    wait_until("it shows", lambda: f"match={match}" in described())
    assert "interval.ms=200" in described() and "metrics=org.apache.kafka." in described(), described()
    assert name in command("--list").split()
    entity = ("--entity-type", "client-metrics", "--entity-name", name)
    assert "interval.ms=200" in command("--describe", *entity, tool="ConfigCommand")
    command("--alter", *entity, "--add-config", "interval.ms=100", tool="ConfigCommand")
    wait_until("it shows", lambda: "interval.ms=100" in described())
    refused(env, "ConfigCommand", "--alter", *entity, "--add-config", "interval.ms=99", says="between 100 and 3600000")
    refused(env, "ConfigCommand", "--alter", *entity, "--add-config", "match=[colour=red]", says="Illegal client matching pattern")
    refused(env, "ConfigCommand", "--alter", *entity, "--add-config", "colour=red", says="Unknown client metrics configuration")
    if env.kind != "kafka":
        pushed(env, name)
    command("--delete", "--name", name)
    wait_until("it is gone", lambda: name not in command("--list").split())


def pushed(env, name):
    from confluent_kafka import Producer

    node = env.shared_node()

    def series(client):
        with urllib.request.urlopen(f"http://{node.metrics}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return [line for line in lines if line.startswith(f'odradek_client_metric{{client_id="{client}"')]

    # Its topic is also its client's id.
    instance, = env.driver.scenario("Probe.clientMetrics", node.bootstrap, f"{name}-java", node.brokers)
    told = wait_until("the Java producer's show", lambda: series(f"{name}-java"))
    assert all(f'client_instance_id="{instance}"' in line for line in told), (instance, told)
    assert any('metric="org.apache.kafka.producer.' in line for line in told), told
    producer = Producer({"bootstrap.servers": node.bootstrap, "client.id": f"{name}-c"})
    producer.produce(f"{name}-java", b"v")
    told = wait_until("librdkafka's show", lambda: producer.poll(0.05) and False or series(f"{name}-c"))
    assert producer.flush(20) == 0
    assert any('metric="org.apache.kafka.producer.' in line for line in told), told


def group_of(env, count=100):
    """A topic of two partitions that a group has read to its end, without members."""
    topic, group = env.name(), env.name("g")
    create(env, topic, 2)
    produce(env, topic, [f"{i}:{i}" for i in range(count)])
    consume(env, topic, count, "--group", group)
    return topic, group


def offsets(env, group):
    out = env.tool("ConsumerGroupCommand", "--describe", "--group", group, "--offsets").out
    rows = [line.split() for line in out.splitlines() if line.startswith(group)]
    return {int(row[2]): row[3] for row in rows}


@test(needs=["java", "python"], limit_s=90)
def group_offset_reset(env):
    topic, group = group_of(env)
    ends = offsets(env, group)

    def reset(*how, run="--execute"):
        out = env.tool("ConsumerGroupCommand", "--group", group, "--topic", topic, "--reset-offsets", *how, run).out
        return {int(p): o for p, o in re.findall(rf"{group}\s+{topic}\s+(\d)\s+(\d+)", out)}

    both = {0: "0", 1: "0"}
    assert reset("--to-earliest", run="--dry-run") == both
    assert offsets(env, group) == ends, "after a dry run"
    assert reset("--to-earliest") == both == offsets(env, group)
    assert reset("--shift-by", 3) == {0: "3", 1: "3"}
    assert reset("--to-current") == {0: "3", 1: "3"}
    assert reset("--shift-by", -30) == both, "not before the beginning"
    assert reset("--to-offset", 10_000) == ends, "not behind the end"
    assert reset("--to-datetime", "2000-01-01T00:00:00.000") == both
    assert reset("--by-duration", "PT0S") == ends
    assert reset("--to-latest") == ends == offsets(env, group)
    only = env.tool("ConsumerGroupCommand", "--group", group, "--topic", f"{topic}:1", "--reset-offsets", "--to-offset", 7, "--export", "--dry-run").out
    assert f'"{group}","{topic}",1,7' in only or f"{topic},1,7" in only, only
    plan = env.directory / f"{topic}.csv"
    plan.write_text(f"{topic},0,5\n{topic},1,6\n")
    env.tool("ConsumerGroupCommand", "--group", group, "--reset-offsets", "--from-file", plan, "--execute")
    assert offsets(env, group) == {0: "5", 1: "6"}
    env.tool("ConsumerGroupCommand", "--group", group, "--delete-offsets", "--topic", f"{topic}:0")
    assert offsets(env, group)[1] == "6" and offsets(env, group).get(0, "-") == "-"


@test(needs=["java", "python"])
def consumer_group_command_with_members(env):
    from confluent_kafka import Consumer

    topic, group = group_of(env)
    member = Consumer({"bootstrap.servers": env.bootstrap, "group.id": group, "client.id": "the-client"})
    try:
        member.subscribe([topic])
        wait_until("it has both", lambda: member.poll(0.1) or len(member.assignment()) == 2)
        out = env.tool("ConsumerGroupCommand", "--describe", "--group", group, "--members", "--verbose").out
        assert re.search(rf"{group}\s.*the-client\s+2\s.*{topic}.*0,1", out), out
        state = env.tool("ConsumerGroupCommand", "--describe", "--group", group, "--state").out
        assert re.search(rf"{group}\s.*range\s+Stable\s+1", state), state
        out = env.tool("ConsumerGroupCommand", "--list", "--state").out
        assert re.search(rf"{group}\s.*Stable", out), out
        assert group not in env.tool("ConsumerGroupCommand", "--list", "--state", "Empty").out
        assert group in env.tool("ConsumerGroupCommand", "--describe", "--all-groups").out
        refused(env, "ConsumerGroupCommand", "--group", group, "--topic", topic, "--reset-offsets", "--to-earliest",
                "--execute", exit=0, says="Assignments can only be reset if the group .* is inactive")
        refused(env, "ConsumerGroupCommand", "--delete", "--group", group, says="GroupNotEmptyException|not empty", exit=0)
    finally:
        member.close()
    env.tool("ConsumerGroupCommand", "--delete", "--group", group)
    refused(env, "ConsumerGroupCommand", "--describe", "--group", group, says=f"{group}' does not exist|not found", exit=0)
    refused(env, "ConsumerGroupCommand", "--delete", "--group", group, says="GroupIdNotFoundException|not found", exit=0)


@test(needs=["java"])
def delete_records_command_errors(env):
    topic = env.name()
    create(env, topic)
    produce(env, topic, LINES)

    plan = env.directory / f"{topic}.json"

    def delete(*offsets):
        partitions = [{"topic": topic, "partition": 0, "offset": offset} for offset in offsets]
        plan.write_text(json.dumps({"partitions": partitions, "version": 1}))
        return env.tool("DeleteRecordsCommand", "--offset-json-file", plan).out

    assert "OffsetOutOfRangeException" in delete(101)
    assert re.search(rf"partition: {topic}-0\s+low_watermark: 100", delete(-1))
    plan.write_text("{}")
    refused(env, "DeleteRecordsCommand", "--offset-json-file", plan, says="partitions|Missing")


@test(needs=["java", "python"])
def log_dirs_command_of_some_brokers(env):
    first = ids(env)[0]
    out = env.tool("LogDirsCommand", "--describe", "--broker-list", first).out
    told = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    assert [b["broker"] for b in told["brokers"]] == [first], told
    assert [d["error"] for d in told["brokers"][0]["logDirs"]] == [None], told
    refused(env, "LogDirsCommand", "--describe", "--broker-list", "424242", says="424242")


@test(needs=["java", "python"])
def reassign_partitions_command_basics(env):
    topic = env.name()
    create(env, topic, 2)
    out = env.tool("ReassignPartitionsCommand", "--list").out
    assert "No partition reassignments found." in out, out
    plan = env.directory / f"{topic}.json"
    plan.write_text(json.dumps({"topics": [{"topic": topic}], "version": 1}))
    out = env.tool("ReassignPartitionsCommand", "--generate", "--topics-to-move-json-file", plan,
                   "--broker-list", ",".join(map(str, ids(env)))).out
    proposed = json.loads(out.splitlines()[-1])
    assert [(p["partition"], len(p["replicas"])) for p in proposed["partitions"]] == [(0, 1), (1, 1)], out
    refused(env, "ReassignPartitionsCommand", "--generate", "--topics-to-move-json-file", plan, "--broker-list", "424242", says="424242|broker")


@test(needs=["java"])
def leader_election_command_errors(env):
    topic = env.name()
    create(env, topic, 2)
    plan = env.directory / f"{topic}.json"
    plan.write_text(json.dumps({"partitions": [{"topic": topic, "partition": p} for p in (0, 1)]}))
    for kind in ("preferred", "unclean"):
        out = env.tool("LeaderElectionCommand", "--election-type", kind, "--path-to-json-file", plan).out
        assert "Valid replica already elected for partitions" in out and f"{topic}-1" in out, out
    env.tool("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
    refused(env, "LeaderElectionCommand", "--election-type", "preferred", "--topic", topic, "--partition", 9,
            says="UnknownTopicOrPartitionException|does not exist")


@test(needs=["java", "python"])
def cluster_tool_and_brokers(env):
    out = env.tool("ClusterTool", "list-endpoints", at_end=True).out
    for broker in brokers(env):
        assert re.search(rf"^{broker.id}\s+\S+\s+{broker.port}\s", out, re.MULTILINE), out
    refused(env, "ClusterTool", "unregister", "--id", "424242", at_end=True, exit=1, says="424242|not found|not registered")
    if env.kind != "kafka":
        # Brokers are the shards.
        for broker in ids(env):
            refused(env, "ClusterTool", "unregister", "--id", broker, at_end=True, exit=1,
                    says=rf"InvalidRequestException: broker {broker} is a shard of this node and cannot be unregistered: "
                    "start the node with fewer shards")
        assert len(ids(env)) == env.shared_node().brokers
    out = env.tool("BrokerApiVersionsCommand").out
    assert out.count("(id: ") == len(ids(env)), out


@test(needs=["java"])
def tools_without_a_server(env):
    """A tool that finds nobody says so and ends."""
    result = env.driver.tool(
        "BrokerApiVersionsCommand", "--bootstrap-server", "127.0.0.1:1", "--command-config", "/dev/null", timeout_s=50)
    assert result.exit != 0, result


@test(needs=["java"])
def metadata_quorum_command(env):
    def quorum(*how):
        return env.tool("MetadataQuorumCommand", "describe", *how).out

    status = dict(line.split(":", 1) for line in quorum("--status").splitlines())
    leader = status["LeaderId"].strip()
    assert re.search(rf'"id": {leader}\b', status["CurrentVoters"]), status
    assert int(status["HighWatermark"]) > 0 and int(status["MaxFollowerLag"]) == 0, status
    before = int(status["HighWatermark"])
    create(env, env.name())
    wait_until("it grows", lambda: int(re.search(r"HighWatermark:\s+(\d+)", quorum("--status"))[1]) > before)
    rows = [line.split() for line in quorum("--replication").splitlines()]
    assert rows[0][:4] == ["NodeId", "DirectoryId", "LogEndOffset", "Lag"], rows
    assert rows[1][0] == leader and rows[1][3] == "0" and rows[1][-1] == "Leader", rows
    refused(env, "MetadataQuorumCommand", "remove-controller", "--controller-id", "424242",
            "--controller-directory-id", "AAAAAAAAAAAAAAAAAAAAAQ", says="Exception|not")
