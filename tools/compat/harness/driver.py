"""The Java driver: one JVM for all Java scenarios and for Kafka's own tools."""
import collections
import json
import os
import select
import signal
import subprocess
import time

from . import paths
from .oracle import java_command
from .process import die_with_parent

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
    "ReassignPartitionsCommand": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "ConsumerGroupCommand": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}


class ScenarioFailed(AssertionError):
    pass


class DriverDied(Exception):
    pass


class Driver:
    """Started at its first use; stopped and started anew after a timeout."""

    def __init__(self, log):
        self.log = log
        self.process = None
        self.buffer = b""

    def ask(self, request, timeout_s=60.0):
        if self.process is None or self.process.poll() is not None:
            self._start()
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                line = self._line(deadline)
                if line.startswith(b"{"):
                    return json.loads(line)
        except BaseException:
            # Its answer would be taken for that of the next request.
            try:
                self._thread_dump()
            finally:
                self.stop()
            raise

    def tool(self, name, *args, stdin="", timeout_s=60.0):
        main = CLASSES.get(name, f"org.apache.kafka.tools.{name}")
        answer = self.ask({"tool": main, "args": [str(a) for a in args], "stdin": stdin}, timeout_s)
        if "failure" in answer:
            raise ScenarioFailed(answer["failure"])
        return ToolResult(answer["exit"], answer["out"], answer["err"])

    def scenario(self, name, bootstrap, topic, brokers, timeout_s=60.0):
        answer = self.ask(
            {"scenario": name, "bootstrap": bootstrap, "topic": topic, "brokers": brokers}, timeout_s)
        if "failure" in answer:
            raise ScenarioFailed(answer["failure"])

    def scenarios(self):
        return self.ask({"list": True})["scenarios"]

    def _start(self):
        self.buffer = b""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                java_command("compat.Driver", flags=FLAGS),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, preexec_fn=die_with_parent)
        os.set_blocking(self.process.stdout.fileno(), False)

    def _line(self, deadline):
        while b"\n" not in self.buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the Java driver did not answer in time")
            readable, _, _ = select.select([self.process.stdout], [], [], remaining)
            if readable:
                chunk = os.read(self.process.stdout.fileno(), 1 << 20)
                if not chunk:
                    raise DriverDied(f"the Java driver ended, see {self.log}")
                self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def _thread_dump(self):
        """What the JVM was doing goes to the log."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGQUIT)
        try:
            with open(self.log, "ab") as log:
                deadline = time.monotonic() + 2
                while True:
                    log.write(self._line(deadline) + b"\n")
        except (TimeoutError, DriverDied):
            pass

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
