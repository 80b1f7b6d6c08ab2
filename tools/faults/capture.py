"""Keeps what real clients send, as seeds for tools/tests/hostile: one frame a line, in hex.

Listens on the loopback device while a command runs clients against a node, and takes the streams
that begin with a Kafka request. Of each client, API and version some frames are kept, of different
lengths. Needs root.
"""
import argparse
import collections
import gzip
import pathlib
import socket
import struct
import subprocess
import sys
import threading

KEPT = 3
FRAME_MAX = 2000
# What is kept of one connection: enough for its kinds of request, and no load fills the memory.
STREAM_MAX = 1 << 18
ETH_P_IP = 0x0800
PACKET_HOST = 0


class Streams:
    """What each connection's opener sent, in order."""

    def __init__(self):
        self.bytes = collections.defaultdict(bytearray)
        self.next = {}
        self.broken = set()

    def packet(self, packet):
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return
        tcp = packet[(packet[0] & 15) * 4:struct.unpack_from(">H", packet, 2)[0]]
        source, target, number = struct.unpack_from(">HHI", tcp)
        key, data = (source, target), tcp[(tcp[12] >> 4) * 4:]
        if tcp[13] & 0x12 == 2:  # SYN without ACK
            self.bytes[key], self.next[key] = bytearray(), (number + 1) & 0xffffffff
            self.broken.discard(key)
        elif data and key in self.next and key not in self.broken:
            if number == self.next[key]:
                self.bytes[key] += data
                self.next[key] = (number + len(data)) & 0xffffffff
                if len(self.bytes[key]) > STREAM_MAX:
                    self.broken.add(key)
            elif (self.next[key] - number) & 0xffffffff > 1 << 31:
                self.broken.add(key)  # Something was missed.


def frames(stream):
    at = 0
    while at + 4 <= len(stream):
        length = struct.unpack_from(">i", stream, at)[0]
        if not 8 <= length <= len(stream) - at - 4:
            return
        yield bytes(stream[at:at + 4 + length])
        at += 4 + length


def request(frame):
    """The beginning of the client's name, API and version, if it is a request."""
    if len(frame) < 14:
        return None
    api, version, _, name = struct.unpack_from(">hhih", frame, 4)
    if not (0 <= api <= 92 and 0 <= version <= 20 and -1 <= name <= 200):
        return None
    client = frame[14:14 + max(name, 0)]
    text = client.decode("ascii", errors="replace")
    return (client.split(b"-")[0], api, version) if text.isprintable() and "\ufffd" not in text else None


def main():
    parser = argparse.ArgumentParser(prog="tools/faults/capture.py", description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    streams = Streams()
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    listener.bind(("lo", ETH_P_IP))
    listener.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    listener.settimeout(0.2)
    ended = threading.Event()

    def listen():
        while not ended.is_set():
            try:
                packet, address = listener.recvfrom(1 << 17)
            except TimeoutError:
                continue
            if address[2] == PACKET_HOST:
                streams.packet(packet)

    thread = threading.Thread(target=listen)
    thread.start()
    code = subprocess.run(args.command[1:] if args.command[:1] == ["--"] else args.command).returncode
    ended.set()
    thread.join()
    kept = collections.defaultdict(dict)
    for stream in streams.bytes.values():
        for frame in frames(stream):
            kind = request(frame)
            if kind is None:
                break
            if len(frame) <= FRAME_MAX and len(kept[kind]) < KEPT:
                kept[kind].setdefault(len(frame), frame)
    lines = sorted({frame.hex() for found in kept.values() for frame in found.values()})
    args.output.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    print(f"{len(lines)} frames of {len({kind[1:] for kind in kept})} APIs and versions; the command's exit code: {code}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
