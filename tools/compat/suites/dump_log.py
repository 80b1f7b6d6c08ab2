"""kafka-dump-log reads what the node leaves on disk: rolled segments while it runs, all of
them after a clean stop, indexes, producer snapshots and the internal topics."""
import re
import time

from harness import topics
from harness.process import wait_until
from harness.tests import test

try:
    from confluent_kafka import Consumer, Producer
except ImportError:
    pass  # every test here says that it needs it

BATCH = re.compile(
    r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .*position: (\d+) .*size: (\d+) "
    r"magic: (\d) compresscodec: (\w+) crc: \d+ isvalid: (\w+)", re.MULTILINE)
RECORD = re.compile(r"^\| offset: (\d+) .*?(?:payload: (.*))?$", re.MULTILINE)
# The tool calls every segment that does not begin at 0 non-consecutive (to its own -1);
# whether offsets are is checked here.
TROUBLE = re.compile(
    r"isvalid: false|Mismatch|Could not|corrupt|invalid bytes|not found|out of order|Exception", re.IGNORECASE)


def dump(env, *args):
    result = env.driver.tool("DumpLogSegments", *args)
    assert result.exit == 0 and not TROUBLE.search(result.out + result.err), f"{args}\n{result.out[-800:]}\n{result.err}"
    return result.out


def partition_directory(node, topic, partition=0):
    found = [p for p in node.log_dir.rglob(f"{topic}-{partition}") if p.is_dir()]
    assert len(found) == 1, found
    return found[0]


def segments(directory):
    return sorted(directory.glob("*.log"))


def produce(node, topic, count, size=1000, **config):
    # The smallest segments that Kafka 4 accepts.
    topics.create(node.bootstrap, topic, segment_bytes=1 << 20)
    values = [f"{i:08d} {'x' * (size - 9)}" for i in range(count)]
    producer = Producer({"bootstrap.servers": node.bootstrap, "enable.idempotence": True, "batch.size": 50_000, **config})
    for value in values:
        producer.produce(topic, value)
        producer.poll(0)
    assert producer.flush(30) == 0
    return values


def check_segment(env, file, next_offset, next_segment=None):
    """All batches in a row, from byte 0 to the file's end; returns (offset behind it, payloads, codecs)."""
    out = dump(env, "--deep-iteration", "--print-data-log", "--files", file)
    position, base, codecs = 0, next_offset, set()
    assert int(file.stem) == next_offset, f"{file} starts at {next_offset}"
    for first, last, count, at, size, magic, codec, _valid in BATCH.findall(out):
        assert (int(first), int(at), magic) == (base, position, "2"), (file, first, at, base, position)
        assert int(last) - int(first) + 1 == int(count)
        base, position = int(last) + 1, position + int(size)
        codecs.add(codec)
    assert position == file.stat().st_size, f"{file}: batches end at {position}, the file at {file.stat().st_size}"
    records = RECORD.findall(out)
    assert [int(r[0]) for r in records] == list(range(next_offset, base)), f"{file}: records"
    return base, [r[1] for r in records], codecs


def check_partition(env, node, topic, values, codec):
    directory = partition_directory(node, topic)
    offset, payloads = 0, []
    files = segments(directory)
    for file in files:
        if not file.stat().st_size:
            assert file == files[-1], f"{file} is empty and not the last"
            continue
        offset, more, codecs = check_segment(env, file, offset)
        payloads += more
        assert codecs == {codec}, (file, codecs)
    assert payloads == values
    return files


@test(needs=["python", "java"], limit_s=90)
def rolled_segments_while_it_runs(env):
    node = env.own_node()
    topic = env.name()
    values = produce(node, topic, 4000)
    directory = partition_directory(node, topic)
    rolled = segments(directory)[:-1]
    assert len(rolled) >= 3, rolled
    offset = 0

    def trimmed(file, following):
        # A rolled segment's padding may be cut a little after the roll.
        return int(following.stem) > 0 and dump_ends_with_the_file(env, file)

    for file, following in zip(rolled, [*rolled[1:], segments(directory)[-1]], strict=True):
        wait_until(f"{file.name} is whole", lambda file=file, following=following: trimmed(file, following), 10)
        offset, payloads, _ = check_segment(env, file, offset)
        assert offset == int(following.stem), f"{file} ends at {offset}, {following.name} follows"
        assert payloads == values[int(file.stem):offset]


