"""What is put comes back equal, whatever its type, out of the shared memory itself."""

import datetime
import decimal

import farrow
import pyarrow as pa
import pytest

NUMBERS = [1, None, 3]
STRINGS = ["a", None, "a string of more than twelve bytes"]
DAY = datetime.date(2024, 2, 29)
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 1, 250000)

ARRAYS = {
    "null": pa.nulls(3),
    "bool": pa.array([True, None, False]),
    **{str(kind): pa.array(NUMBERS, kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(kind): pa.array(NUMBERS, kind) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    "float": pa.array([1.5, None, float("inf")], pa.float32()),
    "double": pa.array([1.5, None, -0.0], pa.float64()),
    "decimal128": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-3.50")], pa.decimal128(15, 2)),
    "decimal256": pa.array([decimal.Decimal(10) ** 50, None, decimal.Decimal(0)], pa.decimal256(60, 0)),
    "date32": pa.array([DAY, None, DAY], pa.date32()),
    "date64": pa.array([DAY, None, DAY], pa.date64()),
    "time64": pa.array([MOMENT.time(), None, MOMENT.time()], pa.time64("us")),
    "timestamp": pa.array([MOMENT, None, MOMENT], pa.timestamp("us")),
    "timestamp with zone": pa.array([MOMENT, None, MOMENT], pa.timestamp("ms", "Europe/Vienna")),
    "duration": pa.array([1, None, 3], pa.duration("s")),
    "string": pa.array(STRINGS),
    "large string": pa.array(STRINGS, pa.large_string()),
    "string view": pa.array(STRINGS, pa.string_view()),
    "binary": pa.array([b"\x00", None, b"\xff" * 20], pa.binary()),
    "fixed binary": pa.array([b"abcd", None, b"efgh"], pa.binary(4)),
    "list": pa.array([[1, 2], None, []], pa.list_(pa.int64())),
    "large list": pa.array([["x"], None, [None, "y"]], pa.large_list(pa.string())),
    "fixed list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.array(STRINGS).dictionary_encode(),
    "list of dictionary": pa.ListArray.from_arrays([0, 2, 2, 3], pa.array(STRINGS).dictionary_encode()),
    "run-end encoded": pa.RunEndEncodedArray.from_arrays(
        [2, 3], ["x", "y"], pa.run_end_encoded(pa.int32(), pa.string())
    ),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["x"])]
    ),
}


def buffers_of(array):
    """Every buffer with bytes: the array's own, its children's, its dictionary's."""
    yield from (buffer for buffer in array.buffers() if buffer is not None and buffer.size > 0)
    if pa.types.is_dictionary(array.type):
        yield from buffers_of(array.dictionary)


@pytest.mark.parametrize("kind", ARRAYS)
def test_round_trip(client, name, kind):
    table = pa.table({"before": pa.array([7, 8, 9]), kind: ARRAYS[kind]})
    info = client.put(name, table)
    assert (info.name, info.version, info.rows) == (name, 1, 3)

    frame = client.get(name)
    assert frame.zero_copy, frame.why
    back = frame.to_arrow()
    back.validate(full=True)
    assert back.schema == table.schema
    assert back.to_pylist() == table.to_pylist()

    address, length = frame.mapping
    outside = [
        column
        for column in back.column_names
        for chunk in back[column].chunks
        for buffer in buffers_of(chunk)
        if not (address <= buffer.address and buffer.address + buffer.size <= address + length)
    ]
    assert not outside, f"not inside the mapping: {outside}"


def test_metadata_and_nullability_are_kept(client, name):
    schema = pa.schema(
        [pa.field("n", pa.int64(), nullable=False, metadata={"unit": "m"})], metadata={"source": "tests"}
    )
    client.put(name, pa.table({"n": [1]}, schema=schema))
    assert client.get(name).schema.equals(schema, check_metadata=True)


@pytest.mark.parametrize("columns", [{}, {"n": pa.array([], pa.int64()), "s": pa.array([], pa.string())}])
def test_no_rows(client, name, columns):
    table = pa.table(columns)
    assert client.put(name, table).rows == 0
    frame = client.get(name)
    assert frame.num_rows == 0
    assert frame.to_arrow().equals(table)


def test_many_batches(client, name):
    table = pa.table({"n": pa.array(range(100_000)), "s": [str(n) for n in range(100_000)]})
    client.put(name, iter(table.to_batches(max_chunksize=999)))
    frame = client.get(name)
    assert frame.num_rows == 100_000
    assert frame.to_arrow().equals(table)
    assert frame.num_batches < 101, "small batches are joined: readers pay for each batch and column"


def test_a_slice_is_stored_without_the_rest(client, name):
    table = pa.table({"n": pa.array(range(1_000_000)), "s": pa.array(["x" * 20] * 1_000_000)})
    part = table.slice(500_001, 10)
    assert client.put(name, part).bytes < 10_000
    assert client.get(name).to_arrow().equals(part)


BACKWARDS = pa.UnionArray.from_dense(
    pa.array([0, 0], pa.int8()), pa.array([1, 0], pa.int32()), [pa.array([1, 2]), pa.array(["x"])]
)
WIDE = pa.Array.from_buffers(pa.decimal128(2, 0), 1, pa.array([decimal.Decimal(123)], pa.decimal128(38, 0)).buffers())
UNREADABLE = {
    "time": (pa.array([0, 86400], pa.int32()).view(pa.time32("s")), "element 1 is 86400 s, a time of day is 0 to"),
    "date": (pa.array([86400001], pa.int64()).view(pa.date64()), "element 0 is 86400001 ms .* no whole number of"),
    "decimal": (WIDE, "element 0 is 123 .* more than 2 digits"),
    "union": (BACKWARDS, "element 1 is value 0 of its child, after value 1"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("over", ["socket", "tcp"])
def test_what_not_everybody_reads_is_refused(agent, name, kind, over):
    array, said = UNREADABLE[kind]
    address = agent.address if over == "socket" else f"http://{agent.tcp}"
    with pytest.raises(pa.ArrowInvalid):
        array.validate(full=True)
    with farrow.connect(address) as client:
        with pytest.raises(farrow.InvalidData, match=f"column 0 .*{kind}.*{said}"):
            client.put(name, pa.table({kind: array}))
        with pytest.raises(farrow.NotFound):
            client.stat(name)


def test_an_extension_type_is_stored_as_it_is_defined(client, name):
    noted = pa.field("id", pa.int8(), metadata={"ARROW:extension:name": "arrow.uuid"})
    with pytest.raises(farrow.InvalidData, match="id.*arrow.uuid is stored as Int8.*FixedSizeBinary.16. is needed"):
        client.put(name, pa.table([pa.array([1], pa.int8())], schema=pa.schema([noted])))
