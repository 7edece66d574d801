"""Every Arrow type by every format of the command: it goes out as pyarrow would write it, or is refused by its name."""

import collections
import datetime
import decimal
import os
import subprocess
import sys
import warnings

import numpy
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from conftest import programs
from test_types import ARRAYS, DAY, MOMENT, STRINGS

SECOND = MOMENT.replace(microsecond=0)
SECONDS = pa.array([SECOND, None, SECOND], pa.timestamp("s"))
HALVES = numpy.array([1.5, 0, -2.0], numpy.float16)
SPARSE = pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])])

KINDS = {
    **ARRAYS,
    **{f"timestamp {unit}": SECONDS.cast(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    **{
        f"timestamp {unit} {zone}": SECONDS.cast(pa.timestamp(unit)).view(pa.timestamp(unit, zone))
        for unit in ("s", "us")
        for zone in ("UTC", "Europe/Vienna", "+02:00")
    },
    "timestamp of no zone": SECONDS.cast(pa.timestamp("us")).view(pa.timestamp("us", "Nowhere/Land")),
    "time32 s": pa.array([MOMENT.time().replace(microsecond=0), None, datetime.time()], pa.time32("s")),
    "time32 ms": pa.array([MOMENT.time(), None, datetime.time()], pa.time32("ms")),
    "time64 ns": pa.array([MOMENT.time(), None, datetime.time()], pa.time64("ns")),
    **{f"duration {unit}": pa.array([1, None, 3], pa.duration(unit)) for unit in ("s", "ms", "us", "ns")},
    "interval": pa.array([pa.MonthDayNano([1, 2, 3]), None, pa.MonthDayNano([0, 0, 0])]),
    "half float": pa.array(HALVES, pa.float16(), mask=numpy.array([False, True, False])),
    "large binary": pa.array([b"\x00", None, b"\xff" * 20], pa.large_binary()),
    "binary view": pa.array([b"\x00", None, b"\xff" * 20], pa.binary_view()),
    "binary of no bytes": pa.array([b"", None, b""], pa.binary(0)),
    "list view": pa.array([[1, 2], None, []], pa.list_view(pa.int64())),
    "large list view": pa.array([[1, 2], None, []], pa.large_list_view(pa.int64())),
    "list of seconds": pa.array([[SECOND], None, []], pa.list_(pa.timestamp("s", "Europe/Vienna"))),
    "list of lists": pa.array([[["a"], None], None, []], pa.list_(pa.list_(pa.string()))),
    "struct of dates": pa.array([{"d": DAY}, None, {"d": None}], pa.struct([("d", pa.date64())])),
    "struct of nothing": pa.array([{}, None, {}], pa.struct([])),
    "map of times": pa.array([[("k", SECOND)], None, []], pa.map_(pa.string(), pa.timestamp("s"))),
    "dictionary of seconds": SECONDS.dictionary_encode(),
    "dictionary of zoned": SECONDS.view(pa.timestamp("s", "UTC")).dictionary_encode(),
    "run ends of seconds": pa.RunEndEncodedArray.from_arrays(
        [2, 3], [SECOND, None], pa.run_end_encoded(pa.int32(), pa.timestamp("s"))
    ),
    "sparse union": SPARSE,
    "list of unions": pa.ListArray.from_arrays([0, 2, 2, 3], SPARSE),
    "struct of unions": pa.StructArray.from_arrays([SPARSE], ["u"]),
    "all null": pa.array([None, None, None], pa.timestamp("s", "UTC")),
    "text that needs quotes": pa.array(['a "b", c', None, "é"]),
    "strings in views": pa.array(STRINGS, pa.string_view()),
}

DECIMALS = [decimal.Decimal("1.25"), None, decimal.Decimal("-3.50")]
# Types that only newer versions of pyarrow know, by the function that they have for it.
NEWER = {
    "decimal32": lambda: pa.array(DECIMALS, pa.decimal32(7, 2)),
    "decimal64": lambda: pa.array(DECIMALS, pa.decimal64(15, 2)),
    "uuid": lambda: pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"1" * 16, None, b"2" * 16], pa.binary(16))),
    "json_": lambda: pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1", None, "{}"])),
    "bool8": lambda: pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0], pa.int8())),
}
KINDS.update({kind: array() for kind, array in NEWER.items() if hasattr(pa, kind)})

counts = collections.Counter()


@pytest.fixture(scope="module", autouse=True)
def told():
    yield
    print("\ntypes by formats: " + ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items())))


@pytest.fixture
def run(agent):
    """Runs a verb of the command: exit code, stdout, stderr."""

    def run(*arguments, **options):
        environment = dict(os.environ, FARROW_ADDRESS=agent.address)
        command = [programs() / "farrow", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, **options)
        return done.returncode, done.stdout, done.stderr.decode()

    return run


def rows_of(table):
    """Its rows, by value: instants in UTC, of whatever zone."""
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz:
            table = table.set_column(at, field.name, table[at].cast(pa.timestamp(field.type.unit, "UTC")))
    return table.to_pylist()


def refused(kind, done):
    """True for a refusal, which names column and type, on one line, with nothing written."""
    code, out, told = done
    if code == 0:
        return False
    assert code == 1 and out == b"", done
    assert told.startswith("farrow: ") and f"column {kind}, " in told and "Try: " in told, told
    assert told.count("\n") == 1 and len(told) < 4096, told
    return True


