"""Every Arrow type by every format of the command: it goes out as pyarrow would write it, or is refused by its name."""

import collections
import datetime
import decimal
import json
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

LAST, FIRST = 2**63 - 1, -(2**63)
LAST_DAY = LAST // 86_400_000 * 86_400_000
EXTREMES = {
    "date32": pa.array([2**31 - 1, None, -(2**31)], pa.int32()).view(pa.date32()),
    "date64": pa.array([LAST_DAY, None, -LAST_DAY], pa.int64()).view(pa.date64()),
    **{
        f"timestamp {unit} {zone}": pa.array([LAST, None, first], pa.int64()).view(pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone, first in ((None, FIRST), ("UTC", 2**62), ("+14:00", LAST), ("-14:00", FIRST), ("Europe/Vienna", FIRST))
    },
    "time32 s": pa.array([86_399, None, 0], pa.int32()).view(pa.time32("s")),
    "time64 ns": pa.array([86_400 * 10**9 - 1, None, 0], pa.int64()).view(pa.time64("ns")),
    **{f"duration {unit}": pa.array([LAST, None, FIRST], pa.int64()).view(pa.duration(unit)) for unit in ("s", "ms", "us", "ns")},
    "interval": pa.array([pa.MonthDayNano([2**31 - 1, 2**31 - 1, LAST]), None, pa.MonthDayNano([-(2**31), -(2**31), FIRST])]),
    "decimal128": pa.array([decimal.Decimal("9" * 38), None, decimal.Decimal("-" + "9" * 38)], pa.decimal128(38, 0)),
    "decimal of thousands": pa.array([(10**38 - 1).to_bytes(16, "little"), None, b"\1" + bytes(15)], pa.binary(16)).view(
        pa.decimal128(38, -30)
    ),
    "decimal256": pa.array([(10**76 - 1).to_bytes(32, "little"), None, bytes(32)], pa.binary(32)).view(pa.decimal256(76, 76)),
    "uint64": pa.array([2**64 - 1, None, 0], pa.uint64()),
}
LATE, LATE_DAY = EXTREMES["timestamp s UTC"], EXTREMES["date64"]
RUNS = pa.run_end_encoded(pa.int32(), pa.timestamp("s"))
SOME = pa.array([LAST, FIRST, 0], pa.int64()).view(pa.timestamp("s"))
EXTREMES.update(
    {
        "list": pa.ListArray.from_arrays([0, 2, 2, 3], LATE),
        "list of lists": pa.ListArray.from_arrays([0, 1, 1, 2], pa.ListArray.from_arrays([0, 2, 3], LATE)),
        "fixed list": pa.FixedSizeListArray.from_arrays(LATE, 1),
        "list view": pa.ListViewArray.from_arrays([2, 0, 0], [1, 0, 2], LATE),
        "struct": pa.StructArray.from_arrays([LATE, LATE_DAY], ["t", "d"]),
        "map": pa.MapArray.from_arrays([0, 2, 2, 3], SOME, LATE),
        "dictionary": LATE.dictionary_encode(),
        "list of dictionary": pa.ListArray.from_arrays([0, 2, 2, 3], EXTREMES["timestamp ms UTC"].dictionary_encode()),
        # Of a zone, pyarrow's to_pandas() reads memory that is not its own.
        "run ends": pa.RunEndEncodedArray.from_arrays([2, 3], EXTREMES["timestamp s None"][:2], RUNS),
        "sparse union": pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [LATE, LATE_DAY]),
        "dense union": pa.UnionArray.from_dense(
            pa.array([0, 1, 0], pa.int8()), pa.array([0, 2, 1], pa.int32()), [LATE, LATE_DAY]
        ),
    }
)
if not hasattr(pa, "decimal32"):
    # The pyarrow and the DuckDB of that time give other values of slices, and take no scale below 0.
    for kind in ("decimal of thousands", "sparse union"):
        del EXTREMES[kind]
