"""Log files into the producers' inputs: one keyed line per record, merged by time.

A line's key is its file, thread and logger; a line that does not begin as a log line does (a stack
trace) belongs to the line before. All lines of a key go to one producer, so that a key's order is
that producer's order.
"""
import hashlib
import heapq
import json
import operator
import re

from .checksums import Keys

LINE = re.compile(rb"(\d\d:\d\d:\d\d\.\d{3}) \[(.*?)\] [A-Z]+ (\S+) - ")
SEPARATOR = b"\t"
MANIFEST = "input.json"


def make(logs, directory, shares):
    """`shares`: {producer: its part of the bytes}. Writes DIRECTORY/PRODUCER.keyed for each, and
    the manifest, which is returned."""
    directory.mkdir(parents=True)
    merged = directory / "merged"
    sources, key_bytes = {}, {}
    with open(merged, "wb", 1 << 20) as out:
        streams = [_lines(log, sources) for log in logs]
        for _stamp, key, line in heapq.merge(*streams, key=operator.itemgetter(0)):
            key_bytes[key] = key_bytes.get(key, 0) + len(line)
            out.write(key + SEPARATOR + line)
    owner = _share_out(key_bytes, shares)
    keys = {name: Keys() for name in shares}
    files = {name: open(directory / f"{name}.keyed", "wb", 1 << 20) for name in shares}
    with open(merged, "rb", 1 << 20) as lines:
        for line in lines:
            key, value = line.split(SEPARATOR, 1)
            name = owner[key]
            files[name].write(line)
            keys[name].add(key, value[:-1])
    for file in files.values():
        file.close()
    merged.unlink()
    manifest = {
        "shares": shares,
        "sources": sources,
        "parts": {name: {
            "file": f"{name}.keyed",
            "sha256": sha256_of(directory / f"{name}.keyed"),
            "records": keys[name].records,
            "value_bytes": keys[name].value_bytes,
            "keys": {key.decode("latin-1"): entry for key, entry in keys[name].table().items()},
        } for name in shares},
    }
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return manifest


def load(directory, shares):
    """The manifest of what `make` has left in `directory`, if that is whole and so shared; else None."""
    file = directory / MANIFEST
    if not file.exists():
        return None
    manifest = json.loads(file.read_text())
    if manifest.get("shares") != shares:
        return None
    for part in manifest["parts"].values():
        file = directory / part["file"]
        if not file.exists() or sha256_of(file) != part["sha256"]:
            return None
    return manifest


def _lines(log, sources):
    """(time, key, line) of each whole line. Fills in what the source was."""
    source = (log.parent.name if log.stem == "kafka" else log.stem).encode()
    sha, count, size = hashlib.sha256(), 0, 0
    stamp = key = None
    with open(log, "rb", 1 << 20) as lines:
        for line in lines:
            found = LINE.match(line)
            if found:
                stamp, thread, logger = found.groups()
                key = b"/".join((source, thread, logger))
            # Before the first: the harness's own word. Without its end: the process was killed.
            if key is not None and line.endswith(b"\n"):
                sha.update(line)
                count += 1
                size += len(line)
                yield stamp, key, line
    sources[source.decode()] = {"lines": count, "bytes": size, "sha256": sha.hexdigest()}


def _share_out(key_bytes, shares):
    """{key: producer}: the largest first, each to whoever has the least of their share."""
    given = dict.fromkeys(shares, 0)
    owner = {}
    for key in sorted(key_bytes, key=lambda k: (-key_bytes[k], k)):
        name = min(shares, key=lambda n: given[n] / shares[n])
        owner[key] = name
        given[name] += key_bytes[key]
    return owner


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
