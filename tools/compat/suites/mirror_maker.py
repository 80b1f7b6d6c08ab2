"""MirrorMaker 2 between an Apache Kafka and the node, both ways in one process: records, settings of topics, and
the offsets of groups come over."""
from harness import jvm, paths, topics
from harness.process import wait_until
from harness.tests import test

try:
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "MirrorMaker 2"
PARTITIONS = 3
RECORDS = 300
RETENTION_MS = "7200000"


class Side:
    """One of the clusters, with a topic and a group of its own. `alias` is what the other calls it."""

    def __init__(self, env, alias, node):
        self.alias, self.node = alias, node
        self.topic, self.group = env.name(alias), env.name("g")
        self.admin = AdminClient({"bootstrap.servers": node.bootstrap})
        topics.create(node.bootstrap, self.topic, PARTITIONS, retention_ms=RETENTION_MS)
        self.sent = 0

    def remote(self):
        """The topic's name on the other side."""
        return f"{self.alias}.{self.topic}"

    def produce(self, count):
        producer = Producer({"bootstrap.servers": self.node.bootstrap, "enable.idempotence": True})
        for i in range(self.sent, self.sent + count):
            producer.produce(self.topic, f"{self.topic} {i}", f"key {i % 17}", partition=i % PARTITIONS,
                             timestamp=1_700_000_000_000 + i, headers=[("n", str(i).encode())])
        assert producer.flush(20) == 0
        self.sent += count

    def consume(self, topic, group, count):
        """What a member of the group reads first, so many; all of it is committed."""
        consumer = Consumer({"bootstrap.servers": self.node.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                             "enable.auto.commit": False})
        consumer.subscribe([topic])
        found = []

        def more():
            for message in consumer.consume(count - len(found), 0.2):
                assert message.error() is None, message.error()
                found.append(message)
            return len(found) >= count
        try:
            wait_until(f"{count} records of {topic} came", more, 40)
            consumer.commit(asynchronous=False)
        finally:
            consumer.close()
        return found

    def committed(self, group, topic):
        consumer = Consumer({"bootstrap.servers": self.node.bootstrap, "group.id": group})
        try:
            return [p.offset for p in consumer.committed([TopicPartition(topic, p) for p in range(PARTITIONS)], 20)]
        finally:
            consumer.close()

    def ends(self, topic):
        partitions = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(PARTITIONS)}
        return [f.result(20).offset for f in self.admin.list_offsets(partitions).values()]

    def has(self, topic):
        return topic in self.admin.list_topics(timeout=20).topics

    def setting(self, topic, name):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        return self.admin.describe_configs([resource])[resource].result(20)[name].value


def mirror_maker(env, one, other):
    directory = env.own_directory()
    settings = {
        "clusters": f"{one.alias}, {other.alias}",
        "replication.factor": 1,
        "refresh.topics.interval.seconds": 1,
        "refresh.groups.interval.seconds": 1,
        "sync.topic.configs.interval.seconds": 1,
        "emit.heartbeats.interval.seconds": 1,
        "emit.checkpoints.interval.seconds": 1,
        "sync.group.offsets.enabled": "true",
        "sync.group.offsets.interval.seconds": 1,
        # Of every record where it went, so that offsets come over as they are.
        "offset.lag.max": 0,
        **{f"{kind}.storage.replication.factor": 1 for kind in ("config", "offset", "status")},
        **{f"{topic}.topic.replication.factor": 1 for topic in ("checkpoints", "heartbeats", "offset-syncs")},
        "offset.storage.partitions": 2,
        "status.storage.partitions": 2,
    }
    for source, target in (one, other), (other, one):
        settings |= {
            f"{source.alias}.bootstrap.servers": source.node.bootstrap,
            f"{source.alias}.offset.flush.interval.ms": 500,
            f"{source.alias}.session.timeout.ms": 6000,
            f"{source.alias}.heartbeat.interval.ms": 1000,
            f"{source.alias}->{target.alias}.enabled": "true",
            f"{source.alias}->{target.alias}.topics": source.topic,
            f"{source.alias}->{target.alias}.groups": source.group,
        }
    file = jvm.write_properties(directory / "mm2.properties", settings)
    argv = jvm.command("org.apache.kafka.connect.mirror.MirrorMaker", file, classpath=paths.ECOSYSTEM_CLASSPATH,
                       directory=directory)
    return env.own_program(jvm.Program(
        "MirrorMaker 2", argv, directory / "mm2.log",
        lambda: one.has(other.remote()) and other.has(one.remote())))


def contents(messages):
    """{(partition, order in it): what producers gave}: offsets may differ, order may not."""
    found = {p: [] for p in range(PARTITIONS)}
    for m in messages:
        found[m.partition()].append((m.key(), m.value(), m.timestamp(), m.headers()))
    return found


def _both_ways(env, kills):
    kafka, node = Side(env, "kafka", env.oracle()), Side(env, "node", env.own_node())
    pairs = (kafka, node), (node, kafka)
    program = mirror_maker(env, kafka, node)
    read = {side: [] for side in (kafka, node)}
    for side in read:
        side.produce(RECORDS)
        # A group that has come half the way.
        read[side] += side.consume(side.topic, side.group, RECORDS // 2)
    program.start()
    for n in range(kills + 1):
        if n:
            program.kill()
            program.start()
        for source, _target in pairs:
            source.produce(RECORDS)
            read[source] += source.consume(source.topic, source.group, source.sent - len(read[source]))
        for source, target in pairs:
            def come_over(source=source, target=target):
                assert program.alive(), "MirrorMaker ended"
                ends = target.ends(source.remote())
                there = all(map(int.__ge__, ends, source.ends(source.topic)))
                return there and target.committed(source.group, source.remote()) == ends
            wait_until(f"all of {source.alias} has come over, its group's offsets, too", come_over, 60, 0.2)
    for source, target in pairs:
        all_ = target.consume(source.remote(), env.name("g"), source.sent)
        if not kills:
            assert target.ends(source.remote()) == source.ends(source.topic), "nothing came twice"
            assert contents(all_) == contents(read[source])
        # The group goes on over there, with what it has not seen here.
        source.produce(30)
        rest = target.consume(source.remote(), source.group, 30)
        assert sorted(m.headers()[0][1] for m in rest) == sorted(str(i).encode() for i in range(source.sent - 30, source.sent))
        assert target.setting(source.remote(), "retention.ms") == RETENTION_MS
        for internal in f"mm2-configs.{source.alias}.internal", f"{source.alias}.checkpoints.internal":
            assert target.setting(internal, "cleanup.policy") == "compact", internal
        assert target.has("heartbeats")


@test(needs=["python", "ecosystem", "java"], limit_s=150)
def records_and_offsets_of_groups_come_over_both_ways(env):
    _both_ways(env, 0)


@test(needs=["python", "ecosystem", "java"], limit_s=400, full=True)
def a_killed_one_goes_on(env):
    _both_ways(env, 3)
