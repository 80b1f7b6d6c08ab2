"""A distributed worker of Kafka Connect: a file becomes a topic and the topic a file, exactly once in the topic."""
import shutil

from harness import jvm, paths
from harness.oracle import free_port
from harness.process import wait_until
from harness.tests import test

from .transactions import values

try:
    from confluent_kafka.admin import AdminClient, ConfigResource
except ImportError:
    pass  # every test here says that it needs it

CLIENT = "Kafka Connect"
INTERNAL = ("config", "offset", "status")
LINES = 1500
# Lines that go into the source's file at once, and how many may be ahead of the sink's.
SLICE, AHEAD = 100, 300


class Worker:
    """The worker of its own group, its plugins, its REST address."""

    def __init__(self, env, node, group):
        self.directory = env.own_directory()
        self.group = group
        self.address = f"127.0.0.1:{free_port()}"
        plugins = self.directory / "plugins"
        plugins.mkdir()
        jars, plugin = [], []
        for jar in sorted(paths.ECOSYSTEM_JARS.glob("*.jar")):
            (plugin if jar.name.startswith("connect-file-") else jars).append(jar)
        shutil.copy(plugin[0], plugins)
        file = jvm.write_properties(self.directory / "worker.properties", {
            "bootstrap.servers": node.bootstrap,
            "group.id": group,
            **{f"{kind}.storage.topic": f"{group}-{kind}" for kind in INTERNAL},
            **{f"{kind}.storage.replication.factor": 1 for kind in INTERNAL},
            "offset.storage.partitions": 4,
            "status.storage.partitions": 2,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "plugin.path": plugins,
            "plugin.discovery": "service_load",
            "listeners": f"http://{self.address}",
            "exactly.once.source.support": "enabled",
            "consumer.isolation.level": "read_committed",
            "offset.flush.interval.ms": 500,
            # So that one that was killed is soon missed.
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1000,
            "scheduled.rebalance.max.delay.ms": 0,
            "consumer.session.timeout.ms": 6000,
            "consumer.heartbeat.interval.ms": 1000,
        })
        argv = jvm.command("org.apache.kafka.connect.cli.ConnectDistributed", file,
                           classpath=":".join(map(str, jars)), directory=self.directory)
        self.program = env.own_program(jvm.Program(
            "Kafka Connect", argv, self.directory / "connect.log", lambda: self.rest("/connectors")[0] == 200))

    def rest(self, path, method="GET", body=None):
        return jvm.http_json(self.address, path, method, body)

    def configure(self, name, **config):
        """409 while the group rebalances."""
        def accepted():
            status, said = self.rest(f"/connectors/{name}/config", "PUT", {k.replace("_", "."): str(v) for k, v in config.items()})
            assert status in (None, 200, 201, 409), (status, said)
            return status in (200, 201)
        wait_until(f"{name} is configured", accepted, 30, interval_s=0.3)

    def check_tasks(self, *names):
        """Each has one task, which runs."""
        def running():
            said = [self.rest(f"/connectors/{name}/status")[1] for name in names]
            failed = [s for s in said if "FAILED" in str(s)]
            assert not failed, failed
            return all(isinstance(s, dict) and [t["state"] for t in s.get("tasks", [])] == ["RUNNING"] for s in said)
        wait_until("the tasks run", running, 40, interval_s=0.3)


def written(file):
    return file.read_text().splitlines() if file.exists() else []


def line(i):
    return f"line {i} {'x' * (i % 40)}"


def _file_to_file(env, victims):
    node, group, topic = env.own_node(), env.name("connect"), env.name()
    worker = Worker(env, node, group)
    source, sink = worker.directory / "source.txt", worker.directory / "sink.txt"
    source.touch()
    worker.program.start()
    worker.configure(
        f"{topic}-source", connector_class="org.apache.kafka.connect.file.FileStreamSourceConnector", tasks_max=1,
        file=source, topic=topic, exactly_once_support="required", topic_creation_default_partitions=1,
        topic_creation_default_replication_factor=1)
    worker.configure(
        f"{topic}-sink", connector_class="org.apache.kafka.connect.file.FileStreamSinkConnector", tasks_max=1,
        file=sink, topics=topic)
    sent = 0

    def until(count):
        def reached():
            nonlocal sent
            seen = len(set(written(sink)))
            while sent < LINES and sent - seen < AHEAD:
                with source.open("a") as file:
                    file.writelines(f"{line(i)}\n" for i in range(sent, sent + SLICE))
                sent += SLICE
            assert worker.program.alive(), "the worker ended"
            return seen >= count
        wait_until(f"the sink has {count} lines", reached, 60)

    for n, victim in enumerate(victims):
        until(LINES * (n + 1) // (len(victims) + 1))
        if "worker" in victim:
            worker.program.kill()
        if "node" in victim:
            node.kill()
            node.start()
        if "worker" in victim:
            worker.program.start()
    until(LINES)
    worker.check_tasks(f"{topic}-source", f"{topic}-sink")

    expected = [line(i) for i in range(LINES)]
    # One partition: in order, too.
    assert values(node.bootstrap, topic, LINES) == expected, "what the topic holds"
    check_sink(written(sink), expected, len(victims))
    check_internal_topics(node, group)


def check_sink(found, expected, kills):
    """What a sink has written but not committed when it is killed comes again: a step back, no gap."""
    number = {text: i for i, text in enumerate(expected)}
    at, steps_back = -1, 0
    for text in found:
        i = number[text]
        assert i <= at + 1, f"a gap: {at}, then {i}"
        steps_back += i != at + 1
        at = i
    assert at == len(expected) - 1, f"ends with line {at}"
    assert steps_back <= kills, f"{steps_back} steps back"


def check_internal_topics(node, group):
    client = AdminClient({"bootstrap.servers": node.bootstrap})
    resources = [ConfigResource(ConfigResource.Type.TOPIC, f"{group}-{kind}") for kind in INTERNAL]
    for resource, future in client.describe_configs(resources).items():
        assert future.result(20)["cleanup.policy"].value == "compact", resource


@test(needs=["python", "ecosystem"], limit_s=100)
def a_file_is_copied_though_the_worker_is_killed(env):
    _file_to_file(env, ["worker"])


@test(needs=["python", "ecosystem"], limit_s=400, full=True)
def a_file_is_copied_whoever_is_killed(env):
    _file_to_file(env, ["worker", "node", "worker and node", "node", "worker"])
