"""Kafka's own command line tools, each as its script would run it."""
import json
import re

from harness.process import wait_until
from harness.tests import test

CLIENT = "Kafka's tools"

LINES = [f"key{i % 7}:value {i}" for i in range(500)]


def create(env, topic, partitions=1, *config):
    options = [o for c in config for o in ("--config", c)]
    result = env.tool("TopicCommand", "--create", "--topic", topic, "--partitions", partitions, *options)

    def ready():
        # See harness/topics.py.
        got = env.driver.tool("GetOffsetShell", "--bootstrap-server", env.bootstrap, "--topic", topic)
        return got.exit == 0 and len(got.out.split()) == partitions

    wait_until(f"{topic} is ready", ready)
    return result


def produce(env, topic, lines, *options):
    result = env.tool(
        "ConsoleProducer", "--topic", topic, *options,
        "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
        stdin="".join(line + "\n" for line in lines))
    assert "ERROR" not in result.out + result.err and "Exception" not in result.err, result


def consume(env, topic, count, *options, start=("--from-beginning",)):
    """Every record as `partition, offset, key:value`. Ends by itself if too few come."""
    result = env.tool(
        "ConsoleConsumer", "--topic", topic, *start, "--timeout-ms", 15_000, "--max-messages", count,
        "--formatter-property", "print.key=true", "--formatter-property", "key.separator=:",
        "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true", *options)
    assert f"Processed a total of {count} messages" in result.err, result.err
    rows = []
    for line in result.out.splitlines():
        partition, offset, rest = re.fullmatch(r"Partition:(\d+):Offset:(\d+):(.*)", line).groups()
        rows.append((int(partition), int(offset), rest))
    return rows


def events(result, name):
    return [e for e in map(json.loads, result.out.splitlines()) if e["name"] == name]


@test(needs=["java"])
def topic_command(env):
    topic = env.name()
    assert f"Created topic {topic}." in create(env, topic, 3, "retention.ms=7200000").out
    assert topic in env.tool("TopicCommand", "--list").out.split()
    out = env.tool("TopicCommand", "--describe", "--topic", topic).out
    assert re.search(rf"Topic: {topic}\tTopicId: \S{{22}}\tPartitionCount: 3\tReplicationFactor: 1\t", out), out
    assert "retention.ms=7200000" in out
    assert len(re.findall(r"Partition: \d\tLeader: (\d+)\tReplicas: \1\tIsr: \1", out)) == 3, out
    assert "already exists" in env.tool("TopicCommand", "--create", "--topic", topic, exit=1).out
    create_again = env.tool("TopicCommand", "--create", "--if-not-exists", "--topic", topic)
    assert "Created" not in create_again.out
    assert env.tool("TopicCommand", "--describe", "--unavailable-partitions").out == ""
    env.tool("TopicCommand", "--delete", "--topic", topic)
    assert "does not exist" in env.tool("TopicCommand", "--describe", "--topic", topic, exit=1).out


@test(needs=["java"])
def console_producer_and_consumer(env):
    topic = env.name()
    create(env, topic)
    produce(env, topic, LINES)
    assert consume(env, topic, 500) == [(0, i, line) for i, line in enumerate(LINES)]


def _codec(codec):
    @test(needs=["java"])
    def run(env):
        topic = env.name()
        create(env, topic)
        produce(env, topic, LINES, "--compression-codec", codec)
        assert consume(env, topic, 500) == [(0, i, line) for i, line in enumerate(LINES)]
    run.__module__ = __name__
    return run


console_gzip, console_snappy, console_lz4, console_zstd = map(_codec, ("gzip", "snappy", "lz4", "zstd"))


@test(needs=["java"])
def console_by_key_over_partitions(env):
    topic = env.name()
    create(env, topic, 4)
    produce(env, topic, LINES)
    rows = consume(env, topic, 500)
    assert sorted(line for _, _, line in rows) == sorted(LINES)
    for key in {line.split(":")[0] for line in LINES}:
        mine = [r for r in rows if r[2].startswith(key + ":")]
        assert len({r[0] for r in mine}) == 1, f"{key} is in several partitions"
        assert [r[2] for r in mine] == [line for line in LINES if line.startswith(key + ":")], f"order of {key}"


