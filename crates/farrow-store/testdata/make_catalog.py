#!/usr/bin/env python3
"""Writes catalog.bin: a catalog as FORMAT.md describes it, by code that shares nothing with the crate.

What happens in it, record by record, is written at the end. Run it in this directory.
"""

import struct
import uuid

LENGTH = 32 * 1024
HALF = 12 * 1024
MIB = 1 << 20
REGION = uuid.UUID("11111111-2222-3333-4444-555555555555")
HOST = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
OWNER = HOST.bytes + struct.pack("<IIQ", 1000, 4242, 123456789)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(kind, seq, epoch, body):
    length = (32 + len(body) + 7) // 8 * 8
    head = struct.pack("<IHHQQI", length, kind, 0, seq, epoch, len(body))
    padding = bytes(length - 32 - len(body))
    return head + struct.pack("<I", crc32c(head + body + padding)) + body + padding


def extents(*places):
    return b"".join(struct.pack("<IIQQ", 0, 0, offset, length) for offset, length in places)


def segment(number, length, rows, digest, batches, validation, places, checksums=()):
    body = struct.pack("<QQQQIIHH", number, length, rows, digest, batches, len(checksums), validation,
                       len(places)) + extents(*places)
    return body + struct.pack(f"<{len(checksums)}Q", *checksums)


def version(name, number, extends, fingerprint, micros, *segments, keep=None):
    kept = b"" if keep is None else struct.pack("<Q", keep)
    flags = extends | (2 if kept else 0)
    return (struct.pack("<QQq", number, fingerprint, micros) + OWNER
            + struct.pack("<IHH", len(segments), flags, len(name)) + kept + b"".join(segments) + name)


def reservation(length, *places):
    return OWNER + struct.pack("<QQ", length, len(places)) + extents(*places)


def half(serial, epoch, base, checkpoint, log):
    head = b"farrowHF" + struct.pack("<QQQQ", serial, epoch, base, len(checkpoint)) + bytes(20)
    return head + struct.pack("<I", crc32c(head)) + checkpoint + log


def named(number, name):
    return struct.pack("<QQ", number, len(name)) + name


def retention(kind, text, last, age, uid, is_set=1):
    return struct.pack("<QQIHHQ", last, age, uid, kind, is_set, len(text)) + text


def prefix_dropped(prefix, micros, latest):
    return struct.pack("<qQQ", micros, latest, len(prefix)) + prefix


COMMITTED, DROPPED, FREED, TAKEN, ENDED, STARTED, KEPT = range(1, 8)
OLD_RETENTION, PREFIX, ORPHAN, NUMBER, FLOOR, RETENTION = range(10, 16)
FRAME, BELOW, WITH_BELOW = range(3)
TIME = 1_700_000_000_000_000
SMALL = segment(2, 5000, 30, 0xA1, 3, 2, [(0, 8192)], (1, 2, 0xFFFFFFFFFFFFFFFF))
LARGE = segment(4, 2 * MIB + 1, 70, 0xA2, 1, 1, [(2 * MIB, 2 * MIB), (6 * MIB, 4096)])


def tiny(number, offset):
    """A segment of one byte without rows, in a page of its own."""
    return segment(number, 1, 0, 0, 0, 0, [(offset, 4096)])


def put(seq, epoch, name, number, extends, offset, fingerprint=0, keep=None):
    """A reservation of a page and the version that it becomes."""
    return [record(TAKEN, seq, epoch, reservation(1, (offset, 4096))),
            record(COMMITTED, seq + 1, epoch,
                   version(name, number, extends, fingerprint, 0, tiny(seq, offset), keep=keep))]


# Names of 200 bytes: NumberKept takes 248 bytes for each of them, so that 1/32 of H has room for one.
LONG = [letter * 200 for letter in (b"x", b"y")]