def tables(kind):
    """With rows, from the middle of others, and without."""
    table = pa.table({"before": pa.array([7, 8, 9]), kind: KINDS[kind]}, metadata={"about": "all of it"})
    return [table, table.slice(1, 2), table.slice(0, 0)]


def as_pyarrow_writes(table, file):
    """The table as pyarrow reads it from a Parquet file that it wrote; None where it cannot write one, or not read it."""
    try:
        pq.write_table(table, file)
        return pq.read_table(file)
    except (pa.ArrowException, OSError):
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_out(client, name, run, tmp_path, kind):
    for table in tables(kind):
        client.put(name, table)
        for verb in (["head", name], ["get", name, "--format", "csv"]):
            done = run(*verb)
            word = "head" if verb[0] == "head" else "csv"
            if refused(kind, done):
                counts[f"{word} refused"] += 1
            else:
                counts[word] += 1
                assert done[1].count(b"\n") == 1 + table.num_rows, done

        for format, read in (("ipc", pa.ipc.open_file), ("stream", pa.ipc.open_stream)):
            file = tmp_path / format
            assert run("get", name, "--format", format, "-o", file)[0] == 0
            with read(str(file) if format == "ipc" else open(file, "rb")) as reader:
                back = reader.read_all()
            back.validate(full=True)
            assert back.schema.equals(table.schema, check_metadata=True)
            assert rows_of(back) == rows_of(table)
            counts[format] += 1

        file = tmp_path / "ours.parquet"
        expected = as_pyarrow_writes(table, tmp_path / "theirs.parquet")
        if refused(kind, run("get", name, "-o", file)):
            assert expected is None, f"pyarrow writes {table.schema.field(kind).type}"
            assert not file.exists()
            counts["parquet refused"] += 1
            continue
        try:
            back = pq.read_table(file)
        except pa.ArrowInvalid:
            # Some versions of pyarrow do not read fixed lists with nulls, not even their own.
            assert expected is None and pa.types.is_fixed_size_list(table.schema.field(kind).type)
            counts["parquet that pyarrow cannot read"] += 1
            continue
        back.validate(full=True)
        assert rows_of(back) == rows_of(expected or table)
        assert back.schema.metadata[b"about"] == b"all of it"
        if expected is not None:
            assert back.schema.field(kind).type == expected.schema.field(kind).type
        counts["parquet" if expected is not None else "parquet that pyarrow does not write"] += 1
        # And back again.
        assert run("put", name, file)[0] == 0
        assert rows_of(client.get(name).to_arrow()) == rows_of(back)


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_of_pyarrow(client, name, run, tmp_path, kind):
    file = tmp_path / "theirs.parquet"
    expected = as_pyarrow_writes(tables(kind)[0], file)
    if expected is None:
        return
    code, _, told = run("put", name, file)
    assert code == 0, told
    frame = client.get(name).to_arrow()
    assert rows_of(frame) == rows_of(expected)
    # 64-bit dates are had back as they were.
    assert frame.schema.field(kind).type in (expected.schema.field(kind).type, KINDS[kind].type)
    counts["parquet of pyarrow read"] += 1


def test_a_data_frame_keeps_its_index(client, name, run, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1, 2]}, index=pandas.Index(["p", "q"], name="key"))
    parquet, feather = tmp_path / "a.parquet", tmp_path / "a.feather"
    frame.to_parquet(parquet)
    pa.feather.write_feather(pa.Table.from_pandas(frame), feather)
    for file in (parquet, feather):
        assert run("put", name, file)[0] == 0
        assert client.get(name).to_arrow().to_pandas().equals(frame)
        back = tmp_path / "back.parquet"
        assert run("get", name, "-o", back)[0] == 0
        assert pandas.read_parquet(back).equals(frame)
        # Readers that do not know Arrow's schema find it, too.
        assert b"pandas" in pq.read_metadata(back).metadata


def test_seconds_of_csv_are_times_in_parquet(name, run, tmp_path):
    local, instant = pa.timestamp("ms"), pa.timestamp("ms", "UTC")
    for value, type in (("2024-01-01 10:00:00", local), ("2024-01-01T10:00:00Z", instant)):
        assert run("put", name, "-", "--format", "csv", input=f"t\n{value}\n".encode())[0] == 0
        file = tmp_path / "t.parquet"
        assert run("get", name, "-o", file)[0] == 0
        table = pq.read_table(file)
        assert table.schema.field("t").type == type
        assert table["t"][0].as_py().replace(tzinfo=None) == datetime.datetime(2024, 1, 1, 10)


def test_feather_v1_is_converted_as_the_error_says(name, run, tmp_path):
    old, new = tmp_path / "old.feather", tmp_path / "new.feather"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pa.feather.write_feather(pa.table({"x": [1]}), str(old), version=1)
    code, _, told = run("put", name, old)
    assert code == 8 and str(old) in told and "Feather V1" in told and told.count("\n") == 1
    command = told[told.index("python -c") :].strip()
    command = command.replace("OLD", str(old)).replace("NEW", str(new))
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True)
    assert run("put", name, new)[0] == 0
