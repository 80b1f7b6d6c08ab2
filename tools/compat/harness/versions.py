"""Which version of a client a suite runs; a suite names its client as CLIENT."""
import importlib.metadata
import re
import subprocess

from . import paths

# Suites of one client: the program that knows its version.
PROGRAMS = {
    "Java clients": "java", "Java clients, old": "java-old", "Kafka's tools": "java",
    "franz-go": "franz-go", "sarama": "sarama", "kafkajs": "kafkajs", "rdkafka crate": "rdkafka",
}

# Suites of servers and libraries that tools/compat/setup fetches: where their version stands.
PINNED = {
    "Kafka Streams": paths.KAFKA_VERSION, "Kafka Connect": paths.KAFKA_VERSION, "MirrorMaker 2": paths.KAFKA_VERSION,
}
REGISTRY_POM = paths.COMPAT / "java" / "registry" / "pom.xml"


def version(client, programs):
    """"?" where it is not installed, "-" for suites of several clients."""
    try:
        if client in PINNED:
            return PINNED[client]
        if client == "Apicurio Registry":
            return re.search(r"<registry.version>(.+)</", REGISTRY_POM.read_text())[1]
        if client in PROGRAMS:
            name = PROGRAMS[client]
            return programs.programs[name].version() if programs.installed(name) else "?"
        if client == "kcat":
            told = subprocess.run(["kcat", "-V"], stdout=subprocess.PIPE, text=True, check=True).stdout
            return "librdkafka " + re.search(r"librdkafka ([0-9.]+\d)", told)[1]
        if client == "confluent-kafka":
            import confluent_kafka
            return f"{importlib.metadata.version(client)}, librdkafka {confluent_kafka.libversion()[0]}"
        return importlib.metadata.version(client) if client in ("kafka-python", "aiokafka") else "-"
    except (ImportError, OSError, importlib.metadata.PackageNotFoundError):
        return "?"
