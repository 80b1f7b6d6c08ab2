"""Partitions move between shards: Kafka's own tool for it, and librdkafka at work meanwhile."""
import json
import re
import subprocess
import threading
import time

from harness import paths, topics
from harness.process import wait_until
from harness.tests import test

try:
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient
except ImportError:
    pass  # every test here says that it needs it

PARTITIONS = 3
MOVES = 24
# Between moves so many records are acknowledged, at least.
RECORDS_PER_MOVE = 2000


def _leaders(env, topic):
    partitions = AdminClient({"bootstrap.servers": env.bootstrap}).list_topics(topic, 10).topics[topic].partitions
    return [partitions[p].leader for p in sorted(partitions)]


def _between_shards(variant):
    """With one there is nowhere to go."""
    return variant.kind != "kafka" and variant.shards > 1


def _between_brokers(variant):
    return variant.brokers > 1


def _under_load(env, **config):
    """Every partition's numbers come once and in order, while it moves."""
    topic = env.name()
    topics.create(env.bootstrap, topic, PARTITIONS)
    sent, acknowledged, errors = [0] * PARTITIONS, [0], []
    ended = threading.Event()
    last, longest = [None] * PARTITIONS, [0.0]

    def delivered(error, message):
        if error:
            errors.append(error)
        acknowledged[0] += 1
        now, p = time.monotonic(), message.partition()
        # The first moves find everything under way; the end has nothing more to send.
        if last[p] is not None and not ended.is_set():
            longest[0] = max(longest[0], now - last[p])
        last[p] = now

    def send():
        producer = Producer({"bootstrap.servers": env.bootstrap, "linger.ms": 2, **config})
        while not ended.is_set() and not errors:
            for p in range(PARTITIONS):
                try:
                    producer.produce(topic, str(sent[p]), partition=p, on_delivery=delivered)
                    sent[p] += 1
                except BufferError:
                    producer.poll(0.01)
            producer.poll(0)
            if sum(sent) - acknowledged[0] > 20_000:
                producer.poll(0.001)
        assert producer.flush(30) == 0

    def read():
        consumer = Consumer({"bootstrap.servers": env.bootstrap, "group.id": "unused", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        following = [0] * PARTITIONS
        while not errors:
            for message in consumer.consume(1000, 0.1):
                assert message.error() is None, message.error()
                p = message.partition()
                assert (message.offset(), message.value()) == (following[p], str(following[p]).encode()), (
                    f"partition {p}: {message.value()} at {message.offset()} instead of {following[p]}")
                following[p] += 1
            if ended.is_set() and not sender.is_alive() and following == sent:
                break
        consumer.close()

    def caught(work):
        def run():
            try:
                work()
            except BaseException as e:  # noqa: BLE001
                errors.append(e)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    sender = caught(send)
    reader = caught(read)
    try:
        for move in range(MOVES):
            before = acknowledged[0]
            wait_until("records are acknowledged", lambda b=before: errors or acknowledged[0] - b > RECORDS_PER_MOVE,
                       interval_s=0.005)
            partition, to = move % PARTITIONS, move // PARTITIONS % 2
            command = [paths.odradek_binary(), "topic", "move", topic, "--partition", str(partition), "--to", str(to)]
            done = subprocess.run([*command, "-b", env.bootstrap], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, done.stderr
    finally:
        ended.set()
        sender.join(40)
        reader.join(40)
    env.figures.append(
        f"moves.librdkafka {config}: longest gap between acks of a partition {longest[0] * 1000:.0f} ms")
    assert not errors, errors[:3]
    assert not sender.is_alive() and not reader.is_alive(), (sent, acknowledged)


@test(needs=["python"], applies=_between_shards)
def idempotent_librdkafka_under_load(env):
    _under_load(env, **{"enable.idempotence": True})


@test(needs=["python"], applies=_between_shards)
def librdkafka_with_one_in_flight_under_load(env):
    _under_load(env, **{"acks": "1", "max.in.flight.requests.per.connection": 1})


@test(needs=["python", "java"], applies=_between_brokers)
def reassign_partitions_command(env):
    topic = env.name()
    topics.create(env.bootstrap, topic, 4)
    ids = sorted(AdminClient({"bootstrap.servers": env.bootstrap}).list_topics(topic, 10).brokers)
    before = _leaders(env, topic)
    plan = {p: ids[(ids.index(leader) + 1) % len(ids)] for p, leader in enumerate(before)}
    file = env.directory / f"{topic}.json"
    file.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": p, "replicas": [to]} for p, to in plan.items()]}))

    def run(*args, exit=0):
        return env.tool("ReassignPartitionsCommand", *args, exit=exit)

    def throttled(kind, name):
        described = env.tool("ConfigCommand", "--describe", "--entity-type", kind, "--entity-name", name).out
        return re.findall(r"((?:leader|follower)\.replication\.throttled\.(?:rate|replicas))=(\S+)", described)

    executed = run("--reassignment-json-file", file, "--execute", "--throttle", "1000000").out
    assert "Successfully started partition reassignments" in executed, executed
    wait_until("all have moved", lambda: _leaders(env, topic) == list(plan.values()))
    assert throttled("topics", topic) and throttled("brokers", str(ids[-1])), "the throttles are set"
    verified = run("--reassignment-json-file", file, "--verify").out
    for p in plan:
        assert f"Reassignment of partition {topic}-{p} is completed." in verified, verified
    assert "Clearing broker-level throttles" in verified and "Clearing topic-level throttles" in verified, verified
    wait_until("the throttles are gone", lambda: not throttled("topics", topic))
    for broker in ids:
        assert not throttled("brokers", str(broker)), f"broker {broker} is throttled"
    assert "No partition reassignments found." in run("--list").out
    cancelled = run("--reassignment-json-file", file, "--cancel").out
    assert "None of the specified partition moves are active" in cancelled, cancelled
    # A second replica is not possible.
    file.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": ids[:2]}]}))
    refused = run("--reassignment-json-file", file, "--execute", exit=1)
    assert "one replica" in refused.out + refused.err, refused