def dump_ends_with_the_file(env, file):
    out = env.driver.tool("DumpLogSegments", "--files", file).out
    batches = BATCH.findall(out)
    return batches and int(batches[-1][3]) + int(batches[-1][4]) == file.stat().st_size


@test(needs=["python", "java"], limit_s=120)
def everything_after_a_clean_stop(env):
    node = env.own_node()
    written = {}
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = env.name(codec)
        written[topic] = (codec, produce(node, topic, 4000 if codec == "none" else 500, **{"compression.type": codec}))
    # A tail of one small batch, and a partition never written.
    small, empty = env.name("small"), env.name("empty")
    written[small] = ("none", produce(node, small, 1, size=20))
    written[empty] = ("none", produce(node, empty, 0))
    assert node.stop() == 0
    for topic, (codec, values) in written.items():
        if not values and not any(node.log_dir.rglob(f"{topic}-0")):
            continue  # files are made at the first write
        files = check_partition(env, node, topic, values, codec)
        assert codec != "none" or len(values) < 1000 or len(files) >= 4, files


@test(needs=["python", "java"], limit_s=90)
def indexes_and_producer_snapshots(env):
    node = env.own_node()
    topic = env.name()
    produce(node, topic, 4000)
    assert node.stop() == 0
    directory = partition_directory(node, topic)
    with_entries = 0
    for file in segments(directory):
        for suffix in (".index", ".timeindex"):
            index = file.with_suffix(suffix)
            if not index.exists() or not index.stat().st_size:
                # Only what is small, or was just rolled, may do without.
                assert file.stat().st_size < 64 << 10, f"{index} is missing or empty"
                continue
            out = dump(env, "--files", index)
            with_entries += len(re.findall(r"^(?:offset: \d+ position|timestamp: \d+ offset): \d+", out, re.MULTILINE))
    assert with_entries > 20, with_entries
    snapshots = sorted(directory.glob("*.snapshot"))
    assert snapshots and int(snapshots[-1].stem) == 4000, snapshots
    out = dump(env, "--files", snapshots[-1])
    assert re.search(r"producerId: \d+ producerEpoch: 0 .*lastOffset: 3999|producerId: \d+ producerEpoch: 0", out), out


@test(needs=["python", "java"], limit_s=90)
def committed_offsets(env):
    node = env.own_node()
    topic, group = env.name(), env.name("g")
    produce(node, topic, 50, size=20)
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False})
    consumer.subscribe([topic])
    got = []
    wait_until("50 records came", lambda: got.extend(consumer.consume(50, 0.2)) or len(got) >= 50)
    consumer.commit(asynchronous=False)
    consumer.close()
    assert node.stop() == 0
    out = ""
    for partition in range(4):
        for directory in node.log_dir.rglob(f"__consumer_offsets-{partition}"):
            for file in segments(directory):
                out += dump(env, "--offsets-decoder", "--files", file)
    # Decoded with Kafka's own record formats: the commit, and the group's metadata.
    assert re.search(rf'"group":"{group}","topic":"{topic}","partition":0.*"offset":50', out), out[-2000:]
    assert re.search(rf'"group":"{group}".*"protocolType":"consumer"', out), out[-2000:]
    assert "Error" not in out, out[-2000:]


def transact(node, transactional_id, topic, count, commit):
    producer = Producer({"bootstrap.servers": node.bootstrap, "transactional.id": transactional_id})
    producer.init_transactions(30)
    producer.begin_transaction()
    for i in range(count):
        producer.produce(topic, f"{transactional_id} {i}", partition=0)
    assert producer.flush(30) == 0
    (producer.commit_transaction if commit else producer.abort_transaction)(30)


