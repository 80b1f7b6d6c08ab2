"""The same questions to an Apache Kafka and to the node; differences.toml says what may differ."""
import struct
import tomllib

from harness import frames, paths, topics, wire
from harness.process import wait_until
from harness.tests import test

try:
    from confluent_kafka import ElectionType, KafkaException, TopicPartition
    from confluent_kafka.admin import (
        AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions)
except ImportError:
    pass  # every test here says that it needs it


def allowed(env, section):
    if env.kind == "kafka":
        return []  # it is compared with itself
    with open(paths.COMPAT / "differences.toml", "rb") as f:
        return tomllib.load(f).get(section, [])


def compare(kafka, ours, expected):
    """`expected`: {name: (kafka's, ours)} as listed. All differences at once."""
    found = {n: (kafka.get(n), ours.get(n)) for n in sorted({*kafka, *ours}) if kafka.get(n) != ours.get(n)}
    problems = [f"{n}: Kafka {k!r}, here {o!r}, not listed" for n, (k, o) in found.items() if n not in expected]
    problems += [
        f"{n}: listed as {expected[n]!r}, found {found.get(n, 'no difference')!r}"
        for n in sorted(expected) if found.get(n) != expected[n]]
    assert not problems, "\n" + "\n".join(problems)


@test(needs=["java"])
def api_versions(env):
    kafka = wire.api_versions(env.oracle().bootstrap)
    ours = wire.api_versions(env.bootstrap)
    expected = {}
    for group in allowed(env, "absent"):
        for api in group["apis"]:
            key = int(api.split()[0])
            expected[key] = (kafka.get(key), None)
    for group in allowed(env, "more"):
        for api in group["apis"]:
            key = int(api.split()[0])
            expected[key] = (None, ours.get(key))
    for row in allowed(env, "versions"):
        key = int(row["api"].split()[0])
        expected[key] = (tuple(row["kafka"]), tuple(row["odradek"]))
    compare(kafka, ours, expected)
    for address in env.shared_node().broker_addresses:
        assert wire.api_versions(address) == ours, f"{address} tells otherwise than the bootstrap port"


@test(needs=["java"])
def features(env):
    """The supported and finalized features that ApiVersions v4 tells."""
    kafka = wire.features(env.oracle().bootstrap)
    ours = wire.features(env.bootstrap)
    expected = {name: (kafka.get(name), None) for row in allowed(env, "absent_features") for name in row["features"]}
    compare(kafka, ours, expected)


def create(node, topic, **config):
    """Creates a topic of one partition and returns its leader's address."""
    topics.create(node.bootstrap, topic, **config)
    metadata = AdminClient({"bootstrap.servers": node.bootstrap}).list_topics(topic, 20)
    leader = metadata.brokers[metadata.topics[topic].partitions[0].leader]
    return f"{leader.host}:{leader.port}"


@test(needs=["java", "python"])
def topic_configs(env):
    """Name, value, origin and kind of every setting of a fresh topic."""
    def ask(node):
        topic = env.name()
        create(node, topic, retention_ms="7200000")
        client = AdminClient({"bootstrap.servers": node.bootstrap})
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        entries = client.describe_configs([resource])[resource].result(20).values()
        return {e.name: f"{e.value} source={e.source} read_only={e.is_read_only} sensitive={e.is_sensitive}"
                for e in entries}
    expected = {row["name"]: (_text(row["kafka"]), _text(row["odradek"])) for row in allowed(env, "topic_config")}
    compare(ask(env.oracle()), ask(env.shared_node()), expected)


def _text(value):
    return None if value == "absent" else value


def error(futures):
    """The error codes of an administrator's request, in order."""
    codes = []
    for future in futures.values():
        try:
            future.result(20)
            codes.append(0)
        except KafkaException as e:
            codes.append(e.args[0].code())
    return codes


