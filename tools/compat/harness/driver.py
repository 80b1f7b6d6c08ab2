"""The Java drivers: one JVM for all scenarios of a version, and for Kafka's own tools."""
import collections
import os
import signal

from . import paths
from .clients import Client, ScenarioFailed
from .oracle import java_command

FLAGS = [
    "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
]

ToolResult = collections.namedtuple("ToolResult", "exit out err")

# Where a tool does not live in org.apache.kafka.tools itself.
CLASSES = {
    "ConfigCommand": "kafka.admin.ConfigCommand",
    "ConsoleConsumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "ConsumerGroupCommand": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "ReassignPartitionsCommand": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
}


class Driver(Client):
    def __init__(self, name, log, classpath):
        # What no client can ask of a node, its own tool is asked.
        env = {**os.environ, "ODRADEK_BIN": str(paths.odradek_binary())}
        super().__init__(
            name, java_command("compat.Driver", flags=FLAGS, classpath=classpath), log, env, dump_signal=signal.SIGQUIT)

    def tool(self, name, *args, stdin="", timeout_s=60.0):
        main = CLASSES.get(name, f"org.apache.kafka.tools.{name}")
        answer = self.ask({"tool": main, "args": [str(a) for a in args], "stdin": stdin}, timeout_s)
        if "failure" in answer:
            raise ScenarioFailed(answer["failure"])
        return ToolResult(answer["exit"], answer["out"], answer["err"])
