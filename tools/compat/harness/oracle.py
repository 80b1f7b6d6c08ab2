"""A real Apache Kafka: one combined KRaft broker and controller from the Maven jars.

It answers what Odradek should answer. Everything it keeps is in one directory.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile

from . import paths
from .process import Daemon, NotReady, wait_until
from .settings import COMMON

# Quick to start and small: it holds a few thousand records.
JVM_FLAGS = [
    "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]


def java_command(main, *args, flags=(), classpath=paths.CLASSPATH):
    return ["java", *flags, "-cp", classpath, main, *args]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Oracle:
    """`settings` go over the defaults below. `port` 0 takes a free one."""

    name = "kafka"
    brokers = 1

    def __init__(self, directory=None, port=0, settings=None, detach=False, log_level="warn"):
        self.own_directory = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="compat-kafka-")).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_dir = self.directory / "data"
        self.log = self.directory / "kafka.log"
        self.asked_port = port
        self.settings = dict(settings or {})
        self.detach = detach
        self.log_level = log_level
        self.daemon = None
        self.bootstrap = None
        self.port = None
        self.controller_port = None

    def _properties(self, port, controller_port):
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
            "log.dirs": str(self.log_dir),
            **COMMON,
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "num.io.threads": "2",
            "num.network.threads": "1",
            "log.cleaner.threads": "1",
            "log.initial.task.delay.ms": "500",
            "log.cleaner.dedupe.buffer.size": "2097152",
        }
        properties.update(self.settings)
        return properties

    def start(self, timeout_s=90.0):
        # A free port can be taken between asking and binding.
        for attempt in range(3):
            # A restart keeps its ports: clients know them.
            port = self.port or self.asked_port or free_port()
            controller_port = self.controller_port or free_port()
            properties = self._properties(port, controller_port)
            file = self.directory / "server.properties"
            file.write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
            bootstrap = f"127.0.0.1:{port}"
            self.daemon = Daemon(
                "kafka",
                java_command("compat.OracleBroker", str(file), bootstrap, flags=[
                    *JVM_FLAGS, f"-Dorg.slf4j.simpleLogger.defaultLogLevel={self.log_level}"]),
                self.log, detach=self.detach)
            try:
                self.daemon.start(timeout_s)
            except NotReady:
                if attempt == 2 or "Address already in use" not in self.daemon.log_tail(200):
                    raise
                continue
            self.bootstrap, self.port, self.controller_port = bootstrap, port, controller_port
            self.broker_addresses = [bootstrap]
            return self
        raise AssertionError("unreachable")

    def stop(self):
        if self.daemon is None:
            return None
        code = self.daemon.terminate()
        # 143: a JVM that ran its shutdown hooks on SIGTERM.
        return 0 if code == 143 else code

    def kill(self):
        if self.daemon:
            self.daemon.kill()

    def alive(self):
        return self.daemon is not None and self.daemon.alive()

    def remove(self):
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # For `tools/compat/kafka start` and `stop`, which are two processes.

    def write_state(self):
        state = {"pid": self.daemon.pid, "bootstrap": self.bootstrap}
        (self.directory / "state.json").write_text(json.dumps(state))


def stop_by_directory(directory):
    """Stops what `start` left running in `directory`. True if there was something."""
    file = pathlib.Path(directory) / "state.json"
    if not file.exists():
        return False
    pid = json.loads(file.read_text())["pid"]
    file.unlink()
    if not _is_oracle(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    wait_until("the broker has stopped", lambda: not _is_oracle(pid))
    return True


def _is_oracle(pid):
    try:
        return b"compat.OracleBroker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
