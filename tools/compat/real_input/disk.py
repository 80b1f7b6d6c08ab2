"""What lies on disk after a clean stop, judged by our tool and by Kafka's."""
import re
import subprocess

from harness import paths
from harness.oracle import java_command
from harness.process import die_with_parent

from .load import JAVA_FLAGS

BATCH = re.compile(rb"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .*isvalid: (\w+)")


def log_verify(node, topic, timeout_s=300):
    """`odradek log verify --records` over the topic's partitions; returns its lines."""
    directories = partition_directories(node, topic)
    done = subprocess.run(
        [str(paths.odradek_binary()), "log", "verify", "--records", *map(str, directories)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, text=True)
    assert done.returncode == 0, f"odradek log verify: exit code {done.returncode}\n{done.stdout[-2000:]}"
    return done.stdout.splitlines()


def dump_log(node, topic, timeout_s=300):
    """(batches, records) that kafka-dump-log finds; every batch valid, offsets without a gap."""
    batches = records = 0
    for directory in partition_directories(node, topic):
        following = 0
        files = ",".join(str(file) for file in sorted(directory.glob("*.log")))
        argv = java_command("org.apache.kafka.tools.DumpLogSegments", "--files", files, flags=JAVA_FLAGS)
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout_s,
            preexec_fn=die_with_parent)
        assert done.returncode == 0, f"kafka-dump-log of {directory.name}: {done.stderr[-2000:]}"
        for line in done.stdout.splitlines():
            found = BATCH.match(line)
            if found is None:
                continue
            first, last, count = (int(text) for text in found.groups()[:3])
            where = f"{directory.name}: batch at offset {first}"
            assert found[4] == b"true", f"{where}: kafka-dump-log calls it invalid"
            assert first == following and last - first + 1 == count, f"{where} where {following} is next"
            following = last + 1
            batches += 1
            records += count
        assert b"Found invalid" not in done.stdout, f"{directory.name}: kafka-dump-log finds bytes that are no batch"
    return batches, records


def partition_directories(node, topic):
    found = sorted(p for p in node.log_dir.rglob(f"{topic}-*") if p.is_dir())
    assert found, f"no partition of {topic} below {node.log_dir}"
    return found
