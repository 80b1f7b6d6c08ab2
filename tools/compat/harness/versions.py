"""Which version of a client a suite runs; a suite names its client as CLIENT."""
import importlib.metadata
import re
import subprocess

# Suites of one client: the program that knows its version.
PROGRAMS = {
    "Java clients": "java", "Java clients, old": "java-old", "Kafka's tools": "java",
    "franz-go": "franz-go", "sarama": "sarama", "kafkajs": "kafkajs", "rdkafka crate": "rdkafka",
}


def version(client, programs):
    """"?" where it is not installed, "-" for suites of several clients."""
    try:
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