def partition_probes(client, topic, broker):
    """What CreatePartitions answers; each asks of a topic that has 2."""
    def grow(name=topic, **wanted):
        return error(client.create_partitions([NewPartitions(name, **wanted)], validate_only=True))

    return {
        "more": lambda: grow(new_total_count=5),
        "as many": lambda: grow(new_total_count=2),
        "fewer": lambda: grow(new_total_count=1),
        "of a topic that is not there": lambda: grow(topic + "-none", new_total_count=5),
        "to a broker": lambda: grow(new_total_count=3, replica_assignment=[[broker]]),
        "to an unknown broker": lambda: grow(new_total_count=3, replica_assignment=[[424_242]]),
        "to a broker twice": lambda: grow(new_total_count=3, replica_assignment=[[broker, broker]]),
    }


def config_probes(client, topic, broker):
    """What IncrementalAlterConfigs answers, and what then holds."""
    def alter(*changes, kind=ConfigResource.Type.TOPIC, name=topic, show=None):
        entries = [ConfigEntry(n, v, incremental_operation=getattr(AlterConfigOpType, op)) for n, op, v in changes]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        codes = error(client.incremental_alter_configs([resource]))
        if show is None:
            return codes

        def shown():
            told = client.describe_configs([ConfigResource(kind, name)])
            return next(iter(told.values())).result(20)[show]

        # Kafka shows a change a little after it has answered it.
        want = wait_until(f"{show} shows", lambda: shown() if shown().source == 1 else None)
        return codes, want.value

    policy, throttled = "cleanup.policy", "leader.replication.throttled.replicas"
    return {
        "an unknown name": lambda: alter(("no.such", "SET", "1")),
        "an ill value": lambda: alter(("retention.ms", "SET", "often")),
        "out of range": lambda: alter(("retention.ms", "SET", "-2")),
        "as long as can be": lambda: alter((throttled, "SET", ",".join(f"{i:05d}:1" for i in range(4096)))),
        "grown longer than can be": lambda: alter((throttled, "APPEND", "4097:1")),
        "append to no list": lambda: alter(("retention.ms", "APPEND", "5")),
        "append to nothing known": lambda: alter(("no.such", "APPEND", "5")),
        "append what cannot be": lambda: alter((policy, "APPEND", "shred")),
        "delete what is not there": lambda: alter(("no.such", "DELETE", "")),
        "append": lambda: alter((policy, "APPEND", "compact"), show=policy),
        "append again": lambda: alter((policy, "APPEND", "compact"), show=policy),
        "a topic that is not there": lambda: alter(("retention.ms", "SET", "5"), name=topic + "-none"),
        "a topic that is not there, an unknown name": lambda: alter(("no.such", "SET", "5"), name=topic + "-none"),
        "a topic that cannot be": lambda: alter(("retention.ms", "SET", "5"), name="no such topic"),
        "a throttle": lambda: alter(
            ("leader.replication.throttled.rate", "SET", "9"), kind=ConfigResource.Type.BROKER, name=str(broker)),
        "an ill throttle": lambda: alter(
            ("leader.replication.throttled.rate", "SET", "-1"), kind=ConfigResource.Type.BROKER, name=str(broker)),
        "a broker's fixed setting": lambda: alter(
            ("log.dirs", "SET", "/tmp"), kind=ConfigResource.Type.BROKER, name=str(broker)),
        "no throttle": lambda: alter(
            ("leader.replication.throttled.rate", "DELETE", ""), kind=ConfigResource.Type.BROKER, name=str(broker)),
    }


def record_probes(client, topic, _):
    """What DeleteRecords answers; the topic is empty."""
    def delete(offset):
        return error(client.delete_records([TopicPartition(topic, 0, offset)]))

    def elect(kind, name, partition):
        answers = client.elect_leaders(kind, [TopicPartition(name, partition)]).result(20)
        return [e and e.code() for e in answers.values()]

    return {
        "delete to the end": lambda: delete(-1),
        "delete to 0": lambda: delete(0),
        "delete past the end": lambda: delete(1),
        "delete to no offset": lambda: delete(-2),
        "elect the preferred": lambda: elect(ElectionType.PREFERRED, topic, 0),
        "elect unclean": lambda: elect(ElectionType.UNCLEAN, topic, 0),
        "elect for an unknown partition": lambda: elect(ElectionType.PREFERRED, topic, 99),
        "elect for an unknown topic": lambda: elect(ElectionType.PREFERRED, topic + "-none", 0),
    }


