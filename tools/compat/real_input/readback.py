"""All of a topic, read by clients written by others and by our own, as checksums."""
import json
import subprocess
import time

from harness import paths
from harness.oracle import java_command
from harness.process import die_with_parent

from confluent_kafka import Consumer, TopicPartition

from .checksums import Keys, Partitions
from .load import JAVA_FLAGS


def librdkafka(node, topic, partitions, timeout_s):
    """By confluent-kafka's consumer."""
    consumer = Consumer({
        "bootstrap.servers": node.bootstrap, "group.id": "unused", "enable.auto.commit": False,
        # With 100,000 records in its queue it rests: by default for a second.
        "fetch.queue.backoff.ms": 20})
    by_key, by_partition = Keys(), Partitions(partitions)
    deadline = time.monotonic() + timeout_s
    try:
        all_ = [TopicPartition(topic, p, 0) for p in range(partitions)]
        left = sum(consumer.get_watermark_offsets(p, timeout=20)[1] for p in all_)
        consumer.assign(all_)
        while left > 0:
            assert time.monotonic() < deadline, f"{left} records have not come in {timeout_s:.0f} s"
            for message in consumer.consume(10_000, 0.5):
                assert message.error() is None, message.error()
                key, value = message.key(), message.value()
                by_key.add(key, value)
                by_partition.add(message.partition(), message.offset(), message.timestamp()[1], key, value)
                left -= 1
    finally:
        consumer.close()
    return by_key.table(), by_partition.table()


def java(node, topic, _partitions, timeout_s):
    """By Kafka's own consumer."""
    argv = java_command("compat.LogReader", node.bootstrap, topic, str(int(1000 * timeout_s)), flags=JAVA_FLAGS)
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=timeout_s + 20, preexec_fn=die_with_parent)
    assert done.returncode == 0, f"LogReader: {done.stderr.decode(errors='replace')[-2000:]}"
    answer = json.loads(done.stdout)
    keys = {key.encode("latin-1"): entry for key, entry in answer["keys"].items()}
    return keys, {int(p): entry for p, entry in answer["partitions"].items()}


def odradek(node, topic, _partitions, timeout_s):
    """By `odradek consume`, which prints neither partition nor offset in this format."""
    argv = [
        paths.odradek_binary(), "consume", topic, "--bootstrap-server", node.bootstrap, "--from-beginning",
        "--exit-at-end", "--quiet", "--key-separator", "\t"]
    by_key = Keys()
    deadline = time.monotonic() + timeout_s
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=die_with_parent)
    try:
        rest = b""
        while block := process.stdout.read(1 << 20):
            assert time.monotonic() < deadline, f"odradek consume: not done in {timeout_s:.0f} s"
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                key, value = line.split(b"\t", 1)
                by_key.add(key, value)
        code = process.wait(10)
        assert code == 0 and not rest, f"odradek consume: exit code {code}"
    finally:
        process.kill()
        process.wait()
    return by_key.table(), None


READERS = {"librdkafka": librdkafka, "java": java, "odradek": odradek}


def by_all(node, topic, partitions, timeout_s, clients=tuple(READERS)):
    """{client: (keys, partitions, seconds)}, one client after the other."""
    results = {}
    for name in clients:
        begun = time.monotonic()
        keys, by_partition = READERS[name](node, topic, partitions, timeout_s)
        results[name] = keys, by_partition, time.monotonic() - begun
    return results


def compare(sent, results, partitions, partition_of_key):
    """`sent`: {key: [records, bytes, checksum]}. Raises at the first difference: in what a key's
    values are and their order, in a partition's records between clients, in where keys lie."""
    for name, (keys, _partitions, _seconds) in results.items():
        lost, new = sent.keys() - keys.keys(), keys.keys() - sent.keys()
        assert not lost and not new, f"{name}: keys lost {sorted(lost)[:3]}, never sent {sorted(new)[:3]}"
        wrong = [(key, sent[key], keys[key]) for key in sent if sent[key] != keys[key]]
        assert not wrong, (
            f"{name}: {len(wrong)} of {len(sent)} keys differ; the first: {wrong[0][0]}: "
            f"sent {wrong[0][1]}, read {wrong[0][2]}")
    seen = {name: by_partition for name, (_k, by_partition, _s) in results.items() if by_partition is not None}
    first, *others = seen.items()
    for name, by_partition in others:
        assert by_partition == first[1], f"{first[0]} and {name} read different partitions: {first[1]} {by_partition}"
    # Both producers put keys where Kafka's partitioner does: then each key is in one partition.
    expected = dict.fromkeys(range(partitions), 0)
    for key, (records, _bytes, _sha) in sent.items():
        expected[partition_of_key(key, partitions)] += records
    counts = {p: records for p, (records, _sha) in first[1].items()}
    assert counts == expected, f"records per partition: by the keys {expected}, read {counts}"
    return first[1]
