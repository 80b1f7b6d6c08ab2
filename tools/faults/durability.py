"""No reply to acks=all leaves before its records are durable: by the kernel's own trace.

Some connections send produce requests, several of each in flight, each request with a batch for every
one of some partitions. Meanwhile the kernel records what the node does: writes to the partitions' files
and to the journal's, flushes of the device, and sends on sockets. When a reply is sent, the trace must
show of every partition that all bytes of the reply's batches were covered by a write with DSYNC that
had completed, or by a write that had completed before an fsync began that has succeeded; and within
each of these, that the device completed a flush, or a write with FUA. With the journal these bytes
may be its frames' (what a frame held is read from its file afterwards) or the segment's.

This is done with each driver, each way to write and each way to make it durable that works here; and
once with each driver with durable.acks.all=false, which must be seen to answer too early. Of the later
half of the requests it also tells how often file-system metadata was touched: updates of the files'
inodes, and commits of the file system's own journal (every file system's here; null: none has one).

Needs root and tracefs, and a file system of which the kernel tells enough: ext4.
"""
import argparse
import bisect
import collections
import itertools
import json
import os
import pathlib
import re
import selectors
import shutil
import struct
import sys
import tempfile
import time

from harness import frames, paths
from harness.node import Odradek
from harness.process import NotReady, wait_until
from harness.wire import Connection, string

TRACING = pathlib.Path("/sys/kernel/tracing")
EVENTS = ["iomap/iomap_dio_rw_begin", "iomap/iomap_dio_complete", "ext4/ext4_da_write_begin", "ext4/ext4_da_write_end",
          "ext4/ext4_write_begin", "ext4/ext4_write_end", "ext4/ext4_sync_file_enter", "ext4/ext4_sync_file_exit",
          "ext4/ext4_mark_inode_dirty", "jbd2/jbd2_start_commit",
          "block/block_rq_complete", "sock/sock_send_length", "io_uring/io_uring_complete"]
LINE = re.compile(r"^\s*(?P<task>.+)-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+(?P<time>[\d.]+): (?P<event>\w+): (?P<rest>.*)$")
TOPIC = "durable"
VALUE_BYTES = 3000
# Writes as large as this get no zeros ahead of them: they meet blocks that were never written.
LARGE_BYTES = 72_000
PAGE = 4096
DRIVERS = ["ring", "poll"]
STRATEGIES = ["direct", "buffered", "buffered-dontcache"]
METHODS = ["dsync", "fdatasync", "journal"]


class Missing(Exception):
    """Why it cannot be done here."""


class Refused(Exception):
    """What the node says of settings that do not work here."""


