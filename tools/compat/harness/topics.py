"""Creating a topic so that it is ready."""
from .process import wait_until

try:
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
except ImportError:
    pass  # the tests that need it are skipped


def create(bootstrap, topic, partitions=1, **config):
    """Creates it, and waits until every partition answers.

    Kafka tells of a partition a little before it serves it. A pipelining producer that comes
    in between has its first batch refused and the next ones appended: out of order.
    """
    # The client must be held: collected, it abandons its requests.
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 5})
    new = NewTopic(topic, partitions, 1, config={k.replace("_", "."): str(v) for k, v in config.items()})
    client.create_topics([new])[topic].result(20)
    wait_until_ready(client, topic, partitions)


def wait_until_ready(client, topic, partitions):
    def ready():
        answers = client.list_offsets({TopicPartition(topic, p): OffsetSpec.latest() for p in range(partitions)})
        try:
            return [a.result(20) for a in answers.values()]
        except KafkaException:
            return None

    wait_until(f"{topic} is ready", ready)