@test(needs=["java"])
def console_from_an_offset(env):
    topic = env.name()
    create(env, topic, 2)
    produce(env, topic, [f"k:{i}" for i in range(100)])
    last = consume(env, topic, 100)[-1]
    rows = consume(env, topic, 10, start=("--partition", last[0], "--offset", 90))
    assert [r[1] for r in rows] == list(range(90, 100))


@test(needs=["java"])
def consumer_group_command(env):
    topic, group = env.name(), env.name("g")
    create(env, topic)
    produce(env, topic, LINES)
    consume(env, topic, 500, "--group", group)

    def described():
        out = env.tool("ConsumerGroupCommand", "--describe", "--group", group).out
        row = next(line.split() for line in out.splitlines() if line.startswith(group))
        return dict(zip(("group", "topic", "partition", "current", "end", "lag"), row))

    assert group in env.tool("ConsumerGroupCommand", "--list").out.split()
    row = described()
    assert (row["topic"], row["current"], row["end"], row["lag"]) == (topic, "500", "500", "0"), row
    produce(env, topic, LINES[:20])
    assert described()["lag"] == "20"
    state = env.tool("ConsumerGroupCommand", "--describe", "--group", group, "--state").out
    assert re.search(rf"{group}\s.*\sEmpty\s+0", state), state
    reset = env.tool(
        "ConsumerGroupCommand", "--group", group, "--topic", topic, "--reset-offsets", "--to-offset", 123, "--execute")
    assert re.search(rf"{topic}\s+0\s+123", reset.out), reset.out
    assert described()["current"] == "123"
    env.tool("ConsumerGroupCommand", "--delete", "--group", group)
    assert group not in env.tool("ConsumerGroupCommand", "--list").out.split()


@test(needs=["java"])
def get_offset_shell(env):
    topic = env.name()
    create(env, topic, 2)
    produce(env, topic, LINES)
    out = env.tool("GetOffsetShell", "--topic", topic).out.split()
    ends = {line.rsplit(":", 1)[0]: int(line.rsplit(":", 1)[1]) for line in out}
    assert set(ends) == {f"{topic}:0", f"{topic}:1"} and sum(ends.values()) == 500, ends
    out = env.tool("GetOffsetShell", "--topic", topic, "--time", "earliest").out.split()
    assert out == [f"{topic}:0:0", f"{topic}:1:0"], out
    out = env.tool("GetOffsetShell", "--topic-partitions", f"{topic}:0", "--time", "max-timestamp").out.split()
    assert len(out) == 1 and int(out[0].rsplit(":", 1)[1]) < ends[f"{topic}:0"], out


@test(needs=["java"])
def verifiable_producer_and_consumer(env):
    topic, group = env.name(), env.name("g")
    create(env, topic, 3)
    result = env.tool("VerifiableProducer", "--topic", topic, "--max-messages", 1000, "--repeating-keys", 11)
    sent = events(result, "producer_send_success")
    assert len(sent) == 1000 and not events(result, "producer_send_error")
    assert (events(result, "tool_data")[0]["sent"], events(result, "tool_data")[0]["acked"]) == (1000, 1000)
    for partition in range(3):
        offsets = [e["offset"] for e in sent if e["partition"] == partition]
        assert offsets == list(range(len(offsets))), f"offsets told of partition {partition}"

    result = env.tool(
        "VerifiableConsumer", "--topic", topic, "--group-id", group, "--max-messages", 1000, "--verbose")
    got = {(e["partition"], e["offset"]): e["value"] for e in events(result, "record_data")}
    assert got == {(e["partition"], e["offset"]): e["value"] for e in sent}
    committed = events(result, "offsets_committed")
    assert committed and all(e["success"] for e in committed), committed