@test(needs=["java", "python"], limit_s=150)
def changes(env):
    """Error codes of requests that change topics and settings."""
    kafka, ours = {}, {}
    for answers, node in ((kafka, env.oracle()), (ours, env.shared_node())):
        topic = env.name()
        topics.create(node.bootstrap, topic, 2)
        client = AdminClient({"bootstrap.servers": node.bootstrap})
        broker = min(client.list_topics(topic, 20).brokers)
        for probes in (partition_probes, record_probes, config_probes):
            answers.update({name: probe() for name, probe in probes(client, topic, broker).items()})
    expected = {row["name"]: (row["kafka"], row["odradek"]) for row in allowed(env, "change")}
    compare(kafka, ours, expected)


def frame_probes():
    header, outcome = frames.header, frames.outcome

    def answered(answer):
        # Brokers and ids in the answer are the node's own.
        return answer if answer in ("closed", "no answer") else "answered"

    big = b"\x7f\xff\xff\xff"
    return {
        "length -1": lambda a: outcome(a, b"", length=-1),
        "length 0": lambda a: outcome(a, b""),
        "length 2 GiB - 1": lambda a: outcome(a, b"x" * 100, length=2**31 - 1),
        "length of one byte more than socket.request.max.bytes": lambda a: outcome(a, b"x" * 100, length=100 * 2**20 + 1),
        "a header cut short": lambda a: outcome(a, b"\0\x12"),
        "garbage": lambda a: outcome(a, bytes(range(64))),
        "an HTTP request": lambda a: outcome(a, b"", length=struct.unpack(">i", b"GET ")[0]),
        "unknown api": lambda a: outcome(a, header(9999, 0)),
        "negative api": lambda a: outcome(a, header(-1, 0)),
        "an api between brokers of old": lambda a: outcome(a, header(4, 1)),
        "ApiVersions of the future": lambda a: outcome(a, header(18, 99) + b"\0\x02a\x02b\0"),
        "ApiVersions of the future, header of the past": lambda a: outcome(a, header(18, 99)),
        "ApiVersions v4 without a body": lambda a: outcome(a, header(18, 4) + b"\0"),
        "ApiVersions negative": lambda a: outcome(a, header(18, -1)),
        "Fetch too old": lambda a: outcome(a, header(1, 3)),
        "Fetch of the future": lambda a: outcome(a, header(1, 99)),
        "Metadata without a body": lambda a: outcome(a, header(3, 1)),
        "Metadata with 2^31-1 topics": lambda a: outcome(a, header(3, 1) + big),
        "Metadata with -2 topics": lambda a: answered(outcome(a, header(3, 4) + b"\xff\xff\xff\xfe\0")),
        "Metadata with a name longer than the frame": lambda a: outcome(a, header(3, 4) + b"\0\0\0\1\x7f\xffab\0"),
        "Metadata with an overlong varint": lambda a: outcome(a, header(3, 9) + b"\0" + b"\xff" * 10),
        "Fetch with 2^31-1 topics": lambda a: outcome(a, header(1, 4) + struct.pack(">iiiib", -1, 1, 1, 1, 0) + big),
        "a setting of a megabyte": lambda a: outcome(
            a, header(44, 1) + b"\0\2\2\2t\2\2k\0\x81\x80\x40" + b"1" * 2**20 + b"\0\0\1\0"),
        "Produce cut short": lambda a: outcome(a, header(0, 3) + struct.pack(">hh", -1, -1)),
        "Produce with acks 2": lambda a: frames.produce(a, "none", frames.batch(), acks=2),
        "a client id longer than the frame": lambda a: outcome(a, struct.pack(">hhih", 3, 1, 1, 32767)),
    }


