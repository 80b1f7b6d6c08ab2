"""Real log lines: what Apache Kafka logs at TRACE while clients use it.

A broker and its clients (Kafka's own performance tools) run until their logs are as long as
wanted. Nothing here writes a line of them.
"""
import contextlib
import subprocess

from harness.oracle import Oracle, java_command
from harness.process import die_with_parent, wait_until

LEVEL = "trace"
CLIENTS = 3
FLAGS = [
    "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
    f"-Dorg.slf4j.simpleLogger.defaultLogLevel={LEVEL}",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]
# Threads and partitions as in a broker that works: each logs under its own name.
BROKER = {"num.partitions": "4", "num.io.threads": "4", "num.network.threads": "2"}


def make(directory, bytes_wanted, say, timeout_s=600):
    """Fills `directory`; returns the log files, at least `bytes_wanted` together."""
    directory.mkdir(parents=True)
    broker = Oracle(directory / "broker", settings=BROKER, log_level=LEVEL).start()
    logs = [broker.log]
    clients = []

    def have():
        total = sum(log.stat().st_size for log in logs)
        say(f"{total / 1e6:.0f} of {bytes_wanted / 1e6:.0f} MB of Kafka's log")
        ended = [c.args for c in clients if c.poll() is not None]
        assert not ended, f"ended by itself, see {directory}: {ended[0]}"
        return total >= bytes_wanted

    with contextlib.ExitStack() as stack:
        stack.callback(broker.kill)
        for name, argv in _clients(broker.bootstrap):
            log = directory / f"{name}.log"
            logs.append(log)
            with open(log, "wb") as out:
                clients.append(subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out,
                    preexec_fn=die_with_parent))
            stack.callback(_end, clients[-1])
        wait_until(f"the logs have {bytes_wanted} bytes", have, timeout_s, interval_s=2)
    return logs


def _clients(bootstrap):
    endless = str(10**9)
    for i in range(CLIENTS):
        topic = f"load-{i}"
        # One record per batch: a request, and what is logged of it, for each.
        yield f"producer-{i}", java_command(
            "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", endless,
            "--record-size", "200", "--throughput", "1500", "--producer-props", f"bootstrap.servers={bootstrap}",
            "batch.size=1", f"client.id=producer-{i}", flags=FLAGS)
        yield f"consumer-{i}", java_command(
            "org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", bootstrap, "--topic", topic,
            "--num-records", endless, "--timeout", "600000", flags=FLAGS)


def _end(process):
    process.kill()
    process.wait()


