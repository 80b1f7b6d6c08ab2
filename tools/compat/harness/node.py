"""The node under test: `odradek serve`. In core mode each shard is a broker to its clients."""
import pathlib
import shutil
import tempfile

from . import paths
from .process import Daemon
from .settings import COMMON


class Odradek:
    """Keeps its ports over restarts. `port` 0 takes a free one."""

    name = "odradek"

    def __init__(self, directory=None, port=0, settings=None, shards=2, mode="core", driver="auto"):
        self.mode = mode
        self.resize(shards)
        self.driver = driver
        self.own_directory = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="compat-odradek-")).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_dir = self.directory / "data"
        self.log = self.directory / "odradek.log"
        self.port = port
        self.port_base = None
        self.settings = dict(settings or {})
        self.daemon = None
        self.bootstrap = None
        self.broker_addresses = []
        self.metrics = None

    def resize(self, shards):
        """From the next start on."""
        self.shards = shards
        self.brokers = shards if self.mode == "core" else 1

    def start(self, timeout_s=30.0):
        settings = {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": str(self.log_dir),
            "shards": str(self.shards),
            **({} if self.mode == "core" else {"shards.advertise": self.mode}),
            **({} if self.driver == "auto" else {"io.driver": self.driver}),
            "metrics.listener": "127.0.0.1:0",
            **COMMON,
            **self.settings,
        }
        if self.port_base is not None:
            settings["shards.port.base"] = str(self.port_base)
        argv = [paths.odradek_binary(), "serve"]
        for key, value in settings.items():
            argv += ["--set", f"{key}={value}"]
        self.daemon = Daemon("odradek", argv, self.log)
        fields = self.daemon.start(timeout_s)
        self.bootstrap = fields["bootstrap"]
        self.port = int(self.bootstrap.rsplit(":", 1)[1])
        self.broker_addresses = fields["shards"].split(",")
        self.metrics = fields.get("metrics")
        ports = [int(a.rsplit(":", 1)[1]) for a in self.broker_addresses]
        assert ports == list(range(ports[0], ports[0] + self.brokers)), f"ports of the brokers: {ports}"
        if self.brokers > 1:
            self.port_base = ports[0]
        return self

    def stop(self):
        """SIGTERM. Returns the exit code, which is 0 for a clean stop."""
        return self.daemon.terminate() if self.daemon else None

    def kill(self):
        if self.daemon:
            self.daemon.kill()

    def alive(self):
        return self.daemon is not None and self.daemon.alive()

    def remove(self):
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
