"""kcat as Debian ships it: librdkafka 2.0, the line-oriented client."""
import json
import re
import time

from harness import topics
from harness.process import wait_until
from harness.tests import test

CLIENT = "kcat"

LINES = [f"line {i} " + "abcdefgh" * 12 for i in range(1000)]
TEXT = "".join(line + "\n" for line in LINES)


def consume(env, topic, *args):
    """All of a topic's messages as kcat's JSON."""
    out = env.kcat("-C", "-t", topic, "-e", "-q", "-J", *args)
    return [json.loads(line) for line in out.splitlines()]


def check_lines(messages, lines=LINES):
    assert [m["payload"] for m in messages] == lines, f"{len(messages)} messages"
    assert [m["offset"] for m in messages] == list(range(len(lines)))


@test(needs=["kcat", "python"])
def metadata(env):
    topic = env.name()
    topics.create(env.bootstrap, topic, 4)
    out = env.kcat("-L", "-t", topic)
    assert re.search(rf"^ {env.shared_node().brokers} brokers:$", out, re.MULTILINE), out
    assert f'topic "{topic}" with 4 partitions:' in out, out
    assert len(re.findall(r"partition \d, leader \d+, replicas: \d+, isrs: \d+$", out, re.MULTILINE)) == 4, out
    as_json = json.loads(env.kcat("-L", "-J"))
    assert len(as_json["brokers"]) == env.shared_node().brokers
    assert topic in {t["topic"] for t in as_json["topics"]}


@test(needs=["kcat", "python"])
def produce_and_consume(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    env.kcat("-P", "-t", topic, stdin=TEXT)
    check_lines(consume(env, topic))


@test(needs=["kcat"])
def auto_created_topic(env):
    topic = env.name()
    # One request at a time: the topic appears under the producer's feet.
    env.kcat("-P", "-t", topic, "-X", "max.in.flight=1", stdin=TEXT)
    check_lines(consume(env, topic))


def _acks(acks):
    @test(needs=["kcat", "python"])
    def run(env):
        topic = env.name()
        topics.create(env.bootstrap, topic)
        env.kcat("-P", "-t", topic, "-X", f"acks={acks}", stdin=TEXT)
        check_lines(consume(env, topic))
    run.__module__ = __name__
    return run


acks_0, acks_1, acks_all = _acks(0), _acks(1), _acks("all")


def _codec(codec):
    @test(needs=["kcat", "python"])
    def run(env):
        topic = env.name()
        topics.create(env.bootstrap, topic)
        env.kcat("-P", "-t", topic, "-z", codec, stdin=TEXT)
        check_lines(consume(env, topic))
    run.__module__ = __name__
    return run


gzip, snappy, lz4, zstd = _codec("gzip"), _codec("snappy"), _codec("lz4"), _codec("zstd")


@test(needs=["kcat", "python"])
def idempotent(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    env.kcat("-P", "-t", topic, "-X", "enable.idempotence=true", stdin=TEXT)
    check_lines(consume(env, topic))


@test(needs=["kcat", "python"])
def keys_headers_nulls(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    env.kcat("-P", "-t", topic, "-K", ":", "-Z", "-H", "a=1", "-H", "b=två", stdin="k1:v1\nk2:\n")
    first, second = consume(env, topic)
    assert (first["key"], first["payload"]) == ("k1", "v1")
    assert first["headers"] == ["a", "1", "b", "två"]
    assert (second["key"], second["payload"]) == ("k2", None)
    assert abs(first["ts"] / 1000 - time.time()) < 60


@test(needs=["kcat", "python"])
def offsets_to_start_from(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    env.kcat("-P", "-t", topic, stdin=TEXT)
    assert [m["offset"] for m in consume(env, topic, "-o", "990")] == list(range(990, 1000))
    assert [m["offset"] for m in consume(env, topic, "-p", "0", "-o", "-5")] == list(range(995, 1000))
    assert consume(env, topic, "-o", "end") == []
    assert len(consume(env, topic, "-o", "beginning", "-c", "10")) == 10


@test(needs=["kcat", "python"])
def timestamps_to_start_from(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    env.kcat("-P", "-t", topic, stdin="old 1\nold 2\n")
    last_old = consume(env, topic)[-1]["ts"]
    wait_until("the clock shows a later millisecond", lambda: time.time() * 1000 > last_old + 1)
    env.kcat("-P", "-t", topic, stdin="new 1\nnew 2\n")
    messages = consume(env, topic, "-o", f"s@{last_old + 1}")
    assert [m["payload"] for m in messages] == ["new 1", "new 2"], messages
    out = env.kcat("-Q", "-t", f"{topic}:0:{last_old + 1}")
    assert f"{topic} [0] offset 2" in out, out


@test(needs=["kcat", "python"])
def partitions(env):
    topic = env.name()
    topics.create(env.bootstrap, topic, 4)
    for partition in range(4):
        env.kcat("-P", "-t", topic, "-p", partition, stdin=f"to {partition}\n" * 3)
    messages = consume(env, topic)
    assert len(messages) == 12
    assert all(m["payload"] == f"to {m['partition']}" for m in messages), messages
    assert len(consume(env, topic, "-p", "2")) == 3


@test(needs=["kcat", "python"])
def large_messages(env):
    topic = env.name()
    topics.create(env.bootstrap, topic)
    lines = [chr(ord("a") + i) * 900_000 for i in range(5)]
    env.kcat("-P", "-t", topic, stdin="\n".join(lines) + "\n")
    check_lines(consume(env, topic), lines)


@test(needs=["kcat", "python"])
def group(env):
    topic, group = env.name(), env.name("g")
    topics.create(env.bootstrap, topic, 3)
    env.kcat("-P", "-t", topic, "-K", ":", stdin="".join(f"{i}:{i}\n" for i in range(300)))
    reset = ["-X", "auto.offset.reset=earliest"]
    out = env.kcat("-G", group, *reset, "-e", "-q", topic)
    assert sorted(map(int, out.split())) == list(range(300)), len(out.split())
    # What was read is committed: the next member of the group gets only what is new.
    env.kcat("-P", "-t", topic, "-K", ":", stdin="x:new\n")
    assert env.kcat("-G", group, *reset, "-e", "-q", topic).split() == ["new"]
