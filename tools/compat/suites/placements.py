"""Where replicas are and go: what reassignments and log directories answer, by an Apache Kafka and by the
node. To each its only broker, or the one that leads."""
from harness import frames, messages, topics
from harness.tests import test

from .differential import allowed, compare

try:
    from confluent_kafka.admin import AdminClient
except ImportError:
    pass  # every test here says that it needs it

APIS = ("AlterPartitionReassignments", "ListPartitionReassignments", "DescribeLogDirs", "AlterReplicaLogDirs")
STRANGER = 424_242


class Server:
    """One of both, with a topic of one partition."""

    def __init__(self, node, versions, topic):
        self.node, self.versions, self.topic = node, versions, topic
        # Batches that are made by hand are of old.
        topics.create(node.bootstrap, topic, retention_ms=-1)
        metadata = AdminClient({"bootstrap.servers": node.bootstrap}).list_topics(topic, 20)
        self.id = metadata.topics[topic].partitions[0].leader
        leader = metadata.brokers[self.id]
        self.leader = f"{leader.host}:{leader.port}"

    def ask(self, api, where=None, **fields):
        return messages.call(where or self.leader, api, self.versions[api], timeout_ms=10_000, **fields)

    def reassign(self, *asked, **fields):
        """`asked`: (topic, (partition, replicas)...); None cancels."""
        answer = self.ask("AlterPartitionReassignments", self.node.bootstrap, topics=[
            {"name": name, "partitions": [{"partition_index": p, "replicas": replicas} for p, replicas in partitions]}
            for name, *partitions in asked], **fields)
        return answer.error_code, [
            (topic.name, one.partition_index, one.error_code, one.error_message is not None)
            for topic in answer.responses for one in topic.partitions]

    def reassigning(self, *asked):
        """All if nothing is asked."""
        wanted = None if asked == (None,) else [{"name": name, "partition_indexes": partitions} for name, *partitions in asked]
        answer = self.ask("ListPartitionReassignments", self.node.bootstrap, topics=wanted)
        return answer.error_code, [(topic.name, [one.partition_index for one in topic.partitions]) for topic in answer.topics]

    def log_dirs(self, *asked):
        wanted = None if asked == (None,) else [{"topic": name, "partitions": partitions} for name, *partitions in asked]
        answer = messages.call(self.leader, "DescribeLogDirs", self.versions["DescribeLogDirs"], topics=wanted)
        return answer.error_code, [
            (one.error_code, one.log_dir == str(self.node.log_dir), one.total_bytes >= one.usable_bytes > 0, one.is_cordoned,
             [(topic.name, [(p.partition_index, p.partition_size, p.offset_lag, p.is_future_key) for p in topic.partitions])
              for topic in one.topics if topic.name.startswith(self.topic)])
            for one in answer.results]

    def move(self, directory, *asked):
        answer = messages.call(self.leader, "AlterReplicaLogDirs", self.versions["AlterReplicaLogDirs"], dirs=[
            {"path": directory, "topics": [{"name": name, "partitions": partitions} for name, *partitions in asked]}])
        return sorted((topic.topic_name, one.partition_index, one.error_code) for topic in answer.results for one in topic.partitions)


def reassignments(s):
    """Those of one broker: it has the partition, and there is nobody else."""
    t, none = s.topic, f"{s.topic}-none"
    return {
        "no topics": s.reassign(),
        "a topic without partitions": s.reassign((t,)),
        "to where it is": s.reassign((t, (0, [s.id]))),
        "to where it is, with as many as before": s.reassign((t, (0, [s.id])), allow_replication_factor_change=False),
        "to nobody": s.reassign((t, (0, []))),
        "to a stranger": s.reassign((t, (0, [STRANGER]))),
        "to a stranger, with as many as before": s.reassign((t, (0, [STRANGER])), allow_replication_factor_change=False),
        "to a negative id": s.reassign((t, (0, [-1]))),
        "to one twice": s.reassign((t, (0, [s.id, s.id]))),
        "to a stranger, too": s.reassign((t, (0, [s.id, STRANGER]))),
        "cancel what is not under way": s.reassign((t, (0, None))),
        "of no partition": s.reassign((t, (99, [s.id]))),
        "of a negative partition": s.reassign((t, (-1, [s.id]))),
        "of no topic": s.reassign((none, (0, [s.id]))),
        "cancel of no topic": s.reassign((none, (0, None))),
        "cancel of no partition": s.reassign((t, (99, None))),
        "good and bad": s.reassign((t, (0, [s.id]), (99, [s.id])), (none, (0, [s.id]))),
        "a partition twice": s.reassign((t, (0, [s.id]), (0, [STRANGER]))),
        "a topic twice": s.reassign((t, (0, [s.id])), (t, (0, [STRANGER]))),
        "list all": s.reassigning(None),
        "list nothing": s.reassigning(),
        "list one": s.reassigning((t, 0)),
        "list one without partitions": s.reassigning((t,)),
        "list no partition": s.reassigning((t, 99)),
        "list no topic": s.reassigning((none, 0)),
    }


def directories(s):
    t, none, elsewhere = s.topic, f"{s.topic}-none", "/nowhere"
    told = {"an empty partition": s.log_dirs((t, 0))}
    for _ in range(2):
        error, _ = frames.produce(s.leader, t, frames.batch())
        assert error == 0, error
    told |= {
        "two batches": s.log_dirs((t, 0)),
        "all": s.log_dirs(None),
        "nothing": s.log_dirs(),
        "a topic without partitions": s.log_dirs((t,)),
        "a partition that is not there": s.log_dirs((t, 0, 99)),
        "only one that is not there": s.log_dirs((t, 99)),
        "a partition twice": s.log_dirs((t, 0, 0)),
        "a topic that is not there": s.log_dirs((none, 0)),
        "a topic that cannot be": s.log_dirs(("no such topic", 0)),
        "move to where it is": s.move(str(s.node.log_dir), (t, 0)),
        "move to no directory": s.move(elsewhere, (t, 0)),
        "move what is not there": s.move(str(s.node.log_dir), (t, 99), (none, 0)),
        "move what is not there to no directory": s.move(elsewhere, (t, 99), (none, 0)),
        "move nothing": s.move(str(s.node.log_dir)),
        "after that": s.log_dirs((t, 0)),
    }
    return told


def _compared(section, probes):
    @test(needs=["java", "python"])
    def run(env):
        nodes = (env.oracle(), env.shared_node())
        both = {api: messages.versions(api, *(node.bootstrap for node in nodes)) for api in APIS}
        found = [{}, {}]
        for age, which in ("oldest", 0), ("newest", 1):
            versions = {api: either[which] for api, either in both.items()}
            for node, told in zip(nodes, found):
                server = Server(node, versions, env.name())
                answers = probes(server)
                told |= {f"{age}: {what}": str(answer).replace(server.topic, "T") for what, answer in answers.items()}
        expected = {
            f"{age}: {row['name']}": (row["kafka"], row["odradek"])
            for row in allowed(env, section) for age in row["versions"]}
        compare(*found, expected)
    run.__module__ = __name__
    return run


partition_reassignments = _compared("reassignment", reassignments)
log_directories = _compared("log_directory", directories)