first = half(0, 0, 0, b"", b"".join([
    record(STARTED, 1, 1, HOST.bytes),
    record(TAKEN, 2, 1, reservation(5000, (0, 8192))),
    record(COMMITTED, 3, 1, version(b"a/b", 1, 0, 0xF1, -1, SMALL)),
    # Two extents, of which the commit keeps the first and one page of the second.
    record(TAKEN, 4, 1, reservation(3 * MIB, (2 * MIB, 2 * MIB), (6 * MIB, MIB))),
    record(COMMITTED, 5, 1, version(b"a/b", 2, 1, 0xF1, TIME, LARGE)),
    record(TAKEN, 6, 1, reservation(4096, (8192, 4096))),
    record(ENDED, 7, 1, struct.pack("<Q", 6)),
    # The next version inherits its segment.
    record(DROPPED, 8, 1, named(1, b"a/b")),
    *put(9, 1, "größe".encode(), 1, 0, 8192),
    record(DROPPED, 11, 1, named(0, "größe".encode())),
    record(TAKEN, 12, 1, reservation(4097, (16384, 8192))),
    *put(13, 1, b"tmp/x", 1, 0, 24576),
    # Of the two frames only one's name begins so.
    record(PREFIX, 15, 1, prefix_dropped(b"tmp/", 0, 1)),
    record(OLD_RETENTION, 16, 1, named(3, b"a/b")),
    # An append, whose version is dropped: its number is not given again.
    *put(17, 1, b"a/b", 3, 1, 28672, 0xF1),
    record(DROPPED, 19, 1, named(3, b"a/b")),
    # Two numbers of a long name, and one of another. When that is to be remembered, too, the floor rises to 1.
    *put(20, 1, LONG[0], 1, 0, 32768),
    *put(22, 1, LONG[0], 2, 0, 36864),
    record(DROPPED, 24, 1, named(0, LONG[0])),
    *put(25, 1, LONG[1], 1, 0, 40960),
    record(DROPPED, 27, 1, named(0, LONG[1])),
    # Of two prefixes and of a name without a frame; and one that is removed again.
    record(RETENTION, 28, 1, retention(BELOW, b"tmp/", 2, 3600, 1000)),
    record(RETENTION, 29, 1, retention(WITH_BELOW, b"a", 5, 0, 1001)),
    record(RETENTION, 30, 1, retention(FRAME, "größe".encode(), 0, 86400, 1001)),
    record(RETENTION, 31, 1, retention(BELOW, b"", 9, 0, 1000)),
    record(RETENTION, 32, 1, retention(BELOW, b"", 0, 0, 1000, is_set=0)),
]))
# Here the catalog is compacted. Several segments are in no version any more, but not free either.
ORPHANS = [(9, 8192), (13, 24576), (17, 28672), (20, 32768), (22, 36864), (25, 40960)]
second = half(1, 1, 32, b"".join([
    *[record(ORPHAN, 32, 1, struct.pack("<I", 1000) + tiny(*place)) for place in ORPHANS],
    record(TAKEN, 12, 1, reservation(4097, (16384, 8192))),
    record(COMMITTED, 5, 1, version(b"a/b", 2, 0, 0xF1, TIME, SMALL)),
    record(KEPT, 5, 1, LARGE),
    record(FLOOR, 32, 1, struct.pack("<Q", 1)),
    record(NUMBER, 32, 1, named(3, b"a/b")),
    record(NUMBER, 32, 1, named(2, LONG[0])),
    record(RETENTION, 32, 1, retention(FRAME, b"a/b", 3, 0, 0)),
    record(RETENTION, 32, 1, retention(FRAME, "größe".encode(), 0, 86400, 1001)),
    record(RETENTION, 32, 1, retention(BELOW, b"tmp/", 2, 3600, 1000)),
    record(RETENTION, 32, 1, retention(WITH_BELOW, b"a", 5, 0, 1001)),
]), b"".join([
    record(FREED, 33, 1, struct.pack("<Q", len(ORPHANS))
           + b"".join(struct.pack("<Q", number) for number, _ in ORPHANS)),
    record(STARTED, 34, 2, HOST.bytes),
    record(TAKEN, 35, 2, reservation(1, (8192, 4096))),
    record(TAKEN, 36, 2, reservation(1, (24576, 4096))),
    # One commit of two segments, the first of its name, behind the floor.
    record(COMMITTED, 37, 2, version(b"two", 2, 0, 0, 0, tiny(35, 8192), tiny(36, 24576))),
    # A name that is remembered, and a frame that gave a number more than it has, and that keeps two versions from then on.
    *put(38, 2, LONG[0], 3, 0, 28672),
    *put(40, 2, b"a/b", 4, 1, 32768, 0xF1, keep=2),
]))

head = b"farrowCT" + struct.pack("<II", 1, 0) + REGION.bytes
head += struct.pack("<QQQQ", LENGTH, 4096, 4096 + HALF, HALF) + bytes(60)
head += struct.pack("<I", crc32c(head))
word = len(second) // 8 | 1 << 32 | 2 << 48

page = (head + struct.pack("<Q", word)).ljust(4096, b"\0")
image = page + first.ljust(HALF, b"\0") + second.ljust(HALF, b"\0")
with open("catalog.bin", "wb") as file:
    file.write(image.ljust(LENGTH, b"\0"))
