"""The buffers that each engine has of a mapped frame: mapped or copied, by their addresses.

The table in crates/ENGINES.md is what these tests expect; FARROW_REGEN=1 has them write it.
"""

from __future__ import annotations

import datetime
import decimal
import gc
import os
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.compute
import pytest
from conftest import REPOSITORY, eventually, leases_of
from farrow import _engines

PAGE = REPOSITORY / "crates" / "ENGINES.md"
COUNT = 100
DAY = datetime.date(2024, 2, 29)
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 1)
STRINGS = [f"a string of more than twelve bytes: {n}" for n in range(COUNT)]
NUMBERS = list(range(COUNT))
PAIRS = [[n, n + 1] for n in NUMBERS]
KINDS = {
    "`int8` … `int64`, `uint8` … `uint64`": [
        (getattr(pa, f"{sign}int{bits}")(), NUMBERS) for sign in ("", "u") for bits in (8, 16, 32, 64)
    ],
    "`float`, `double`": [(kind, [n / 2 for n in NUMBERS]) for kind in (pa.float32(), pa.float64())],
    "`bool`": [(pa.bool_(), [n % 3 == 0 for n in NUMBERS])],
    "`decimal128`": [(pa.decimal128(15, 2), [decimal.Decimal(n) for n in NUMBERS])],
    "`date32`": [(pa.date32(), [DAY] * COUNT)],
    "`timestamp` in ms, us, ns": [(pa.timestamp(unit), [MOMENT] * COUNT) for unit in ("ms", "us", "ns")],
    "`timestamp` with a zone": [(pa.timestamp("us", "Europe/Vienna"), [MOMENT] * COUNT)],
    "`timestamp` in s": [(pa.timestamp("s"), [MOMENT] * COUNT)],
    "`duration`": [(pa.duration("us"), NUMBERS)],
    "`time64`": [(pa.time64("us"), [MOMENT.time()] * COUNT)],
    "`utf8`": [(pa.string(), STRINGS)],
    "`large_utf8`": [(pa.large_string(), STRINGS)],
    "`utf8_view`": [(pa.string_view(), STRINGS)],
    "`binary`": [(pa.binary(), [text.encode() for text in STRINGS])],
    "`fixed_size_binary`": [(pa.binary(4), [b"abcd"] * COUNT)],
    "`dictionary` of `utf8`": [(pa.dictionary(pa.int32(), pa.string()), [STRINGS[n % 4] for n in NUMBERS])],
    "`list`": [(pa.list_(pa.int64()), PAIRS)],
    "`large_list`": [(pa.large_list(pa.int64()), PAIRS)],
    "`fixed_size_list`": [(pa.list_(pa.int64(), 2), PAIRS)],
    "`struct`": [(pa.struct([("a", pa.int64()), ("b", pa.float64())]), [{"a": n, "b": n / 2} for n in NUMBERS])],
    "`map`": [(pa.map_(pa.string(), pa.int64()), [[("key", n)] for n in NUMBERS])],
}


def array_of(kind: pa.DataType, values: list, nulls: bool) -> pa.Array:
    values = [None if nulls and n % 7 == 3 else value for n, value in enumerate(values)]
    return pa.array(values, pa.string()).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(values, kind)


def parts(array: pa.Array):
    """Each buffer with bytes, and what it is for."""
    kind, buffers = array.type, array.buffers()
    below, after = [], "values"
    if pa.types.is_dictionary(kind):
        below, buffers, after = [array.dictionary], buffers[:2], "indices"
    elif pa.types.is_map(kind):
        below, buffers, after = [array.keys, array.items], buffers[:2], "offsets"
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        below, buffers, after = [array.values], buffers[:2], "offsets"
    elif pa.types.is_fixed_size_list(kind):
        below, buffers = [array.values], buffers[:1]
    elif pa.types.is_struct(kind):
        below, buffers = [array.field(n) for n in range(kind.num_fields)], buffers[:1]
    elif str(kind) in ("string_view", "binary_view"):
        after = "views"
    elif len(buffers) == 3:
        after = "offsets"
    roles = ["validity", after] + ["bytes"] * len(buffers)
    yield from ((role, (b.address, b.size)) for role, b in zip(roles, buffers) if b is not None and b.size > 0)
    for child in below:
        yield from parts(child)