class Trace:
    """An instance of its own of the kernel's tracer."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Missing("it needs root, to read the kernel's trace")
        if not (TRACING / "events").is_dir():
            raise Missing(f"tracefs is not mounted: mount -t tracefs nodev {TRACING}")
        lacking = [event for event in EVENTS if not (TRACING / "events" / event).is_dir()]
        if lacking:
            raise Missing(f"this kernel has no events {', '.join(lacking)}")
        self.path = TRACING / "instances" / f"odradek-{os.getpid()}"
        self.path.mkdir()
        self.write("buffer_size_kb", "16384")
        # One order over all CPUs, and the clock of this process.
        self.write("trace_clock", "mono")
        for event in EVENTS:
            self.write(f"events/{event}/enable", "1")

    def write(self, name, text):
        (self.path / name).write_text(text)

    def lines(self):
        """All that was recorded, in order of time."""
        self.write("tracing_on", "0")
        for stats in self.path.glob("per_cpu/*/stats"):
            lost = re.search(r"^overrun: (\d+)$", stats.read_text(), re.MULTILINE)
            assert lost and lost[1] == "0", f"the trace has lost events: {stats}: {lost and lost[0]}"
        return (self.path / "trace").read_text(errors="replace").splitlines()

    def close(self):
        self.path.rmdir()


class Client:
    """One connection: which requests it sent when, and at which offsets they were put."""

    def __init__(self, address, partitions, value_bytes):
        self.connection = Connection(address)
        self.partitions = partitions
        self.value_bytes = value_bytes
        self.batch = None
        self.reply_bytes = None
        self.sent = []
        self.offsets = []  # of each reply, by partition

    def send(self, number):
        # The node looks at a batch's header and CRC, not into it.
        self.batch = frames.batch(payload=struct.pack(">i", number) * (self.value_bytes // 4), count=1)
        body = struct.pack(">hhii", -1, -1, 30_000, 1) + string(TOPIC) + struct.pack(">i", self.partitions)
        for index in range(self.partitions):
            body += struct.pack(">ii", index, len(self.batch)) + self.batch
        self.sent.append(time.monotonic())
        self.connection.send(struct.pack(">hhi", 0, 3, number) + string("durability") + body)

    def receive(self):
        """Whether the records were taken; they are not while the topic is being made."""
        answer = self.connection.receive()
        at = 4 + 4 + 2 + len(TOPIC) + 4
        offsets = []
        for _ in range(self.partitions):
            _, error, offset = struct.unpack_from(">ihq", answer, at)
            if error != 0:
                assert not self.offsets, f"error {error}"
                self.sent.pop()
                return False
            offsets.append(offset)
            at += 4 + 2 + 8 + 8
        self.reply_bytes = 4 + len(answer)
        self.offsets.append(offsets)
        return True

    def call(self, number):
        self.send(number)
        return self.receive()

    def forget(self):
        self.sent, self.offsets = [], []


def drive(clients, requests, depth, numbers):
    """So many requests, so many of each connection in flight."""
    # One after the other first: the order in which the trace first sees their sockets is theirs.
    for client in clients:
        assert client.call(next(numbers))
    left = requests - len(clients)
    flying = dict.fromkeys(clients, 0)
    with selectors.DefaultSelector() as ready:
        for client in clients:
            ready.register(client.connection.socket, selectors.EVENT_READ, client)
        while left or any(flying.values()):
            for client in clients:
                while left and flying[client] < depth:
                    client.send(next(numbers))
                    flying[client] += 1
                    left -= 1
            for key, _ in ready.select(30):
                assert key.data.receive()
                flying[key.data] -= 1


def journal_frames(path):
    """Position in the file -> what the frame there holds: (partition, first byte, end)."""
    data = path.read_bytes()
    found, at = {}, 0
    while data[at:at + 4] == b"ODJF":
        length, = struct.unpack_from(">I", data, at + 12)
        entries, entry = [], at + 48
        while entry < at + length:
            partition, = struct.unpack_from(">i", data, entry + 16)
            segment, position, size = struct.unpack_from(">qQI", data, entry + 40)
            assert segment == 0, "the run is to stay in one segment"
            entries.append((partition, position, position + size))
            entry += 60 + size
        found[at] = entries
        at += -(-length // PAGE) * PAGE
    return found


class Ranges:
    """A set of bytes: its ranges, in order, apart from each other."""

    def __init__(self, ranges=()):
        self.ranges = list(ranges)

    def add(self, begin, end):
        apart = [one for one in self.ranges if one[1] < begin or end < one[0]]
        touched = [one for one in self.ranges if not (one[1] < begin or end < one[0])]
        whole = (min([begin, *(one[0] for one in touched)]), max([end, *(one[1] for one in touched)]))
        self.ranges = sorted([*apart, whole])

    def cover(self, begin, end):
        return any(one[0] <= begin and end <= one[1] for one in self.ranges)


class Proof:
    """Replays the trace: what of each file is durable when a reply goes."""

    def __init__(self, segments, journals, clients, process):
        self.segments = segments  # inode -> partition
        self.journals = journals  # inode -> frames by position
        self.clients = clients
        self.batch_bytes = len(clients[0].batch)
        self.threads = {int(task) for task in os.listdir(f"/proc/{process}/task")}
        self.sockets = {}  # as the trace names it -> [which connection, bytes sent]
        self.flushes = 0  # of the device, completed
        self.begun = {}  # (inode, position) -> flushes when a DSYNC write began
        known = [*segments, *journals]
        self.written = {inode: [] for inode in known}  # ranges that only a flush makes durable
        self.own = collections.defaultdict(list)  # pid -> what it has written and done nothing since
        self.syncing = {}  # (pid, inode) -> (ranges, flushes) when an fsync began
        first = [min(client.offsets[0][index] for client in clients) for index in sorted(segments.values())]
        # What was sent before the trace began.
        self.durable = [Ranges([(0, offset * self.batch_bytes)]) for offset in first]
        self.counts = dict.fromkeys(
            ["replies", "dsync_writes", "plain_writes", "fsyncs", "journal_frames", "device_flushes",
             "io_uring_completions"], 0)
        self.replies = sum(len(client.offsets) for client in clients)
        self.metadata = dict.fromkeys(["inode_updates", "file_system_commits"], 0)
        self.wrong = []
        self._ends()

    def _ends(self):
        """When how much of each partition had been sent: what is written beyond is zeros."""
        requests = sorted(
            (sent, offsets) for client in self.clients for sent, offsets in zip(client.sent, client.offsets))
        self.sent_at = [sent for sent, _ in requests]
        self.sent_up_to, most = [], [0] * len(self.durable)
        for _, offsets in requests:
            most = [max(one, (offset + 1) * self.batch_bytes) for one, offset in zip(most, offsets)]
            self.sent_up_to.append(most)

    def read(self, line):
        match = LINE.match(line)
        if not match:
            return
        handler = getattr(self, match["event"], None)
        if handler is not None:
            self.now = float(match["time"])
            fields = dict(re.findall(r"(\w+) (0x[0-9a-f]+|-?\d+|[A-Z|]+)", match["rest"]))
            handler(int(match["pid"]), fields, match["rest"])

    def inode(self, fields):
        inode = int(fields.get("ino", "0"), 0)
        return inode if inode in self.written else None

    def late(self):
        return self.counts["replies"] > self.replies // 2

    def zeros(self, inode, end):
        """Written ahead of the data, which is to follow: it makes nothing durable."""
        if inode in self.journals:
            return False
        sent = bisect.bisect_right(self.sent_at, self.now)
        if sent == 0:
            return True
        return end > -(-self.sent_up_to[sent - 1][self.segments[inode]] // PAGE) * PAGE

    def is_durable(self, inode, begin, end):
        if inode in self.segments:
            self.durable[self.segments[inode]].add(begin, end)
            return
        for position in [at for at in self.journals[inode] if begin <= at < end]:
            self.counts["journal_frames"] += 1
            for partition, first, last in self.journals[inode][position]:
                self.durable[partition].add(first, last)

    def block_rq_complete(self, _pid, _fields, rest):
        flags = rest.split()[1]
        if "F" in flags and rest.rstrip().endswith("[0]"):
            self.flushes += 1
            self.counts["device_flushes"] += 1

    def io_uring_complete(self, pid, _fields, _rest):
        if pid in self.threads:
            self.counts["io_uring_completions"] += 1

    def ext4_mark_inode_dirty(self, _pid, fields, _rest):
        if self.inode(fields) and self.late():
            self.metadata["inode_updates"] += 1

    def jbd2_start_commit(self, _pid, _fields, _rest):
        if self.late():
            self.metadata["file_system_commits"] += 1

    def iomap_dio_rw_begin(self, _pid, fields, rest):
        inode = self.inode(fields)
        if inode and "DSYNC" in rest:
            self.begun[inode, int(fields["offset"], 0)] = self.flushes

    def iomap_dio_complete(self, _pid, fields, rest):
        # A ring's write is marked WRITE, pwritev2's is not; but nothing reads these files meanwhile.
        inode = self.inode(fields)
        if not inode:
            return
        ret = int(fields["ret"])
        if ret <= 0:
            # The ring's first attempt, which must not wait, or EIOCBQUEUED: it completes later.
            if ret not in (-11, -529):
                self.wrong.append(f"a write failed: {rest}")
            return
        # The position has moved on by what was written.
        end = int(fields["offset"], 0)
        begin = end - ret
        if "DSYNC" not in rest:
            self.counts["plain_writes"] += 1
            if not self.zeros(inode, end):
                self.written[inode].append((begin, end))
            return
        self.counts["dsync_writes"] += 1
        before = self.begun.pop((inode, begin), None)
        if before is None or before == self.flushes:
            self.wrong.append(f"a write with DSYNC completed without a flush of the device: {rest}")
        self.is_durable(inode, begin, end)

    def ext4_da_write_begin(self, _pid, fields, _rest):
        if self.inode(fields):
            self.counts["plain_writes"] += 1

    ext4_write_begin = ext4_da_write_begin

    def ext4_da_write_end(self, pid, fields, _rest):
        inode = self.inode(fields)
        if not inode:
            return
        begin = int(fields["pos"])
        one = (begin, begin + int(fields["copied"]))
        if not self.zeros(inode, one[1]):
            self.written[inode].append(one)
            self.own[pid, inode].append(one)

    ext4_write_end = ext4_da_write_end

    def ext4_sync_file_enter(self, pid, fields, _rest):
        inode = self.inode(fields)
        if inode:
            # Behind a buffered write by the same thread it may be RWF_DSYNC's, of that range only.
            ranges = self.own.pop((pid, inode), None) or list(self.written[inode])
            self.syncing[pid, inode] = (ranges, self.flushes)

    def ext4_sync_file_exit(self, pid, fields, rest):
        inode = self.inode(fields)
        if not inode:
            return
        ranges, before = self.syncing.pop((pid, inode), ([], 0))
        if int(fields["ret"]) != 0:
            self.wrong.append(f"an fsync failed: {rest}")
            return
        self.counts["fsyncs"] += 1
        if ranges and before == self.flushes:
            self.wrong.append(f"an fsync ended without a flush of the device: {rest}")
        for one in ranges:
            self.is_durable(inode, *one)
        self.written[inode] = [one for one in self.written[inode] if one not in ranges]

    def sock_send_length(self, pid, _fields, rest):
        sent = re.search(r"length = (\d+)", rest)
        name = re.search(r"sk address = (\w+)", rest)
        if pid not in self.threads or not sent or sent[1] == "0":
            return
        assert name, f"a send without its socket: {rest}"
        which = self.sockets.setdefault(name[1], [len(self.sockets), 0])
        if which[0] >= len(self.clients):
            self.wrong.append(f"a send on a socket of nobody: {rest}")
            return
        client = self.clients[which[0]]
        before = which[1] // client.reply_bytes
        which[1] += int(sent[1])
        # A reply counts from its first byte on.
        for number in range(before, min(-(-which[1] // client.reply_bytes), len(client.offsets))):
            if which[1] <= number * client.reply_bytes:
                continue
            self.counts["replies"] += 1
            for partition, offset in enumerate(client.offsets[number]):
                wanted = (offset * self.batch_bytes, (offset + 1) * self.batch_bytes)
                if not self.durable[partition].cover(*wanted):
                    self.wrong.append(f"connection {which[0]}, reply {number}: bytes {wanted} of partition "
                                      f"{partition} were not durable")


def start(node):
    try:
        return node.start()
    except NotReady as why:
        for line in str(why).splitlines():
            if "set others" in line:
                raise Refused(line) from None
        raise


def prove(driver, strategy, method, args, home, given, value_bytes=VALUE_BYTES):
    settings = {"log.write.strategy": strategy, "log.durable.method": method, "num.partitions": str(args.partitions),
                "offsets.topic.num.partitions": "1", **given}
    node = start(Odradek(home, settings=settings, shards=1, driver=driver))
    trace = None
    numbers = itertools.count()
    try:
        address = node.broker_addresses[0]
        clients = [Client(address, args.partitions, value_bytes) for _ in range(args.connections)]
        # Metadata makes the topic, the first request its files.
        clients[0].connection.call(3, 4, struct.pack(">i", 1) + string(TOPIC) + b"\1")
        wait_until("the topic is there", lambda: clients[0].call(next(numbers)))
        directory = node.log_dir / "journal.0"
        if method == "journal":
            wait_until("the journal is used", lambda: clients[0].call(next(numbers)) and any(
                path.read_bytes()[:4] == b"ODJF" for path in directory.glob("*-*")))
        for client in clients:
            client.forget()
        trace = Trace()
        drive(clients, args.requests, args.in_flight, numbers)
        lines = trace.lines()
        segments = {(node.log_dir / f"{TOPIC}-{index}" / "00000000000000000000.log").stat().st_ino: index
                    for index in range(args.partitions)}
        journals = {path.stat().st_ino: journal_frames(path) for path in directory.glob("*-*")}
        proof = Proof(segments, journals, clients, node.daemon.pid)
        for line in lines:
            proof.read(line)
        if args.keep:
            (home / "trace").write_text("\n".join(lines))
        return proof
    finally:
        if trace is not None:
            trace.close()
        node.kill()


def judge(proof, driver, method, args):
    """What must be so for the proof to mean anything."""
    counts, wrong = proof.counts, proof.wrong
    if counts["replies"] != args.requests:
        wrong.append(f"{counts['replies']} replies in the trace, {args.requests} requests")
    if (driver == "ring") != (counts["io_uring_completions"] > 0):
        wrong.append(f"{counts['io_uring_completions']} completions of io_uring with io.driver={driver}")
    if method == "journal" and counts["journal_frames"] == 0:
        wrong.append("the journal was not used")


def main():
    parser = argparse.ArgumentParser(
        prog="tools/faults/run durability", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--connections", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=4, help="requests of a connection")
    parser.add_argument("--driver", action="append", help=f"io.driver (default: {', '.join(DRIVERS)})")
    parser.add_argument("--strategy", action="append", help=f"log.write.strategy (default: {', '.join(STRATEGIES)})")
    parser.add_argument("--method", action="append", help=f"log.durable.method (default: {', '.join(METHODS)})")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the node")
    parser.add_argument("--home", default=paths.ROOT / "target", help="where the logs lie meanwhile (default: target)")
    parser.add_argument("--keep", action="store_true", help="keep the traces, and say where")
    args = parser.parse_args()
    given = dict(one.split("=", 1) for one in args.set)
    home = pathlib.Path(tempfile.mkdtemp(prefix="durability-", dir=args.home))
    drivers = args.driver or DRIVERS
    ways = itertools.product(drivers, args.strategy or STRATEGIES, args.method or METHODS)
    runs = [(*way, {}, VALUE_BYTES) for way in ways]
    # Without zeros ahead, to see what they save.
    runs += [(driver, "direct", "dsync", {}, LARGE_BYTES) for driver in drivers]
    # A proof that finds nothing wrong with these finds nothing at all.
    runs += [(driver, "direct", "dsync", {"durable.acks.all": "false"}, VALUE_BYTES) for driver in drivers]
    wrong = 0
    try:
        for number, (driver, strategy, method, early, value_bytes) in enumerate(runs):
            name = {"driver": driver, "strategy": strategy, "method": method, "value_bytes": value_bytes, **early}
            try:
                proof = prove(driver, strategy, method, args, home / str(number), {**given, **early}, value_bytes)
            except Refused as why:
                print(json.dumps({**name, "refused": str(why)}), flush=True)
                continue
            if early:
                caught = len(proof.wrong)
                print(json.dumps({**name, "replies": proof.counts["replies"], "too_early": caught}), flush=True)
                if caught == 0:
                    print("WRONG: replies that do not wait for the disk were not noticed")
                    wrong += 1
                continue
            judge(proof, driver, method, args)
            late = max(1, args.requests - args.requests // 2)
            rates = {f"{what}_per_reply": round(count / late, 3) for what, count in proof.metadata.items()}
            if not any(pathlib.Path("/proc/fs/jbd2").glob("*")):
                rates["file_system_commits_per_reply"] = None
            print(json.dumps({**name, **proof.counts, **rates, "wrong": len(proof.wrong)}), flush=True)
            for line in proof.wrong[:10]:
                print(f"WRONG: {line}")
            wrong += len(proof.wrong)
    except Missing as why:
        print(f"tools/faults/run durability: {why}", file=sys.stderr)
        return 2
    finally:
        if args.keep:
            print(f"traces and logs: {home}", file=sys.stderr)
        else:
            shutil.rmtree(home, ignore_errors=True)
    if wrong == 0:
        print("no reply left before all of its records were durable")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
