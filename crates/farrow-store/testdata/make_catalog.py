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
    body = struct.pack("<QQQQQIHHQ", number, number, length, rows, digest, batches, validation,
                       len(places), len(checksums)) + extents(*places)
    return body + struct.pack(f"<{len(checksums)}Q", *checksums)


def version(name, number, last, new, fingerprint, micros, segments, written=b""):
    return (struct.pack("<QQQQq", number, last, new, fingerprint, micros) + OWNER
            + struct.pack("<QQ", len(name), len(segments))
            + struct.pack(f"<{len(segments)}Q", *segments) + written + name)


def reservation(length, *places):
    return OWNER + struct.pack("<QQ", length, len(places)) + extents(*places)


def half(serial, epoch, base, checkpoint, log):
    head = b"farrowHF" + struct.pack("<QQQQ", serial, epoch, base, len(checkpoint)) + bytes(20)
    return head + struct.pack("<I", crc32c(head)) + checkpoint + log


def retention(name, last):
    return struct.pack("<QQ", last, len(name)) + name


def prefix_dropped(prefix, micros, latest):
    return struct.pack("<qQQ", micros, latest, len(prefix)) + prefix


COMMITTED, DROPPED, FREED, TAKEN, ENDED, STARTED, KEPT = range(1, 8)
RETENTION, PREFIX = 10, 11
SMALL = segment(2, 5000, 30, 0xA1, 3, 2, [(0, 8192)], (1, 2, 0xFFFFFFFFFFFFFFFF))
LARGE = segment(4, 2 * MIB + 1, 70, 0xA2, 1, 1, [(2 * MIB, 2 * MIB), (6 * MIB, 4096)])
TINY = segment(9, 1, 0, 0, 0, 0, [(8192, 4096)])
EXPIRED = segment(13, 1, 0, 0, 0, 0, [(24576, 4096)])

first = half(0, 0, 0, b"", b"".join([
    record(STARTED, 1, 1, HOST.bytes),
    record(TAKEN, 2, 1, reservation(5000, (0, 8192))),
    record(COMMITTED, 3, 1, version(b"a/b", 1, 1, 1, 0xF1, -1, [2], SMALL)),
    # Two extents, of which the commit keeps the first and one page of the second.
    record(TAKEN, 4, 1, reservation(3 * MIB, (2 * MIB, 2 * MIB), (6 * MIB, MIB))),
    record(COMMITTED, 5, 1, version(b"a/b", 2, 2, 1, 0xF1, 1_700_000_000_000_000, [2, 4], LARGE)),
    record(TAKEN, 6, 1, reservation(4096, (8192, 4096))),
    record(ENDED, 7, 1, struct.pack("<Q", 6)),
    record(DROPPED, 8, 1, struct.pack("<QQ", 1, 3) + b"a/b"),
    record(TAKEN, 9, 1, reservation(1, (8192, 4096))),
    record(COMMITTED, 10, 1, version("größe".encode(), 1, 1, 1, 0, 0, [9], TINY)),
    record(DROPPED, 11, 1, struct.pack("<QQ", 0, 7) + "größe".encode()),
    record(TAKEN, 12, 1, reservation(4097, (16384, 8192))),
    record(TAKEN, 13, 1, reservation(1, (24576, 4096))),
    record(COMMITTED, 14, 1, version(b"tmp/x", 1, 1, 1, 0, -5, [13], EXPIRED)),
    # Of the two frames only one's name begins so.
    record(PREFIX, 15, 1, prefix_dropped(b"tmp/", -5, 1)),
    record(RETENTION, 16, 1, retention(b"a/b", 3)),
]))
# Here the catalog is compacted. Segments 9 and 13 are in no version any more, but not free either.
second = half(1, 1, 16, b"".join([
    record(KEPT, 16, 1, SMALL),
    record(KEPT, 16, 1, LARGE),
    record(KEPT, 16, 1, TINY),
    record(KEPT, 16, 1, EXPIRED),
    record(TAKEN, 12, 1, reservation(4097, (16384, 8192))),
    record(COMMITTED, 5, 1, version(b"a/b", 2, 2, 0, 0xF1, 1_700_000_000_000_000, [2, 4])),
    record(RETENTION, 16, 1, retention(b"a/b", 3)),
]), b"".join([
    record(FREED, 17, 1, struct.pack("<QQQ", 2, 9, 13)),
    record(STARTED, 18, 2, HOST.bytes),
    record(TAKEN, 19, 2, reservation(1, (8192, 4096))),
    record(TAKEN, 20, 2, reservation(1, (24576, 4096))),
    # One commit of two segments.
    record(COMMITTED, 21, 2, version(b"two", 1, 1, 2, 0, 0, [19, 20],
                                     segment(19, 1, 0, 0, 0, 0, [(8192, 4096)])
                                     + segment(20, 1, 0, 0, 0, 0, [(24576, 4096)]))),
]))

head = b"farrowCT" + struct.pack("<II", 1, 0) + REGION.bytes
head += struct.pack("<QQQQ", LENGTH, 4096, 4096 + HALF, HALF) + bytes(60)
head += struct.pack("<I", crc32c(head))
word = len(second) // 8 | 1 << 32 | 2 << 48

page = (head + struct.pack("<Q", word)).ljust(4096, b"\0")
image = page + first.ljust(HALF, b"\0") + second.ljust(HALF, b"\0")
with open("catalog.bin", "wb") as file:
    file.write(image.ljust(LENGTH, b"\0"))