def chunks_of(column: object) -> list:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def numpy_parts(series):
    """The same of a pandas column that is no Arrow array."""
    if hasattr(series.array, "codes"):
        yield "indices", place(series.array.codes)
        yield from numpy_parts(series.array.categories.to_series())
    elif series.dtype == object:
        yield "objects", place(series.to_numpy())
    elif hasattr(series.array, "asi8"):
        yield "values", place(series.array.asi8)
    elif hasattr(series.array, "__arrow_array__"):
        yield from (part for chunk in chunks_of(series.array.__arrow_array__()) for part in parts(chunk))
    else:
        yield "values", place(series.to_numpy())


def place(values) -> tuple:
    return values.__array_interface__["data"][0], values.nbytes


# Of a frame with the column "c": what its buffers are for, address and bytes of each.
ENGINES = {
    "pyarrow": lambda frame: [part for chunk in frame.to_arrow()["c"].chunks for part in parts(chunk)],
    "Polars": lambda frame: [
        part for chunk in pa.table(_engines.to_polars(frame))["c"].chunks for part in parts(chunk)
    ],
    "pandas": lambda frame: list(numpy_parts(_engines.to_pandas(frame)["c"])),
    "pandas of NumPy": lambda frame: list(numpy_parts(frame.to_arrow().to_pandas(split_blocks=True)["c"])),
}


def cell(frame, engine: str) -> str:
    """The cell of the table: how an engine has the column."""
    try:
        found = ENGINES[engine](frame)
    except (KeyboardInterrupt, SystemExit, AttributeError, ImportError):
        raise
    except BaseException:  # Polars panics, which is no Exception.
        return "not supported"
    assert found, "an array without buffers"
    outside = copied(frame, found)
    if "objects" in outside:
        return "Python objects"
    if {role for role, _ in found} - {"validity"} <= set(outside):
        return "copied"
    return f"mapped, {' and '.join(dict.fromkeys(outside))} copied" if outside else "mapped"


def copied(frame, found) -> list:
    """The roles of the buffers that are not in the mapping."""
    return [role for role, (at, size) in found if not any(a <= at and at + size <= a + n for a, n in frame.mappings)]


def column_of_table(client, name: str, engine: str) -> list:
    """The cell of each kind for an engine, without nulls and with."""
    cells = []
    for variants in KINDS.values():
        both = set()
        for kind, values in variants:
            of_kind = []
            for nulls in (False, True):
                client.put(name, pa.table({"c": array_of(kind, values, nulls)}))
                frame = client.get(name)
                assert frame.zero_copy, frame.why
                of_kind.append(cell(frame, engine))
            both.add(tuple(of_kind))
        assert len(both) == 1, f"{engine} treats the types of {variants} in different ways: {both}"
        without, with_nulls = both.pop()
        cells.append(without if without == with_nulls else f"{without}; with nulls: {with_nulls}")
    return cells


@pytest.mark.parametrize("engine", ENGINES)
def test_the_table_says_where_the_buffers_are(client, name, engine):
    installed = version_of(engine)
    header, table = read_table()
    column = header.index(engine)
    found = dict(zip(KINDS, column_of_table(client, name, engine)))
    if os.environ.get("FARROW_REGEN"):
        for kind in KINDS:
            table.setdefault(kind, [kind] + [""] * len(ENGINES))[column] = found[kind]
        write_table(header, {kind: table[kind] for kind in KINDS})
    else:
        expected = {kind: cells[column] for kind, cells in table.items()}
        for older in OLDER:
            if older[0] == engine and installed < older[1]:
                expected.update(older[2])
        assert found == expected, f"{PAGE.name} has another table; FARROW_REGEN=1 writes this one"


def version_of(engine: str) -> tuple:
    module = pytest.importorskip(engine.partition(" ")[0].lower())
    return tuple(int(number) for number in re.findall(r"\d+", module.__version__)[:2])


