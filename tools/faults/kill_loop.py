"""kill -9 and SIGSTOP under load, many times, checked by librdkafka.

Two producers write all the while: one idempotent with acks=all, one with acks=1. A reader sees
what becomes visible, and commits how far it has come. The node is killed, or stopped and continued,
at random moments. At the end all is read again: each acknowledged record stands at the offset that
was acknowledged, what the reader had seen is still there, no commit that succeeded is forgotten, and
the idempotent producer's records are there once, in order.
"""
import argparse
import collections
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from harness import paths, topics
from harness.node import Odradek

PARTITIONS = 4
RATE = 4000  # Records per second and producer: there is much to lose, and little to wait for.
GROUP = "kill-loop"
COMMIT_S = 0.1


class Writer(threading.Thread):
    """Numbers its values; keeps where each was acknowledged."""

    def __init__(self, bootstrap, topic, **config):
        super().__init__(daemon=True)
        self.topic = topic
        self.sent = 0
        self.acknowledged = {}  # number -> (partition, offset)
        self.failed = collections.Counter()
        self.ending = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "linger.ms": 2, "message.timeout.ms": 300_000,
            "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20, "log_level": 0,
            **config})

    def run(self):
        begin = time.monotonic()
        while not self.ending.is_set():
            due = int((time.monotonic() - begin) * RATE)
            while self.sent < due and len(self.producer) < 50_000:
                number = self.sent
                self.producer.produce(
                    self.topic, b"%d" % number, partition=number % PARTITIONS,
                    on_delivery=lambda error, message, number=number: self._told(number, error, message))
                self.sent += 1
            self.producer.poll(0.005)

    def _told(self, number, error, message):
        if error is not None:
            self.failed[error.str()] += 1
        else:
            self.acknowledged[number] = (message.partition(), message.offset())

    def end(self):
        """Waits until the fate of every record is known."""
        self.ending.set()
        self.join()
        left = self.producer.flush(300)
        assert left == 0, f"{self.topic}: {left} records without an answer"


class Reader(threading.Thread):
    """What becomes visible while the node comes and goes."""

    def __init__(self, bootstrap, names):
        super().__init__(daemon=True)
        self.seen = {}  # (topic, partition, offset) -> number
        self.wrong = []
        self.committed = {}  # (topic, partition) -> offset, told that it is so
        self.ending = threading.Event()
        self.consumer = consumer(bootstrap, on_commit=self._told)
        self.consumer.assign([TopicPartition(name, index, 0) for name in names for index in range(PARTITIONS)])

    def _told(self, error, partitions):
        for one in partitions if error is None else ():
            if one.error is None and one.offset >= 0:
                place = (one.topic, one.partition)
                self.committed[place] = max(one.offset, self.committed.get(place, 0))

    def run(self):
        due = time.monotonic()
        while not self.ending.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + COMMIT_S
                try:
                    self.consumer.commit(asynchronous=True)
                except KafkaException as none:
                    assert none.args[0].code() == KafkaError._NO_OFFSET, none
            for message in self.consumer.consume(2000, 0.1):
                if message.error() is not None:
                    if message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                        self.wrong.append(message.error().str())
                else:
                    place = (message.topic(), message.partition(), message.offset())
                    number = int(message.value())
                    if self.seen.setdefault(place, number) != number:
                        self.wrong.append((place, self.seen[place], number))

    def end(self):
        """Also looks whether what was committed is known."""
        self.ending.set()
        self.join()
        known = self.consumer.committed([TopicPartition(*place) for place in self.committed], 60)
        self.wrong += [(one, "is committed, and it was", self.committed[one.topic, one.partition])
                       for one in known if one.offset < self.committed[one.topic, one.partition]]
        assert self.committed, "no commit succeeded"
        self.consumer.close()


def consumer(bootstrap, **config):
    return Consumer({
        "bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False, "check.crcs": True,
        "auto.offset.reset": "error", "reconnect.backoff.max.ms": 200, "log_level": 0, **config})


def read_all(bootstrap, topic):
    """(partition, offset) -> number, of all that is there; offsets must have no gaps."""
    reader = consumer(bootstrap)
    found, ends = {}, {}
    try:
        for index in range(PARTITIONS):
            low, high = reader.get_watermark_offsets(TopicPartition(topic, index), 30)
            assert low == 0, f"{topic}-{index} begins at {low}"
            ends[index] = high
        reader.assign([TopicPartition(topic, index, 0) for index in range(PARTITIONS)])
        next_offsets = dict.fromkeys(ends, 0)
        deadline = time.monotonic() + 300
        while next_offsets != ends:
            assert time.monotonic() < deadline, f"{topic}: read up to {next_offsets} of {ends}"
            for message in reader.consume(10_000, 1.0):
                assert message.error() is None, message.error()
                index, offset = message.partition(), message.offset()
                assert offset == next_offsets[index], f"{topic}-{index}: {offset} where {next_offsets[index]} is due"
                next_offsets[index] += 1
                found[index, offset] = int(message.value())
    finally:
        reader.close()
    return found


