"""Pyarrow reads whatever the agent accepts: damaged segments, as bytes, mapped by farrow, and as rows of plain Flight.

A few thousand cases by default; `FARROW_CORRUPTIONS=300000 FARROW_CORRUPTIONS_SEED=1` are more, and others.
"""

import ctypes
import decimal
import os
import random
import struct
import uuid

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from test_raw_flight import field, fields
from test_types import ARRAYS

CASES = int(os.environ.get("FARROW_CORRUPTIONS", 3000))
SEED = int(os.environ.get("FARROW_CORRUPTIONS_SEED", 0))

OPAQUE = b'{"type_name":"point","vendor_name":"PostGIS"}'
TENSOR = b'{"shape":[2,3],"dim_names":["x","y"],"permutation":[1,0]}'
VARIABLE = b'{"permutation":[0],"uniform_shape":[null]}'


def extension(name: str, metadata: bytes, array: pa.Array) -> pa.Table:
    """A column of an extension type, whether this pyarrow knows the type or not."""
    noted = {"ARROW:extension:name": name, "ARROW:extension:metadata": metadata}
    return pa.table([array], schema=pa.schema([pa.field("x", array.type, metadata=noted)]))


def samples() -> dict:
    """Small tables, by what is in them. What this pyarrow cannot make is left out."""
    made = {name: pa.table({name: array}) for name, array in ARRAYS.items()}
    made["all"] = pa.table(ARRAYS)
    made["noted"] = pa.table(
        {"n": [1, 2], "s": ["a", "b"]},
        schema=pa.schema(
            [pa.field("n", pa.int64(), nullable=False, metadata={"k": "v"}), pa.field("s", pa.string())],
            metadata={"source": "tests", "more": "x"},
        ),
    )
    made["times"] = pa.table(
        {
            "s": pa.array([1, None, 86399], pa.time32("s")),
            "ms": pa.array([1, None, 86399999], pa.time32("ms")),
            "us": pa.array([1, None, 86399999999], pa.time64("us")),
            "ns": pa.array([1, None, 86399999999999], pa.time64("ns")),
            "list": pa.array([[1, 2], None, [3]], pa.list_(pa.time32("s"))),
            "dates": pa.array([0, None, 86400000], pa.date64()),
            "intervals": pa.array([(1, 2, 3), None, (4, 5, 6)], pa.month_day_nano_interval()),
        }
    )
    made["sparse union"] = pa.table(
        {"u": pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["x", "y"])])}
    )
    runs = pa.run_end_encoded(pa.int16(), pa.list_(pa.int64()))
    made["runs of lists"] = pa.table({"r": pa.RunEndEncodedArray.from_arrays([1, 3], [[1], None], runs)})
    nested = pa.struct(
        [("m", pa.map_(pa.string(), pa.struct([("d", pa.int8())]))), ("l", pa.list_(pa.list_(pa.int16())))]
    )
    made["structs"] = pa.table({"s": pa.array([{"m": [("k", {"d": 1})], "l": [[1], []]}, None], nested)})
    made["dictionaries"] = pa.table(
        {
            "u": pa.array(["a", None, "a"]).dictionary_encode().cast(pa.dictionary(pa.uint16(), pa.string())),
            "n": pa.array([None, None, None], pa.dictionary(pa.int8(), pa.string())),
            "o": pa.DictionaryArray.from_arrays(pa.array([1, 0, 1]), pa.array([7, 8]), ordered=True),
        }
    )
    made["no rows"] = made["all"].slice(0, 0)
    made["no columns"] = pa.table({})
    made["wide decimals"] = pa.table({"d": pa.array([decimal.Decimal(10**37), None], pa.decimal128(38, 0))})
    made["zero width"] = pa.table(
        {"b": pa.array([b"", None], pa.binary(0)), "l": pa.array([[], None], pa.list_(pa.int8(), 0))}
    )
    numbers = pa.array([1, None, 0], pa.int8())
    made["bool8"] = extension("arrow.bool8", b"", numbers)
    made["uuid"] = extension("arrow.uuid", b"", pa.array([uuid.UUID(int=7).bytes, None], pa.binary(16)))
    made["json"] = extension("arrow.json", b"", pa.array(['{"a":1}', None]))
    made["opaque"] = extension("arrow.opaque", OPAQUE, numbers)
    tensors = pa.array([[1, 2, 3, 4, 5, 6], None], pa.list_(pa.float32(), 6))
    made["tensors"] = extension("arrow.fixed_shape_tensor", TENSOR, tensors)
    tensors = pa.array(
        [{"data": [1, 2], "shape": [2]}, None],
        pa.struct([("data", pa.list_(pa.int64())), ("shape", pa.list_(pa.int32(), 1))]),
    )
    made["variable tensors"] = extension("arrow.variable_shape_tensor", VARIABLE, tensors)
    made["unheard of"] = extension("somebody.elses", b"\x01", numbers)
    for name, make in {
        "list view": lambda: pa.array([[1, 2], None, [3]], pa.list_view(pa.int64())),
        "large list view": lambda: pa.array([["a"], None, []], pa.large_list_view(pa.string())),
        "binary view": lambda: pa.array([b"x", None, b"longer than twelve bytes"], pa.binary_view()),
        "decimal32": lambda: pa.array([decimal.Decimal("1.5"), None], pa.decimal32(5, 2)),
        "decimal64": lambda: pa.array([decimal.Decimal("1.5"), None], pa.decimal64(12, 2)),
    }.items():
        try:
            made[name] = pa.table({name: make()})
        except (AttributeError, NotImplementedError, pa.ArrowNotImplementedError):
            pass
    return made