# Differences of older versions (the page has them, too): engine, before which version, and the cells that differ.
STRINGS_OF_NUMPY = ["`utf8`", "`large_utf8`", "`utf8_view`", "`dictionary` of `utf8`"]
OLDER = [
    ("pandas", (2, 1), dict.fromkeys(["`utf8_view`", "`fixed_size_list`"], "not supported")),
    ("pandas", (3, 0), {"`dictionary` of `utf8`": "Python objects"}),
    ("pandas of NumPy", (3, 0), dict.fromkeys(STRINGS_OF_NUMPY, "Python objects")),
]

TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)


def read_table() -> tuple:
    """The header, and the cells of each row by its first."""
    lines = TABLE.search(PAGE.read_text())[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[0], {row[0]: row for row in rows[2:]}


def write_table(header: list, table: dict) -> None:
    rows = [header, ["---"] * len(header), *table.values()]
    text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    PAGE.write_text(TABLE.sub(lambda _: text, PAGE.read_text()))


TWO_BATCHES = pa.table({"n": pa.array(range(2_000_000), pa.int64()), "s": pa.array(["x" * 20, None] * 1_000_000)})


def put_in_batches(client, name: str, table: pa.Table):
    """The frame of a table with a batch for each half."""
    half = len(table) // 2
    client.put(name, table.slice(0, half))
    client.append(name, table.slice(half))
    frame = client.get(name)
    assert frame.zero_copy, frame.why
    assert frame.num_batches >= 2
    return frame


def test_several_batches_are_not_joined(client, name):
    frame = put_in_batches(client, name, TWO_BATCHES)
    pytest.importorskip("polars")
    assert _engines.to_polars(frame)["n"].n_chunks() == frame.num_batches
    for chunk in _engines.to_polars(frame)["n"].get_chunks():
        assert copied(frame, parts(pa.chunked_array(chunk).chunk(0))) == []


# Of a frame with the columns a, b and c: an engine's sum of the first.
SUMS = {
    "polars": lambda frame: _engines.to_polars_lazy(frame).select("a").sum().collect().item(),
    "pandas": lambda frame: _engines.to_pandas(frame)["a"].sum(),
    "duckdb": lambda frame: _engines.to_duckdb(frame).sum("a").fetchall()[0][0],
    "pyarrow": lambda frame: pyarrow.compute.sum(_engines.to_dataset(frame).to_table(columns=["a"])["a"]).as_py(),
}


@pytest.mark.parametrize("engine", SUMS)
def test_only_the_columns_asked_for_are_touched(client, name, engine):
    pytest.importorskip(engine)
    count = 2 << 20
    client.put(name, pa.table({column: pa.array(range(count), pa.int64()) for column in "abc"}))
    frame = client.get(name)
    before = resident(frame)
    assert SUMS[engine](frame) == count * (count - 1) // 2
    touched, column = resident(frame) - before, 8 * count
    # The kernel maps a few pages around each that is touched.
    assert column // 2 < touched < column * 3 // 2, f"{touched} bytes of columns with {column} each"
    client.drop(name)


def resident(frame) -> int:
    """Bytes of the mapping that a frame lies in which this process has touched."""
    (address, _), found = frame.mappings[0], None
    with open("/proc/self/smaps") as lines:
        for line in lines:
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            if area:
                found = int(area[1], 16) <= address < int(area[2], 16)
            elif found and line.startswith("Rss:"):
                return int(line.split()[1]) << 10
    raise AssertionError(f"{address:#x} is not mapped")


@pytest.fixture
def frame(client, name):
    return put_in_batches(client, name, TWO_BATCHES.slice(999_000, 2000))


class Asked:
    """A frame that keeps on record which batches it was asked for, and of which columns."""

    def __init__(self, frame, asked=None) -> None:
        self._frame, self.asked = frame, [] if asked is None else asked
        self.schema, self.num_batches, self.num_rows = frame.schema, frame.num_batches, frame.num_rows

    def select(self, columns: list):
        return Asked(self._frame.select(columns), self.asked)

    def batch(self, index: int):
        batch = self._frame.batch(index)
        self.asked.append((index, batch.schema.names))
        return batch


def test_a_lazy_frame_takes_what_its_query_needs(frame):
    polars = pytest.importorskip("polars")
    asked = Asked(frame)
    lazy = _engines.to_polars_lazy(asked)
    assert asked.asked == [], "nothing is decoded for the schema"
    assert lazy.collect_schema() == polars.DataFrame(TWO_BATCHES.slice(0, 1)).schema

    assert lazy.select("s").head(10).collect().shape == (10, 1)
    assert asked.asked == [(0, ["s"])], "only this column, and a limit stops at the first batch that has enough"
    half = lazy.filter(polars.col("n") >= 1_000_000).select("s", "n")
    for streaming in ("in-memory", "streaming"):
        found = half.collect(engine=streaming)
        assert found.to_arrow().column_names == ["s", "n"]
        assert found["n"].to_list() == list(range(1_000_000, 1_001_000))
        assert found["s"].null_count() == 500
    assert lazy.select(polars.len()).collect().item() == 2000
    assert lazy.join(lazy, on="n").select(polars.len()).collect().item() == 2000


def test_a_dataset_filters_and_projects(frame):
    dataset = _engines.to_dataset(frame)
    assert dataset.schema == frame.schema
    few = (pyarrow.compute.field("n") < 999_003) & pyarrow.compute.field("s").is_valid()
    found = dataset.to_table(columns=["n"], filter=few)
    assert found.to_pydict() == {"n": [999_000, 999_002]}
    assert dataset.count_rows() == 2000


def test_duckdb_queries_the_frame(frame):
    duckdb = pytest.importorskip("duckdb")
    assert _engines.to_duckdb(frame).filter("s IS NULL").aggregate("count(*)").fetchall() == [(1000,)]
    with duckdb.connect() as connection:
        orders = _engines.to_duckdb(frame, connection)
        assert connection.sql("SELECT max(n) FROM orders WHERE s IS NOT NULL").fetchall() == [(1_000_998,)]
        # As often as one likes.
        assert connection.sql("SELECT count(*) FROM orders JOIN orders AS others USING (n)").fetchall() == [(2000,)]


# Types that DuckDB has another one for.
DUCKDB_CONVERTS = {"`duration`", "`timestamp` with a zone"}
# Types that it read wrongly: the value after a null became zeros.
OLD_DUCKDB_MISREADS = {"`fixed_size_binary`"}


@pytest.mark.parametrize("kind", KINDS)
def test_duckdb_returns_copies(client, name, kind):
    duckdb = pytest.importorskip("duckdb")
    for of_kind, values in KINDS[kind]:
        table = pa.table({"c": array_of(of_kind, values, nulls=True)})
        client.put(name, table)
        frame = client.get(name)
        with duckdb.connect() as connection:
            found = _engines.to_duckdb(frame, connection).arrow()
            found = (found.read_all() if isinstance(found, pa.RecordBatchReader) else found)["c"]
        misread = kind in OLD_DUCKDB_MISREADS and version_of("DuckDB") < (1, 3)
        if kind not in DUCKDB_CONVERTS and not misread:
            assert found.to_pylist() == table["c"].to_pylist()
        places = [place for chunk in found.chunks for _, place in parts(chunk)]
        assert places
        assert not [at for at, size in places if any(a < at + size and at < a + n for a, n in frame.mappings)]


KEEPERS = {
    "polars": {
        "frame": _engines.to_polars,
        "strings of a filtered frame": lambda frame: _engines.to_polars(frame).filter(n=999_008)["s"],
        "column": lambda frame: _engines.to_polars(frame)["n"],
        "slice": lambda frame: _engines.to_polars(frame).slice(5, 5).select("n"),
        "lazy frame": _engines.to_polars_lazy,
        "what a lazy frame returns": lambda frame: _engines.to_polars_lazy(frame).select("n").collect(),
    },
    "pandas": {
        "frame": _engines.to_pandas,
        "column": lambda frame: _engines.to_pandas(frame)["n"],
        "view of NumPy": lambda frame: frame.to_arrow().slice(0, 9).to_pandas(split_blocks=True)["n"].to_numpy(),
    },
    "duckdb": {
        "relation": _engines.to_duckdb,
        "relation of a relation": lambda frame: _engines.to_duckdb(frame).filter("n > 7"),
    },
    "pyarrow": {
        "dataset": _engines.to_dataset,
        "scanner": lambda frame: _engines.to_dataset(frame).scanner(columns=["n"]),
        "batches of a scan": lambda frame: list(_engines.to_dataset(frame).to_batches(columns=["n"])),
    },
}


@pytest.mark.parametrize("engine, keeper", [(engine, keeper) for engine in KEEPERS for keeper in KEEPERS[engine]])
def test_the_lease_lives_until_the_engine_lets_go(client, name, engine, keeper):
    pytest.importorskip(engine)
    put_in_batches(client, name, TWO_BATCHES.slice(999_000, 2000))
    kept = KEEPERS[engine][keeper](client.get(name))
    gc.collect()
    # A lease taken later and released proves that what was dropped above has been.
    client.put(name + "-other", pa.table({"n": [1]}))
    client.get(name + "-other")
    gone(client, name + "-other")
    assert leases_of(client, os.getpid()).count(f"{name}@2") == 1
    del kept
    gone(client, name)


# Results that are copies, and so keep nothing.
COPIES = {
    "polars": lambda frame: _engines.to_polars(frame)["n"] + 1,
    "pandas": lambda frame: _engines.to_pandas(frame)["n"] + 1,
    "duckdb": lambda frame: _engines.to_duckdb(frame).fetchall(),
    "pyarrow": lambda frame: _engines.to_dataset(frame).to_table(filter=pyarrow.compute.field("n") == 999_007),
}


@pytest.mark.parametrize("engine", COPIES)
def test_a_copy_keeps_no_lease(client, name, engine):
    pytest.importorskip(engine)
    put_in_batches(client, name, TWO_BATCHES.slice(999_000, 2000))
    kept = COPIES[engine](client.get(name))
    gone(client, name)
    assert len(kept) > 0


def gone(client, name: str):
    gc.collect()
    mine = lambda: [lease for lease in leases_of(client, os.getpid()) if lease.startswith(f"{name}@")]  # noqa: E731
    eventually(lambda: not mine(), f"the lease on {name} to be released")


@pytest.mark.parametrize("engine", ["polars", "pandas", "duckdb"])
def test_an_engine_that_is_missing_is_named(monkeypatch, frame, engine):
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(ImportError, match=f"needs {engine}.*pip install {engine}"):
        getattr(_engines, f"to_{engine}")(frame)


def test_a_polars_that_is_too_old_is_told(monkeypatch, frame):
    polars = pytest.importorskip("polars")
    monkeypatch.setitem(sys.modules, "polars.io.plugins", None)
    with pytest.raises(ImportError, match=f"needs Polars 1.32 or newer; found {re.escape(polars.__version__)}"):
        _engines.to_polars_lazy(frame)


def test_no_rows_and_no_batches(client, name):
    client.put(name, TWO_BATCHES.slice(0, 0))
    frame = client.get(name)
    assert _engines.to_dataset(frame).to_table().schema == TWO_BATCHES.schema
    for engine in ("polars", "pandas", "duckdb"):
        pytest.importorskip(engine)
        empty = getattr(_engines, f"to_{engine}")(frame)
        assert (len(empty), list(empty.columns)) == (0, ["n", "s"])
    assert _engines.to_polars_lazy(frame).collect().shape == (0, 2)

def blocks() -> list:
    """The Python examples of the page."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks())))
def test_the_examples_of_the_page_run(agent, client, number):
    amounts, countries = [n / 4 for n in range(1000)], ["AT", "DE", "FR", "IT"] * 250
    client.put("sales/orders", pa.table({"id": range(1000), "amount": amounts, "country": countries}))
    example = blocks()[number]
    engine = re.search(r"to_(polars|pandas|duckdb)|$", example)[1]
    if engine:
        pytest.importorskip(engine)
    environment = dict(os.environ, FARROW_ADDRESS=agent.address)
    done = subprocess.run([sys.executable, "-c", example], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