KINDS.update({f"extreme {kind}": array for kind, array in EXTREMES.items()})
# The text that the command writes of the first row.
TOLD = {
    "date32": "+5881580-07-11",
    "date64": "+292278994-08-17T00:00:00",
    "timestamp s None": "+292277026596-12-04T15:30:07",
    "timestamp s UTC": "+292277026596-12-04T15:30:07Z",
    "timestamp s +14:00": "+292277026596-12-05T05:30:07+14:00",
    "timestamp ms Europe/Vienna": "+292278994-08-17T07:12:55.807Z",
    "timestamp us -14:00": "+294247-01-09T14:00:54.775807-14:00",
    "timestamp ns None": "2262-04-11T23:47:16.854775807",
    "time64 ns": "23:59:59.999999999",
    "duration s": "PT9223372036854775807S",
    "dictionary": "+292277026596-12-04T15:30:07Z",
    "run ends": "+292277026596-12-04T15:30:07",
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

# Ways of the command to show rows, and their verbs.
TEXTS = {"head": "head", "head json": "head", "csv": "get"}


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
    """Its columns, by value: instants in UTC, of whatever zone; times that Python lacks as their numbers."""
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz:
            table = table.set_column(at, field.name, table[at].cast(pa.timestamp(field.type.unit, "UTC")))
    return [values_of(column) for column in table.columns]


def values_of(column):
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return [number_of(value) for value in column]


def number_of(scalar):
    """A scalar in parts that Python has values of."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if isinstance(elements := getattr(scalar, "values", None), pa.Array):
        return [number_of(value) for value in elements]
    if pa.types.is_struct(kind):
        return {field: number_of(scalar[field]) for field in scalar}
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return scalar.value
    inner = getattr(scalar, "value", None)
    return number_of(inner) if isinstance(inner, pa.Scalar) else scalar.as_py()


def refused(kind, done):
    """True for a refusal, which names column and type, on one line, with nothing written."""
    code, out, told = done
    if code == 0:
        return False
    assert code == 1 and out == b"", done
    assert told.startswith("farrow: ") and f"column {kind}, " in told and "Try: " in told, told
    assert told.count("\n") == 1 and len(told) < 4096, told
    return True


def advised(told, name, directory):
    """The commands that a refusal names, for a shell, as words."""
    commands = [part for part in told.split("`") if part.startswith("farrow ")]
    assert commands, told
    for at, command in enumerate(commands):
        words = command.replace("NAME", name).replace("FILE", str(directory / f"advised.{at}")).split()
        yield words[1:]


def tables(kind):
    """With rows, from the middle of others, and without."""
    table = pa.table({"before": pa.array([7, 8, 9]), kind: KINDS[kind]}, metadata={"about": "all of it"})
    return [table, table.slice(1, 2), table.slice(0, 0)]


def as_pyarrow_writes(table, file):
    """The table as pyarrow reads it from a Parquet file that it wrote; None where it cannot write one, or not read it."""
    for field in table.schema:
        if field.name.startswith("extreme") and any(kind in str(field.type) for kind in ("date64", "timestamp[s")):
            # Days that are more than 32 bits can count, and seconds that are more than 64 of milliseconds can, become
            # others, in some versions.
            return None
    try:
        pq.write_table(table, file)
        return pq.read_table(file)
    except (pa.ArrowException, OSError):
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_out(client, name, run, tmp_path, kind):
    for table in tables(kind):
        client.put(name, table)
        for word, verb in TEXTS.items():
            done = run(verb, name, *([] if word == "head" else ["--format", word.split()[-1]]))
            if word.endswith("csv") and refused(kind, done):
                counts[f"{word} refused"] += 1
                assert pa.types.is_nested(table.schema.field(kind).type), done
                for command in advised(done[2], name, tmp_path):
                    assert run(*command)[0] == 0, command
                continue
            counts[word] += 1
            assert done[0] == 0, done
            lines = done[1].decode().splitlines()
            assert len(lines) == table.num_rows + (not word.endswith("json")), done
            assert b"ERROR" not in done[1] and b"<invalid>" not in done[1], done
            if word.endswith("json"):
                assert [list(json.loads(line)) for line in lines] == [["before", kind]] * table.num_rows
            if (told := TOLD.get(kind.partition("extreme ")[2])) and table.num_rows == 3:
                assert told in done[1].decode(), done

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
        done = run("get", name, "-o", file)
        if refused(kind, done):
            assert expected is None, f"pyarrow writes {table.schema.field(kind).type}"
            assert not file.exists()
            assert refused(kind, run("get", name, "--format", "parquet"))
            for command in advised(done[2], name, tmp_path):
                assert run(*command)[0] == 0, command
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