@test(needs=["java", "python"], limit_s=150)
def odd_frames(env):
    """Answers byte for byte, closes, and the node still serves others afterwards."""
    kafka, ours = {}, {}
    for name, probe in frame_probes().items():
        for answers, node in ((kafka, env.oracle()), (ours, env.shared_node())):
            answers[name] = probe(node.bootstrap)
            assert wire.api_versions(node.bootstrap), f"after {name}"
    # Everything in this answer but its error is compared by api_versions above.
    expected = {row["name"]: (row["kafka"], row["odradek"]) for row in allowed(env, "frame")}
    compare(kafka, ours, expected)


def batch_probes():
    batch, record = frames.batch, frames.record
    return {
        "a good batch": batch(),
        "two records": batch([record(b"a", 0), record(b"b", 1)]),
        "two batches in one partition": batch() + batch(),
        "no bytes": b"",
        "wrong crc": batch(crc=0),
        "magic 0": batch(magic=0),
        "magic 1": batch(magic=1),
        "magic 3": batch(magic=3),
        "magic -1": batch(magic=-1),
        "batch length 0": batch(length=0),
        "batch length negative": batch(length=-1),
        "batch length one too long": batch(length=len(batch()) - 12 + 1),
        "batch length one too short": batch(length=len(batch()) - 12 - 1),
        "batch length of the header alone": batch(length=49),
        "batch length 2^31-1": batch(length=2**31 - 1),
        "cut in the header": batch()[:40],
        "cut in the records": batch()[:-3],
        "bytes behind the batch": batch() + b"xyz",
        "count 0": batch([], count=0, last_delta=0),
        "count negative": batch(count=-1, last_delta=0),
        "count 2^31-1": batch(count=2**31 - 1, last_delta=2**31 - 2),
        "count more than there are": batch(count=2),
        "count less than there are": batch([record(b"a", 0), record(b"b", 1)], count=1),
        "last offset delta wrong": batch(last_delta=5),
        "unknown codec 7": batch(attributes=7),
        "gzip of garbage": batch(attributes=1, payload=b"no gzip at all"),
        "a control batch": batch(attributes=0x20),
        "a transactional batch without a producer": batch(attributes=0x10),
        "a producer id without an epoch": batch(producer_id=1234),
        "a producer unknown, sequence 0": batch(producer_id=987_654, producer_epoch=0, sequence=0),
        "a producer unknown, sequence 7": batch(producer_id=987_655, producer_epoch=0, sequence=7),
        "a timestamp far ahead": batch(timestamp=9_000_000_000_000),
    }


@test(needs=["java", "python"], limit_s=150)
def odd_batches(env):
    """(error code, base offset) of raw Produce requests, each to a topic of its own."""
    kafka, ours, made = {}, {}, []
    for name, records in batch_probes().items():
        for answers, node in ((kafka, env.oracle()), (ours, env.shared_node())):
            topic = env.name()
            made.append((node, topic))
            leader = create(node, topic)
            answer = frames.produce(leader, topic, records)
            answers[name] = answer if isinstance(answer, str) else f"error {answer[0]}, offset {answer[1]}"
            # A batch that was refused left nothing behind it.
            follow = frames.produce(leader, topic, frames.batch())
            answers[name] += f", then error {follow[0]}, offset {follow[1]}"
    # What header validation let in is no data for the suites that follow.
    ours_made = [topic for node, topic in made if node is env.shared_node()]
    client = AdminClient({"bootstrap.servers": env.bootstrap})  # it must outlive its answers
    deleted = client.delete_topics(ours_made)
    for topic in ours_made:
        deleted[topic].result(20)
    expected = {row["name"]: (row["kafka"], row["odradek"]) for row in allowed(env, "batch")}
    compare(kafka, ours, expected)