@test(needs=["java"])
def verifiable_producer_acks(env):
    for acks in (0, 1):
        topic = env.name()
        create(env, topic)
        result = env.tool("VerifiableProducer", "--topic", topic, "--max-messages", 200, "--acks", acks)
        assert events(result, "tool_data")[0]["acked"] == 200, result.out[-500:]
        assert len(consume(env, topic, 200)) == 200


@test(needs=["java"])
def broker_api_versions_command(env):
    out = env.tool("BrokerApiVersionsCommand").out
    assert out.count("(id: ") == env.shared_node().brokers, out
    # What a client cannot do without, at the newest version that it knows.
    for api in ("Produce", "Fetch", "ListOffsets", "Metadata", "OffsetCommit", "OffsetFetch", "FindCoordinator",
                "JoinGroup", "Heartbeat", "LeaveGroup", "SyncGroup", "ApiVersions", "CreateTopics", "InitProducerId"):
        match = re.search(rf"\t{api}\(\d+\): (?:\d+ to )?(\d+) \[usable: (\d+)\]", out)
        assert match and match.group(1) == match.group(2), f"{api}: {match and match.group(0)}"


@test(needs=["java"])
def config_command_describe(env):
    topic = env.name()
    create(env, topic, 1, "segment.bytes=2097152")
    out = env.tool("ConfigCommand", "--describe", "--topic", topic).out
    assert "segment.bytes=2097152" in out, out
    out = env.tool("ConfigCommand", "--describe", "--topic", topic, "--all").out
    assert re.search(r"^  retention\.ms=604800000 ", out, re.MULTILINE), out


@test(needs=["java"])
def topic_command_alter(env):
    topic = env.name()
    create(env, topic, 2)
    env.tool("TopicCommand", "--alter", "--topic", topic, "--partitions", 4)
    wait_until("it has grown", lambda: "PartitionCount: 4" in env.tool("TopicCommand", "--describe", "--topic", topic).out)
    env.tool("TopicCommand", "--alter", "--topic", topic, "--partitions", 3, exit=1)


@test(needs=["java"])
def config_command_alter(env):
    topic = env.name()
    create(env, topic)
    env.tool("ConfigCommand", "--alter", "--topic", topic, "--add-config", "retention.ms=7200000,cleanup.policy=[compact,delete]")

    def own():
        return env.tool("ConfigCommand", "--describe", "--topic", topic).out

    wait_until("it shows", lambda: "retention.ms=7200000" in own())
    assert "cleanup.policy=compact,delete" in own(), own()
    env.tool("ConfigCommand", "--alter", "--topic", topic, "--delete-config", "retention.ms")
    wait_until("it is gone", lambda: "retention.ms=" not in own())
    failed = env.tool("ConfigCommand", "--alter", "--topic", topic, "--add-config", "no.such=1", exit=1)
    assert "InvalidConfigurationException" in failed.out + failed.err, failed
    broker = min(b.id for b in brokers(env))
    rate = "leader.replication.throttled.rate"
    env.tool("ConfigCommand", "--alter", "--entity-type", "brokers", "--entity-name", broker, "--add-config", f"{rate}=1000")

    def throttle():
        return env.tool("ConfigCommand", "--describe", "--entity-type", "brokers", "--entity-name", broker).out

    wait_until("it shows", lambda: f"{rate}=1000" in throttle())
    env.tool("ConfigCommand", "--alter", "--entity-type", "brokers", "--entity-name", broker, "--delete-config", rate)
    wait_until("it is gone", lambda: f"{rate}=1000" not in throttle())


def brokers(env):
    from confluent_kafka.admin import AdminClient
    return AdminClient({"bootstrap.servers": env.bootstrap}).list_topics(timeout=20).brokers.values()


@test(needs=["java"])
def delete_records_command(env):
    topic = env.name()
    create(env, topic)
    produce(env, topic, LINES[:50])
    plan = env.directory / f"{topic}.json"
    plan.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "offset": 20}], "version": 1}))
    out = env.tool("DeleteRecordsCommand", "--offset-json-file", plan).out
    assert re.search(rf"partition: {topic}-0\s+low_watermark: 20", out), out
    assert consume(env, topic, 30)[0][1] == 20