def check(writer, reader, found):
    """How many records are there more than once."""
    assert not writer.failed, f"{writer.topic}: {dict(writer.failed)}"
    assert len(writer.acknowledged) == writer.sent
    for number, place in writer.acknowledged.items():
        there = found.get(place)
        assert there == number, f"{writer.topic}: {number} was acknowledged at {place}, where {there} stands"
    for (topic, index, offset), number in reader.seen.items():
        if topic == writer.topic:
            there = found.get((index, offset))
            assert there == number, f"{topic}-{index}: {number} was seen at {offset}, where {there} stands"
    times = collections.Counter(found.values())
    assert set(times) == set(range(writer.sent)), f"{writer.topic}: values that nobody sent, or none of some"
    return sum(times.values()) - len(times)


def in_order(topic, found):
    last = {}
    for (index, offset), number in sorted(found.items()):
        assert number > last.get(index, -1), f"{topic}-{index}: {number} at {offset} behind {last[index]}"
        last[index] = number


def cycles(node, args, dice, writers, starts, stops):
    begin = time.monotonic()
    for cycle in itertools.count():
        if cycle >= args.cycles if args.seconds is None else time.monotonic() >= begin + args.seconds:
            return
        time.sleep(dice.uniform(0.05, 0.8))
        if dice.random() < args.stop_share:
            pause = dice.uniform(0.05, 1.5)
            os.kill(node.daemon.pid, signal.SIGSTOP)
            time.sleep(pause)
            if dice.random() < 0.5:
                os.kill(node.daemon.pid, signal.SIGCONT)
                stops.append(pause)
                continue
        node.kill()
        before = [len(writer.acknowledged) for writer in writers]
        began = time.monotonic()
        node.start()
        ready = time.monotonic()
        while not all(len(w.acknowledged) > b for w, b in zip(writers, before)):
            assert time.monotonic() < ready + 60, "nothing is acknowledged after the restart"
            assert node.alive(), "the node ended by itself"
            time.sleep(0.002)
        starts.append((ready - began, time.monotonic() - began))
        if (cycle + 1) % 20 == 0:
            print(f"{cycle + 1} cycles, {sum(w.sent for w in writers)} records", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tools/faults/run kill", description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seconds", type=float, help="as many cycles as begin in this time, instead")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--mode", choices=["core", "node"], default="core", help="shards.advertise")
    parser.add_argument("--driver", default="auto", help="io.driver")
    parser.add_argument("--stop-share", type=float, default=0.3, help="of cycles that begin with SIGSTOP")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the node")
    args = parser.parse_args()
    print(f"--seed {args.seed}", flush=True)
    dice = random.Random(args.seed)
    target = paths.ROOT / "target"
    target.mkdir(exist_ok=True)  # ODRADEK_BIN may be a binary that was built elsewhere.
    home = pathlib.Path(tempfile.mkdtemp(prefix="kill-loop-", dir=target))
    settings = {"log.segment.bytes": str(1 << 20), **dict(one.split("=", 1) for one in args.set)}
    node = Odradek(home, settings=settings, shards=args.shards, mode=args.mode, driver=args.driver).start()
    starts, stops, kept = [], [], True
    try:
        for name in ("all", "one"):
            topics.create(node.bootstrap, name, PARTITIONS)
        brokers = ",".join(node.broker_addresses)
        writers = [
            Writer(brokers, "all", **{"enable.idempotence": True, "acks": "all"}),
            Writer(brokers, "one", **{"acks": "1", "max.in.flight": 1}),
        ]
        reader = Reader(brokers, ["all", "one"])
        for thread in (*writers, reader):
            thread.start()
        cycles(node, args, dice, writers, starts, stops)
        for writer in writers:
            writer.end()
        found = {writer.topic: read_all(brokers, writer.topic) for writer in writers}
        reader.end()
        assert not reader.wrong, f"what changed: {reader.wrong[:5]}"
        twice = {writer.topic: check(writer, reader, found[writer.topic]) for writer in writers}
        assert twice["all"] == 0, f"{twice['all']} records of the idempotent producer are there more than once"
        in_order("all", found["all"])
        assert node.stop() == 0, "a clean stop"
        verified = subprocess.run(
            [paths.odradek_binary(), "log", "verify", "--quiet", node.log_dir], capture_output=True, text=True)
        faults = verified.stdout.splitlines()
        assert verified.returncode == 0, "\n".join(["odradek log verify:", *faults[:10], f"{len(faults)} faults"])
        kept = False
    finally:
        node.kill()
        if kept:
            print(f"data and log: {home}", file=sys.stderr)
        else:
            shutil.rmtree(home, ignore_errors=True)
    ready, served = zip(*starts) if starts else ((0,), (0,))
    print(json.dumps({
        "seed": args.seed, "cycles": len(starts) + len(stops), "kills": len(starts), "stops_survived": len(stops),
        "records": sum(w.sent for w in writers), "seen_while_running": len(reader.seen),
        "committed": sum(reader.committed.values()),
        "twice_with_acks_1": twice["one"],
        "s_until_ready": {"median": round(statistics.median(ready), 3), "most": round(max(ready), 3)},
        "s_until_both_acknowledged": {"median": round(statistics.median(served), 3), "most": round(max(served), 3)},
    }))
    print("nothing acknowledged was lost, nothing seen has changed, nothing of the idempotent producer is doubled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
