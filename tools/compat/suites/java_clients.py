"""The Java clients: every scenario of java/src/compat/*Scenarios.java is a test."""
from harness.scenarios import tests_of

CLIENT = "Java clients"

# Partitions move in these, from shard to shard.
MOVES = ("Move.idempotentProducerAndGroupUnderLoad", "Move.producerWithOneInFlightUnderLoad", "Move.coordinators")


def applies(name, variant):
    return name not in MOVES or variant.kind != "kafka" and variant.shards > 1


tests = tests_of("java_clients", "java", {"Group.membersComeAndGoNothingIsLost": 90.0}, applies)