@test(needs=["java"])
def log_dirs_command(env):
    topic = env.name()
    create(env, topic, 3)
    produce(env, topic, LINES)
    out = env.tool("LogDirsCommand", "--describe", "--topic-list", topic).out
    told = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    assert len(told["brokers"]) == env.shared_node().brokers, told
    sizes = {p["partition"]: p["size"] for b in told["brokers"] for d in b["logDirs"] for p in d["partitions"]}
    assert sorted(sizes) == [f"{topic}-{p}" for p in range(3)] and sum(sizes.values()) > 5000, sizes


@test(needs=["java"], limit_s=90)
def partitions_move_between_log_directories(env):
    home, topic = env.own_directory(), env.name()
    dirs = [str(home / name) for name in "ab"]
    node = env.own_node(log_dirs=",".join(dirs))

    def places():
        out = env.tool("LogDirsCommand", "--describe", "--topic-list", topic, bootstrap=node.bootstrap).out
        told = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
        assert {d["logDir"] for b in told["brokers"] for d in b["logDirs"]} == set(dirs), told
        assert {d["error"] for b in told["brokers"] for d in b["logDirs"]} == {None}, told
        return {(p["partition"], p["isFuture"]): (b["broker"], d["logDir"])
                for b in told["brokers"] for d in b["logDirs"] for p in d["partitions"]}

    env.tool("TopicCommand", "--create", "--topic", topic, "--partitions", 2, bootstrap=node.bootstrap)
    wait_until("both partitions are there", lambda: len(places()) == 2)
    result = env.driver.tool(
        "ProducerPerformance", "--topic", topic, "--num-records", 2000, "--record-size", 500, "--throughput", -1,
        "--command-property", f"bootstrap.servers={node.bootstrap}")
    assert result.exit == 0 and "2000 records sent" in result.out, result
    before = places()
    assert sorted(d for _, d in before.values()) == dirs, before
    other = dict(zip(dirs, reversed(dirs)))
    plan = env.directory / f"{topic}.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": p, "replicas": [before[f"{topic}-{p}", False][0]],
         "log_dirs": [other[before[f"{topic}-{p}", False][1]]]} for p in (0, 1)]}))
    env.tool("ReassignPartitionsCommand", "--execute", "--reassignment-json-file", plan, bootstrap=node.bootstrap)
    wanted = {key: (broker, other[directory]) for key, (broker, directory) in before.items()}
    wait_until("both partitions have moved", lambda: places() == wanted)
    out = env.tool("ReassignPartitionsCommand", "--verify", "--reassignment-json-file", plan, bootstrap=node.bootstrap).out
    assert "in progress" not in out and len(re.findall("completed successfully", out)) == 2, out
    result = env.tool("ConsumerPerformance", "--topic", topic, "--num-records", 2000, bootstrap=node.bootstrap)
    assert int(result.out.splitlines()[-1].split(", ")[4]) == 2000, result.out


@test(needs=["java"])
def leader_election_command(env):
    topic = env.name()
    create(env, topic)
    out = env.tool("LeaderElectionCommand", "--election-type", "preferred", "--topic", topic, "--partition", 0).out
    assert "Valid replica already elected for partitions" in out, out


@test(needs=["java"])
def cluster_tool(env):
    out = env.tool("ClusterTool", "cluster-id", at_end=True).out
    assert re.search(r"Cluster ID: \S+", out), out


@test(needs=["java"])
def producer_performance(env):
    topic = env.name()
    create(env, topic, 2)
    result = env.driver.tool(
        "ProducerPerformance", "--topic", topic, "--num-records", 5000, "--record-size", 500, "--throughput", -1,
        "--command-property", f"bootstrap.servers={env.bootstrap}")
    assert result.exit == 0 and "5000 records sent" in result.out, result
    result = env.tool("ConsumerPerformance", "--topic", topic, "--num-records", 5000)
    fields = result.out.splitlines()[-1].split(", ")
    assert int(fields[4]) == 5000, result.out
