"""A few raw Kafka requests, for what no client shows: ApiVersions as sent, batches as stored."""
import collections
import socket
import struct

Batch = collections.namedtuple("Batch", "base_offset size leader_epoch magic attributes count producer_id sequence")

CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
# Kafka's TimestampType is bit 3 of a batch's attributes, the codec bits 0 to 2.
CODEC_MASK = 7


class Connection:
    def __init__(self, address, timeout_s=15.0):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout_s)
        self.correlation_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def call(self, api_key, version, body, flexible_header=False):
        """Sends one request and returns its response behind the correlation id."""
        self.correlation_id += 1
        header = struct.pack(">hhi", api_key, version, self.correlation_id) + string("compat")
        if flexible_header:
            header += b"\0"
        self.send(header + body)
        response = self.receive()
        assert struct.unpack_from(">i", response)[0] == self.correlation_id, "correlation id"
        return response[4:]

    def send(self, frame):
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        return self._exactly(struct.unpack(">i", self._exactly(4))[0])

    def closed_by_peer(self):
        """Waits for the end of the stream. Any data before it fails."""
        try:
            data = self.socket.recv(1)
        except ConnectionResetError:
            return True
        assert not data, f"an answer instead of a close: {data!r}"
        return True

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise ConnectionError(f"closed by the peer after {len(data)} of {count} bytes")
            data += chunk
        return bytes(data)


def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def api_versions(address):
    """{api key: (min, max)} as ApiVersions v0 tells."""
    with Connection(address) as connection:
        body = connection.call(18, 0, b"")
    error, count = struct.unpack_from(">hi", body)
    assert error == 0, f"ApiVersions error {error}"
    rows = (struct.unpack_from(">hhh", body, 6 + 6 * i) for i in range(count))
    return {key: (low, high) for key, low, high in rows}


def features(address):
    """{"supported NAME" or "finalized NAME": (min, max)} as ApiVersions v4 tells."""
    with Connection(address) as connection:
        client = b"\x07compat\x022\0"
        body = Reader(connection.call(18, 4, client, flexible_header=True))
    assert body.take(">h") == 0, "error"
    for _ in range(body.varint() - 1):
        body.take(">hhh")
        body.skip_tags()
    body.take(">i")  # throttle time
    found = {}
    for _ in range(body.varint()):
        tag, size = body.varint(), body.varint()
        inner = Reader(body.bytes(size))
        if tag in (0, 2):
            for _ in range(inner.varint() - 1):
                name = inner.bytes(inner.varint() - 1).decode()
                first, second = inner.take(">hh")
                inner.skip_tags()
                # Supported features put the least first, finalized ones the greatest.
                found[f"{'supported' if tag == 0 else 'finalized'} {name}"] = tuple(sorted((first, second)))
    return found


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values[0] if len(values) == 1 else values

    def bytes(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def skip_tags(self):
        for _ in range(self.varint()):
            self.varint()
            self.bytes(self.varint())


def stored_batches(address, topic, partition, offset=0, max_bytes=32 << 20):
    """The batches that a fetch at `offset` brings, headers only. `address` is the leader's."""
    body = struct.pack(">iiiib", -1, 500, 1, max_bytes, 0)
    body += struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
    with Connection(address) as connection:
        response = connection.call(1, 4, body)
    at = 4  # throttle time
    assert struct.unpack_from(">i", response, at)[0] == 1, "one topic"
    name_length, = struct.unpack_from(">h", response, at + 4)
    at += 6 + name_length
    count, index, error, high_watermark, stable = struct.unpack_from(">iihqq", response, at)
    assert (count, index, error) == (1, partition, 0), f"partition {index}: error {error}"
    at += 26
    aborted, = struct.unpack_from(">i", response, at)
    at += 4 + max(aborted, 0) * 16
    size, = struct.unpack_from(">i", response, at)
    return list(_batches(response[at + 4:at + 4 + size]))


def _batches(data):
    at = 0
    while at + 61 <= len(data):
        base_offset, length, epoch, magic = struct.unpack_from(">qiib", data, at)
        if at + 12 + length > len(data):
            return
        attributes, = struct.unpack_from(">h", data, at + 21)
        producer_id, _producer_epoch, sequence, count = struct.unpack_from(">qhii", data, at + 43)
        yield Batch(base_offset, 12 + length, epoch, magic, attributes, count, producer_id, sequence)
        at += 12 + length


def codec(batch):
    return CODECS[batch.attributes & CODEC_MASK]
