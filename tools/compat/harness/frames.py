"""Frames that no client sends: lies about lengths and counts, odd versions, broken batches."""
import struct

from .wire import Connection, string

PRODUCE, FETCH, METADATA, API_VERSIONS = 0, 1, 3, 18


def header(api_key, version, correlation_id=1):
    return struct.pack(">hhi", api_key, version, correlation_id) + string("compat")


def outcome(address, frame, length=None):
    """What becomes of a frame: "closed", "no answer" or the response in hex.

    `length` overrides the true length in front of it.
    """
    with Connection(address, timeout_s=5) as connection:
        connection.socket.sendall(struct.pack(">i", len(frame) if length is None else length) + frame)
        try:
            return connection.receive().hex()
        except ConnectionError:
            return "closed"
        except TimeoutError:
            return "no answer"


def record(value, delta=0):
    """One record of a v2 batch without key and headers; all its varints fit one byte."""
    body = b"\0\0" + bytes([delta << 1]) + b"\x01" + bytes([len(value) << 1]) + value + b"\0"
    return bytes([len(body) << 1]) + body


def batch(records=None, *, count=None, last_delta=None, crc=None, magic=2, attributes=0, length=None,
          timestamp=1_700_000_000_000, producer_id=-1, producer_epoch=-1, sequence=-1, payload=None):
    """A v2 record batch; each keyword tells one lie."""
    from kafka.record.util import calc_crc32c

    records = [record(b"value")] if records is None else records
    data = b"".join(records) if payload is None else payload
    count = len(records) if count is None else count
    last_delta = count - 1 if last_delta is None else last_delta
    tail = struct.pack(">hiqqqhii", attributes, last_delta, timestamp, timestamp, producer_id, producer_epoch,
                       sequence, count) + data
    crc = calc_crc32c(tail) if crc is None else crc
    length = len(tail) + 9 if length is None else length
    return struct.pack(">qiibI", 0, length, -1, magic, crc) + tail


def produce(address, topic, records, *, partition=0, acks=-1, size=None, version=3):
    """Produce v3 of raw bytes. Returns "closed", "no answer" or (error code, base offset)."""
    size = len(records) if size is None else size
    body = struct.pack(">hhi", -1, acks, 10_000)
    body += struct.pack(">i", 1) + string(topic) + struct.pack(">iii", 1, partition, size) + records
    answer = outcome(address, header(PRODUCE, version) + body)
    if answer in ("closed", "no answer"):
        return answer
    data = bytes.fromhex(answer)
    at = 4 + 4 + 2 + len(topic.encode()) + 4 + 4
    return struct.unpack_from(">hq", data, at)