class Hand:
    """Puts bytes into a reservation of the region's file, and asks the agent to publish them."""

    ROOM = 1 << 20

    def __init__(self, agent, raw, name: str):
        self.region, self.raw, self.name = os.open(agent.region, os.O_RDWR), raw, name
        self.reservation = None

    def _ask(self, action: str, body: bytes) -> bytes:
        (result,) = self.raw.do_action(flight.Action(action, body))
        return result.body.to_pybytes()

    def _reserve(self):
        answer = fields(self._ask("farrow.Reserve", field(1, self.ROOM)))
        (identity,) = struct.unpack("<Q", answer[2])
        extent, pool = fields(answer[4]), fields(answer[5])
        medium = fields(pool[3])
        assert extent.get(2, 0) + extent[3] <= medium[2], "one range of the medium"
        self.reservation = identity, medium.get(1, 0) + extent.get(2, 0)

    def publish(self, segment: bytes) -> bool:
        """True if the agent accepts it. The reservation of what it refuses is used again."""
        if self.reservation is None:
            self._reserve()
        identity, position = self.reservation
        os.pwrite(self.region, segment, position)
        request = b"\x09" + struct.pack("<Q", identity) + field(2, self.name) + field(3, len(segment))
        try:
            self._ask("farrow.Commit", request)
        except pa.ArrowInvalid:
            return False
        self.reservation = None
        return True

    def rows(self) -> pa.Table:
        """Returns what was published, as any Flight client has it."""
        info = self.raw.get_flight_info(flight.FlightDescriptor.for_path(*self.name.split("/")))
        (endpoint,) = info.endpoints
        return self.raw.do_get(endpoint.ticket).read_all()

    def close(self):
        os.close(self.region)


def metadata(segment: bytes) -> list:
    """Positions of four bytes each in footer and messages, and not in values."""
    (footer,) = struct.unpack_from("<i", segment, len(segment) - 10)
    found = list(range(len(segment) - 10 - footer, len(segment) - 10, 4))
    position = 8
    while (position := segment.find(b"\xff\xff\xff\xff", position)) >= 0:
        (length,) = struct.unpack_from("<i", segment, position + 4)
        if position % 8 == 0 and 0 < length < len(segment) - position:
            found += range(position + 8, position + 8 + length, 4)
        position += 4
    return found


SMALL = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 64, 127, 128, 255, 256)
LONG = (0, 1, 2, -1, 63, 64, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 86400, 86400000, 10**9, 10**18)


def corrupt(chance: random.Random, segment: bytes, places: list) -> bytes:
    """One to three changes of bits, bytes and numbers, most of them in metadata."""
    damaged = bytearray(segment)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.choice(places) if chance.random() < 0.75 else chance.randrange(len(damaged) - 16) // 4 * 4
        kind = chance.randrange(6)
        if kind == 0:
            damaged[at + chance.randrange(4)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            damaged[at + chance.randrange(4)] = chance.choice((0, chance.choice(SMALL) & 255, chance.randrange(256)))
        elif kind == 2:
            struct.pack_into("<I", damaged, at, chance.choice(SMALL))
        elif kind == 3:
            struct.pack_into("<q", damaged, min(at // 8 * 8, len(damaged) - 8), chance.choice(LONG))
        elif kind == 4:
            other = chance.choice(places)
            damaged[at : at + 4] = damaged[other : other + 4]
        else:
            (number,) = struct.unpack_from("<I", damaged, at)
            struct.pack_into("<I", damaged, at, (number + chance.choice((-8, -4, -1, 1, 4, 8))) % 2**32)
    return bytes(damaged)


def read(segment: bytes) -> pa.Table:
    """Returns what pyarrow makes of the bytes of a file, all of it looked at."""
    buffer = pa.allocate_buffer(len(segment))
    memoryview(buffer).cast("B")[:] = segment
    table = pa.ipc.open_file(buffer).read_all()
    table.validate(full=True)
    return table


@pytest.fixture
def hand(agent, name):
    with flight.connect(f"grpc+unix://{agent.address}") as raw:
        hand = Hand(agent, raw, name)
        yield hand
        hand.close()


def test_what_is_accepted_is_read(client, hand, name, tmp_path):
    segments = {}
    for kind, table in samples().items():
        client.put(f"{name}/seed", table)
        address, length = client.get(f"{name}/seed").mapping
        segments[kind] = ctypes.string_at(address, length)
        assert hand.publish(segments[kind]), kind
        client.drop(name)
    chance = random.Random(SEED)
    kinds = {kind: (segment, metadata(segment)) for kind, segment in segments.items()}
    accepted, unreadable = 0, []
    for case in range(CASES):
        kind = chance.choice(list(kinds))
        segment, places = kinds[kind]
        damaged = corrupt(chance, segment, places)
        if not hand.publish(damaged):
            continue
        accepted += 1
        # A reader that ends the process leaves the case behind.
        (tmp_path / "case.arrow").write_bytes(damaged)
        try:
            there = read(damaged)
            mapped = client.get(name).to_arrow()
            for table in (mapped, hand.rows()):
                table.validate(full=True)
                assert table.schema.equals(there.schema), f"{table.schema} is not {there.schema}"
                assert table.num_rows == there.num_rows
                assert str(table) == str(there)
            del mapped, table
        except Exception as error:
            unreadable.append(f"case {case}, {kind}: {type(error).__name__}: {error}")
        client.drop(name)
    print(f"{CASES} corruptions, seed {SEED}: {accepted} accepted, {len(unreadable)} of them unreadable")
    assert not unreadable, "\n".join(unreadable[:20])
    assert accepted > CASES // 50