@test(needs=["python", "java"], limit_s=90)
def transactions(env):
    """The log of a topic with its markers and its index of aborted transactions, and `__transaction_state`."""
    node = env.own_node()
    topic, kept, dropped = env.name(), env.name("kept"), env.name("dropped")
    topics.create(node.bootstrap, topic)
    transact(node, kept, topic, 3, commit=True)
    transact(node, dropped, topic, 2, commit=False)

    def state():
        described = env.tool("TransactionsCommand", "describe", "--transactional-id", dropped, bootstrap=node.bootstrap)
        return described.out

    # The client is told before the markers are written and that is noted.
    wait_until("the transaction is complete", lambda: "CompleteAbort" in state())
    assert node.stop() == 0
    directory = partition_directory(node, topic)
    file, = segments(directory)
    out = dump(env, "--deep-iteration", "--print-data-log", "--files", file)
    markers = re.findall(r"^\| offset: (\d+) .*endTxnMarker: (\w+) coordinatorEpoch: \d+", out, re.MULTILINE)
    assert markers == [("3", "COMMIT"), ("6", "ABORT")], out[-2000:]
    payloads = [payload for _, payload in RECORD.findall(out) if payload]
    assert payloads == [f"{kept} {i}" for i in range(3)] + [f"{dropped} {i}" for i in range(2)], payloads
    transactional = re.findall(r"^baseOffset: (\d+) .*isTransactional: true isControl: (\w+)", out, re.MULTILINE)
    assert [of for of in transactional if of[1] == "true"] == [("3", "true"), ("6", "true")], transactional
    assert transactional[0] == ("0", "false") and ("4", "false") in transactional, transactional
    out = dump(env, "--files", file.with_suffix(".txnindex"))
    assert re.search(r"firstOffset: 4 lastOffset: 6 ", out), out
    states = {kept: [], dropped: []}
    for directory in sorted(node.log_dir.rglob("__transaction_state-*")):
        for file in segments(directory):
            out = dump(env, "--transaction-log-decoder", "--files", file)
            for line in out.splitlines():
                key = re.search(r'"transactionalId":"([^"]+)"', line)
                status = re.search(r'"transactionStatus":(\d+)', line)
                if key and status:
                    states[key[1]].append(int(status[1]))
                    assert status[1] not in "12" or f'"topic":"{topic}","partitionIds":[0]' in line, line
    # Empty, ongoing, prepared to commit or to abort, complete.
    assert states == {kept: [0, 1, 2, 4], dropped: [0, 1, 3, 5]}, states


@test(needs=["python", "java"], limit_s=90)
def cluster_metadata(env):
    node = env.own_node(metadata_log_max_record_bytes_between_snapshots=1)
    topic = env.name()
    produce(node, topic, 10, size=20)
    directory = partition_directory(node, "__cluster_metadata")
    wait_until("a snapshot has the topic", lambda: any(topic.encode() in p.read_bytes() for p in directory.glob("*.checkpoint")))
    assert node.stop() == 0
    out = "".join(dump(env, "--cluster-metadata-decoder", "--files", f) for f in segments(directory))
    assert re.search(rf'"type":"TOPIC_RECORD".*"name":"{topic}"', out), out[-2000:]
    assert '"type":"PARTITION_RECORD"' in out and '"type":"CONFIG_RECORD"' in out, out[-2000:]
    newest = max(directory.glob("*.checkpoint"))
    out = dump(env, "--cluster-metadata-decoder", "--files", newest)
    assert "SnapshotHeader" in out and "SnapshotFooter" in out, out[-2000:]
    assert '"type":"PARTITION_RECORD"' in out and '"type":"CONFIG_RECORD"' in out, out[-2000:]
    assert re.search(rf'"type":"TOPIC_RECORD".*"name":"{topic}"', out), out[-2000:]


@test(needs=["python", "java"], limit_s=90)
def retention_drops_rolled_segments(env):
    node = env.own_node(log_retention_check_interval_ms=300)
    topic = env.name()
    topics.create(
        node.bootstrap, topic, segment_bytes=1 << 20, retention_bytes=1 << 20, file_delete_delay_ms=100)
    producer = Producer({"bootstrap.servers": node.bootstrap, "batch.size": 50_000})
    for _ in range(5000):
        producer.produce(topic, b"x" * 1000)
        producer.poll(0)
    assert producer.flush(30) == 0
    directory = partition_directory(node, topic)
    wait_until("old segments are gone", lambda: int(segments(directory)[0].stem) > 1000)
    start = int(env.tool("GetOffsetShell", "--topic", topic, "--time", "earliest", bootstrap=node.bootstrap)
                .out.strip().rsplit(":", 1)[1])
    assert start > 1000
    deadline = time.monotonic() + 10
    while int(segments(directory)[0].stem) != start:  # another segment may just have gone
        assert time.monotonic() < deadline, (start, segments(directory))
        start = int(env.tool("GetOffsetShell", "--topic", topic, "--time", "earliest", bootstrap=node.bootstrap)
                    .out.strip().rsplit(":", 1)[1])
