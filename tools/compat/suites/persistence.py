"""What outlives a restart: clean (SIGTERM) and by kill -9, seen by clients written by others."""
import json
import os
import subprocess
import sys
import threading
import time

from harness import paths, topics
from harness.process import die_with_parent, wait_until
from harness.tests import test

try:
    from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource
except ImportError:
    pass  # every test here says that it needs it

KILL_LOOP_S = 60


def create(node, topic, partitions=3, **config):
    topics.create(node.bootstrap, topic, partitions, **config)


def produce(node, topic, count, partitions=3, acks="all", idempotent=True):
    """{(partition, offset told): value}, all acknowledged."""
    told = {}

    def delivered(error, message):
        assert error is None, error
        told[message.partition(), message.offset()] = message.value()

    producer = Producer({"bootstrap.servers": node.bootstrap, "acks": acks, "enable.idempotence": idempotent})
    for i in range(count):
        producer.produce(topic, f"{topic} {acks} {i}".encode(), partition=i % partitions, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert len(told) == count
    return told


def consumer(node, group):
    return Consumer({"bootstrap.servers": node.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False})


def read(consumer_, count, timeout_s=30):
    found = {}

    def more():
        for message in consumer_.consume(500, 0.2):
            assert message.error() is None, message.error()
            found[message.partition(), message.offset()] = message.value()
        return len(found) >= count
    wait_until(f"{count} records came", more, timeout_s)
    return found


def read_all(node, topic, count, partitions=3):
    c = consumer(node, "unused")
    c.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    try:
        return read(c, count)
    finally:
        c.close()


def committed(node, group, topic, partitions=3):
    c = consumer(node, group)
    try:
        return [p.offset for p in c.committed([TopicPartition(topic, p) for p in range(partitions)], 20)]
    finally:
        c.close()


def _fill_and_commit(env, node):
    """Records of which a group has read and committed all but the last 30."""
    topic, group = env.name(), env.name("g")
    create(node, topic, retention_ms="7200000")
    told = produce(node, topic, 3000)
    c = consumer(node, group)
    c.subscribe([topic])
    assert read(c, 3000) == told
    c.commit(asynchronous=False)
    c.close()
    told.update(produce(node, topic, 30))
    return topic, group, told


def _check_all_is_there(node, topic, group, told):
    assert read_all(node, topic, len(told)) == told
    assert committed(node, group, topic) == [1000] * 3
    client = AdminClient({"bootstrap.servers": node.bootstrap})
    groups = client.list_consumer_groups().result(20).valid
    assert group in {g.group_id for g in groups}
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    assert client.describe_configs([resource])[resource].result(20)["retention.ms"].value == "7200000"
    # The group goes on where it was, and so does the log.
    c = consumer(node, group)
    c.subscribe([topic])
    assert len(read(c, 30)) == 30
    c.close()
    more = produce(node, topic, 3)
    assert sorted(more) == [(p, 1010) for p in range(3)]


@test(needs=["python"], limit_s=90)
def clean_restart(env):
    node = env.own_node()
    topic, group, told = _fill_and_commit(env, node)
    gone = env.name("gone")
    create(node, gone)
    client = AdminClient({"bootstrap.servers": node.bootstrap})
    client.delete_topics([gone])[gone].result(20)
    assert node.stop() == 0, "exit code after SIGTERM"
    node.start()
    _check_all_is_there(node, topic, group, told)
    assert gone not in client.list_topics(timeout=20).topics


@test(needs=["python"], limit_s=90)
def kill_9(env):
    node = env.own_node()
    topic, group, told = _fill_and_commit(env, node)
    node.kill()
    node.start()
    _check_all_is_there(node, topic, group, told)


@test(needs=["python"], limit_s=90)
def acks_1_survives_kill_9(env):
    node = env.own_node()
    topic = env.name()
    create(node, topic)
    told = produce(node, topic, 3000, acks="1", idempotent=False)
    node.kill()
    node.start()
    assert read_all(node, topic, 3000) == told


@test(needs=["python"], limit_s=240, applies=lambda variant: variant.kind != "kafka")
def kills_and_stops_in_a_row(env):
    """For KILL_LOOP_S seconds of cycles; see the script for what must hold."""
    script = paths.ROOT / "tools" / "faults" / "kill_loop.py"
    variant = env.variant
    options = {"seconds": KILL_LOOP_S, "shards": variant.shards, "mode": variant.mode, "driver": variant.driver}
    done = subprocess.run(
        [sys.executable, script, *(f"--{name}={value}" for name, value in options.items())],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, preexec_fn=die_with_parent,
        env={**os.environ, "PYTHONPATH": str(paths.COMPAT), "ODRADEK_BIN": str(paths.odradek_binary())})
    assert done.returncode == 0, done.stdout[-8000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert found["kills"] >= 5 and found["stops_survived"] >= 1, found
    env.figures.append(f"kill -9 under load: {json.dumps(found)}")


def _under_load(env, end):
    """An idempotent producer and a group member keep going while the node goes (`end(node, round)`) and returns:
    nothing acknowledged is lost, nothing comes twice, the order holds."""
    node = env.own_node()
    topic, group = env.name(), env.name("g")
    create(node, topic)
    told, errors = {}, []
    stop = threading.Event()

    def delivered(error, message):
        if error is not None:
            errors.append(error)
        else:
            told[message.partition(), message.offset()] = message.value()

    def send():
        producer = Producer({
            "bootstrap.servers": node.bootstrap, "enable.idempotence": True, "linger.ms": 5,
            "message.timeout.ms": 60_000, "reconnect.backoff.max.ms": 500})
        i = 0
        while not stop.is_set():
            producer.produce(topic, str(i).encode(), partition=i % 3, on_delivery=delivered)
            producer.poll(0.001)
            i += 1
        if producer.flush(60) != 0:
            errors.append("not all sent")

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    c = consumer(node, group)
    c.subscribe([topic])
    found, order = {}, {p: [] for p in range(3)}

    def poll():
        for message in c.consume(500, 0.1):
            if message.error() is not None:
                # What a client says of a node that is away is no fault of the node.
                assert message.error().code() in (
                    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE,
                    KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS), message.error()
                continue
            if (message.partition(), message.offset()) not in found:
                order[message.partition()].append(int(message.value()))
            found[message.partition(), message.offset()] = message.value()

    try:
        for round_ in range(2):
            before = len(found)
            wait_until("records flow", lambda: poll() or len(found) > before + 300)
            end(node, round_)
            node.start()
        before = len(found)
        wait_until("records flow again", lambda: poll() or len(found) > before + 300)
    finally:
        stop.set()
        sender.join(70)
    assert not errors, errors[:3]
    wait_until("all acknowledged records came", lambda: poll() or len(found) >= len(told), 30)
    c.close()
    assert found == told
    for partition, values in order.items():
        assert values == sorted(set(values)), f"order in partition {partition}"
        assert values == list(range(partition, max(values) + 1, 3)), f"gaps in partition {partition}"


@test(needs=["python"], limit_s=150)
def clean_restart_under_load(env):
    """Each time with another number of shards: the clients find out for themselves."""
    def end(node, round_):
        node.stop()
        if env.kind != "kafka":
            node.resize((1, 3)[round_])
    _under_load(env, end)


@test(needs=["python"], limit_s=150)
def kill_9_under_load(env):
    _under_load(env, lambda node, _: node.kill())


@test(needs=["python"], limit_s=90)
def stop_is_quick_with_clients_connected(env):
    node = env.own_node()
    topic = env.name()
    create(node, topic)
    c = consumer(node, env.name("g"))
    c.subscribe([topic])
    wait_until("it is assigned", lambda: c.poll(0.1) or c.assignment())
    start = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - start < 15
    c.close()
