"""What was sent and what came back, as checksums that tell order.

A key's checksum is the SHA-256 over its values in their order, each behind its length. A
partition's is over all that a client tells of each record: offset, timestamp, key, value. Java's
reader (compat/LogReader.java) computes the same.
"""
import hashlib
import struct

LENGTH = struct.Struct(">i").pack
RECORD = struct.Struct(">qqii").pack


class Keys:
    """Records, bytes of values and checksum of each key."""

    def __init__(self):
        self.keys = {}
        self.records = 0
        self.value_bytes = 0

    def add(self, key, value):
        entry = self.keys.get(key)
        if entry is None:
            entry = self.keys[key] = [0, 0, hashlib.sha256()]
        entry[0] += 1
        entry[1] += len(value)
        entry[2].update(LENGTH(len(value)) + value)
        self.records += 1
        self.value_bytes += len(value)

    def table(self):
        """{key: [records, bytes of values, checksum]}"""
        return {key: [records, size, sha.hexdigest()] for key, (records, size, sha) in self.keys.items()}


class Partitions:
    """Records, next offset and checksum of each partition; offsets must rise by one."""

    def __init__(self, count):
        self.partitions = [[0, hashlib.sha256()] for _ in range(count)]

    def add(self, partition, offset, timestamp, key, value):
        entry = self.partitions[partition]
        assert offset == entry[0], f"partition {partition}: offset {offset} where {entry[0]} is next"
        entry[0] += 1
        entry[1].update(RECORD(offset, timestamp, len(key), len(value)) + key + value)

    def table(self):
        """{partition: [records, checksum]}"""
        return {p: [records, sha.hexdigest()] for p, (records, sha) in enumerate(self.partitions)}


def of_table(table):
    """One checksum of a whole table."""
    sha = hashlib.sha256()
    for name in sorted(table):
        sha.update(repr((name, table[name])).encode())
    return sha.hexdigest()


def partition_of_key(key, partitions):
    """Where Kafka's default partitioner puts a key: murmur2, as org.apache.kafka.common.utils.Utils."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) & ~3
    for (k,) in struct.iter_unpack("<I", key[:whole]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions
