"""The programs that suites drive, with what they were built by setup; shared by all variants."""
import os
import pathlib
import shutil

from . import paths
from .clients import Client
from .driver import Driver
from .oracle import Oracle

# Name of the program: the stamp that setup leaves when it is there. The last three are run by their
# suites themselves.
STAMPS = {
    "java": "classes", "java-old": "old-classes", "franz-go": "go", "sarama": "go", "kafkajs": "js", "rdkafka": "rust",
    "ecosystem": "ecosystem-classes", "registry": "registry", "registry-client": "registry-classes",
}


class Programs:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._oracle = None
        cache = paths.CACHE
        node_path = {**os.environ, "NODE_PATH": str(cache / "js" / "node_modules")}
        self.programs = {
            "java": Driver("java", self._log("java"), paths.CLASSPATH),
            "java-old": Driver("java-old", self._log("java-old"), paths.OLD_CLASSPATH),
            "franz-go": Client("franz-go", [cache / "go" / "compat", "franz-go"], self._log("franz-go")),
            "sarama": Client("sarama", [cache / "go" / "compat", "sarama"], self._log("sarama")),
            "kafkajs": Client("kafkajs", ["node", paths.COMPAT / "js" / "driver.js"], self._log("kafkajs"), node_path),
            "rdkafka": Client("rdkafka", [cache / "rust" / "debug" / "compat"], self._log("rdkafka")),
        }

    def _log(self, name):
        return self.directory / f"{name}.log"

    def installed(self, name):
        stamp = paths.CACHE / f"{STAMPS[name]}.stamp"
        program = self.programs.get(name)
        return stamp.exists() and shutil.which(program.argv[0] if program else "java") is not None

    def oracle(self):
        """An Apache Kafka to compare with, started at its first use."""
        if self._oracle is None:
            self._oracle = Oracle(self.directory / "oracle").start()
        return self._oracle

    def close(self):
        for program in self.programs.values():
            program.stop()
        if self._oracle:
            self._oracle.kill()
