"""See tools/real-input."""
import argparse
import datetime
import fcntl
import pathlib
import shutil
import sys
import time

from harness import paths, topics
from harness.node import Odradek

from . import cut, disk, facts, kafka_logs, load, readback, report
from .checksums import of_table, partition_of_key

TOPIC = "real-input"
PARTITIONS = 6
VALUE_BYTES_MIN = 1 << 30
# Of the bytes. The quicker producer alone can reach the half: it is still at work then, and so is
# the other, which starts first.
SHARES = {"java": 0.3, "odradek": 0.7}
DIRECTORY = paths.CACHE / "real-input"


def main():
    parser = argparse.ArgumentParser(prog="tools/real-input", description=(
        "Log lines that Apache Kafka has written go through a node that is killed (SIGKILL) and started again half "
        "way, and are read back and compared. Keeps the figures in bench/results/; exit code 0 if nothing was lost, "
        "doubled or out of order."))
    parser.add_argument("--update-readme", action="store_true", help="write the figures into README.md, too")
    parser.add_argument("--fresh-input", action="store_true", help="make the log lines anew (they are kept in "
                        "tools/compat/.cache)")
    parser.add_argument("--keep", action="store_true", help="keep the node's data and logs, and say where")
    parser.add_argument("--results", type=pathlib.Path, default=paths.ROOT / "bench" / "results", metavar="DIR")
    args = parser.parse_args()

    DIRECTORY.mkdir(parents=True, exist_ok=True)
    lock = open(DIRECTORY / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("tools/real-input is running here already", file=sys.stderr)
        return 2
    manifest = the_input(args.fresh_input)
    run = DIRECTORY / "run"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    ok = False
    try:
        outcome = prove(manifest, run)
        ok = True
    finally:
        if ok and not args.keep:
            shutil.rmtree(run, ignore_errors=True)
        else:
            print(f"data and logs: {run}", file=sys.stderr)
    kept = report.keep(outcome, args.results)
    print(report.text(outcome))
    print(f"kept in {kept}")
    if args.update_readme:
        report.update_readme(outcome, kept, paths.ROOT / "README.md")
        print("README.md has these figures")
    return 0


def the_input(fresh):
    parts = DIRECTORY / "input"
    manifest = None if fresh else cut.load(parts, SHARES)
    if manifest is not None:
        return manifest
    for stale in (parts, DIRECTORY / "logs", DIRECTORY / "cut"):
        shutil.rmtree(stale, ignore_errors=True)
    logs = kafka_logs.make(DIRECTORY / "logs", int(1.02 * VALUE_BYTES_MIN), say)
    say("keys for the lines")
    manifest = cut.make(logs, DIRECTORY / "cut", SHARES)
    have = sum(part["value_bytes"] for part in manifest["parts"].values())
    assert have >= VALUE_BYTES_MIN, f"{have} bytes of lines, {VALUE_BYTES_MIN} wanted"
    (DIRECTORY / "cut").rename(parts)
    shutil.rmtree(DIRECTORY / "logs")
    return manifest


def prove(manifest, run):
    began = datetime.datetime.now(datetime.timezone.utc)
    machine = facts.gather(run)
    parts = manifest["parts"]
    sent = {key.encode("latin-1"): entry for part in parts.values() for key, entry in part["keys"].items()}
    node = Odradek(run / "node")
    try:
        node.start()
        topics.create(node.bootstrap, TOPIC, PARTITIONS)
        files = {name: (DIRECTORY / "input" / part["file"], part["records"]) for name, part in sorted(parts.items())}
        say("two producers, kill -9 half way")
        busy, stolen = facts.machine_cpu()
        produced = load.through_a_kill(node, TOPIC, PARTITIONS, files, run)
        busy, stolen = (after - before for after, before in zip(facts.machine_cpu(), (busy, stolen)))
        produced["machine_busy_seconds"], produced["machine_stolen_seconds"] = busy, stolen
        reads = {}
        for name in readback.READERS:
            say(f"reading with {name}")
            cpu = load.cpu_seconds(node.daemon.pid)
            reads.update(readback.by_all(node, TOPIC, PARTITIONS, 300.0, [name]))
            reads[name] += (load.cpu_seconds(node.daemon.pid) - cpu,)
        partitions = readback.compare(sent, {n: r[:3] for n, r in reads.items()}, PARTITIONS, partition_of_key)
        say("stopping the node")
        assert node.stop() == 0, "exit code after SIGTERM"
        say("odradek log verify, kafka-dump-log")
        verified = disk.log_verify(node, TOPIC)
        batches, dumped = disk.dump_log(node, TOPIC)
        assert dumped == produced["records"], f"kafka-dump-log finds {dumped} records of {produced['records']}"
    finally:
        node.kill()
    for name, part in parts.items():
        produced["producers"][name]["value_bytes"] = part["value_bytes"]
    return {
        "started": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine,
        "configuration": {"shards": node.shards, "partitions": PARTITIONS, "kafka": paths.KAFKA_VERSION,
                          "acks": "all, idempotent, no compression"},
        "input": {
            "what": f"Apache Kafka {paths.KAFKA_VERSION}'s own {kafka_logs.LEVEL.upper()} logs: a broker, "
                    f"{kafka_logs.CLIENTS} producers, {kafka_logs.CLIENTS} consumers",
            "sources": manifest["sources"],
            "parts": {name: {"records": part["records"], "value_bytes": part["value_bytes"],
                             "keys": len(part["keys"]), "sha256": part["sha256"]} for name, part in parts.items()},
        },
        "produce": produced,
        "read": {name: {"seconds": seconds, "node_cpu_seconds": cpu, "keys_sha256": of_table(keys)}
                 for name, (keys, _p, seconds, cpu) in reads.items()},
        "checksums": {
            "keys_sent": of_table(sent),
            "partitions": {str(p): {"records": records, "sha256": sha} for p, (records, sha) in partitions.items()},
        },
        "disk": {"log_verify": verified, "dump_log_batches": batches, "dump_log_records": dumped},
    }


def say(text):
    """Progress, to a terminal on one line."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
