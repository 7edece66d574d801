"""Whatever its library calls tabular is put, or refused by name with what to put instead."""

import asyncio
import io

import duckdb
import farrow
import farrow.aio
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

TABLE = pa.table({"n": [1, 2, 3], "s": ["x", None, "z"]})
ROWS = TABLE.to_pylist()


def parquet() -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(TABLE, file)
    return file


def ipc() -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)
    return sink.getvalue()


def query() -> str:
    return "SELECT n::BIGINT AS n, s FROM (VALUES (1, 'x'), (2, NULL), (3, 'z')) t(n, s)"


def structured(text: str = "z") -> np.ndarray:
    return np.array([(1, "x"), (2, ""), (3, text)], dtype=[("n", "i8"), ("s", "U8")])


TABULAR = {
    "dict of columns": lambda: {"n": [1, 2, 3], "s": np.array(["x", None, "z"], dtype=object)},
    "list of dicts": lambda: ROWS,
    "list of dicts with other keys": lambda: [{"n": 1, "s": "x"}, {"n": 2}, {"s": "z", "n": 3}],
    "first row lacks a column": lambda: [{"n": 1}, {"n": 2, "s": None}, {"n": 3, "s": "z"}],
    "pandas frame": lambda: TABLE.to_pandas(),
    "pandas chunks": lambda: pd.read_csv(io.StringIO("n,s\n1,x\n2,\n3,z\n"), chunksize=2),
    "list of pandas frames": lambda: [TABLE.slice(0, 2).to_pandas(), TABLE.slice(2).to_pandas()],
    "polars frame": lambda: pl.from_arrow(TABLE),
    "polars lazy frame": lambda: pl.from_arrow(TABLE).lazy().filter(pl.col("n") > 0),
    "polars frames": lambda: (part for part in pl.from_arrow(TABLE).iter_slices(2)),
    "dataset": lambda: ds.dataset(TABLE),
    "scanner": lambda: ds.dataset(TABLE).scanner(columns=["n", "s"]),
    "parquet file": lambda: pq.ParquetFile(parquet()),
    "ipc file": lambda: pa.ipc.open_file(ipc()),
    "struct array": lambda: TABLE.to_struct_array().combine_chunks(),
    "chunks of structs": lambda: pa.chunked_array(
        [pa.StructArray.from_arrays(batch.columns, TABLE.schema.names) for batch in TABLE.to_batches(max_chunksize=2)]
    ),
    "duckdb relation": lambda: duckdb.sql(query()),
    "duckdb result": lambda: duckdb.connect().execute(query()),
    "numpy structured": structured,
    "numpy records": lambda: structured().view(np.recarray),
}


def expected(rows: list, what: str) -> list:
    if what.startswith("numpy"):
        return [dict(row, s=row["s"] or "") for row in rows]
    if what == "first row lacks a column":
        return [dict(row, s=row["s"] if row["n"] == 3 else None) for row in rows]
    return rows


@pytest.mark.parametrize("what", TABULAR)
def test_what_is_tabular_is_put(agent, client, name, what):
    # pandas has NaN for what is missing in a file of text.
    assert client.put(name, TABULAR[what]()).rows == 3
    assert client.get(name).select(["n", "s"]).to_arrow().to_pylist() == expected(ROWS, what)

    async def again():
        async with await farrow.aio.connect(agent.address) as awaited:
            assert (await awaited.put(f"{name}/aio", TABULAR[what]())).rows == 3

    asyncio.run(again())
    told = []
    client.put(f"{name}/progress", TABULAR[what](), progress=lambda done, total: told.append(done))
    assert client.stat(f"{name}/progress").rows == 3 and told[-1] > 0


COLUMN = pa.array([1, 2])

REFUSED = {
    "pandas Series": (lambda: pd.Series([1], name="a"), r"pandas.*Series cannot be put.*series\.to_frame\(\)"),
    "pandas Index": (lambda: pd.Index([1]), r"Index cannot be put.*index\.to_frame\(\)"),
    "polars Series": (lambda: pl.Series("a", [1]), r"polars.*Series cannot be put.*series\.to_frame\(\)"),
    "chunked array": (lambda: pa.chunked_array([COLUMN]), r'ChunkedArray cannot be put: it is one column.*"column"'),
    "array": (lambda: COLUMN, r'Int64Array cannot be put: it is one column, of int64.*"column"'),
    "dictionary array": (lambda: pa.array(["a"]).dictionary_encode(), "DictionaryArray cannot be put"),
    "schema": (lambda: TABLE.schema, r"Schema cannot be put.*Table\.from_batches\(\[\], schema\)"),
    "null struct": (lambda: pa.array([{"a": 1}, None]), "1 of its 2 structs are null"),
    "null struct of polars": (lambda: pl.Series("a", [{"a": 1}, None]), "null"),
    "null struct in chunks": (lambda: pa.chunked_array([[{"a": 1}], [None, {"a": 3}]]), "1 of its 3 structs are null"),
    "numpy": (lambda: np.arange(3), "ndarray cannot be put: it is of 1 dimension and int64"),
    "structured matrix": (lambda: structured().reshape(1, 3), "of 2 dimensions"),
    "path": (lambda: "/tmp/a.parquet", r"str cannot be put.*pyarrow\.dataset"),
    "uneven columns": (lambda: {"a": [1], "b": [1, 2]}, "dict cannot be put"),
    "scalar column": (lambda: {"a": 1}, r"^dict cannot be put: its column 'a' is a single int\. .* put\(name, \[row\]\)"),
    "text column": (lambda: {"a": "abc"}, r"^dict cannot be put: its column 'a' is a single str\."),
    "open file": (lambda: io.BytesIO(b"PAR1"), r"BytesIO cannot be put: it has no rows.*ParquetFile\(file\)"),
    "mixed column": (
        lambda: pd.DataFrame({"a": [1, "x"]}),
        "DataFrame cannot be put: Conversion failed for column a with type object: Could not convert 'x'",
    ),
    "dicts from a generator": (lambda: (row for row in ROWS), r"found a dict in it.*\[\*rows\]"),
    "generator that ended": (lambda: iter(()), "empty"),
    "chunks that were read": (lambda: read_chunks(), "empty TextFileReader.*read before"),
    "reader that was read": (lambda: read_reader(), "it has been read already"),
    "list of a reader that was read": (lambda: [read_reader()], "it has been read already"),
    "metadata that is no text": (
        lambda: TABLE.replace_schema_metadata({b"k": b"\xff"}),
        "metadata of the schema: key or value of b'k' is no text in UTF-8. Try:",
    ),
    "metadata of a field": (
        lambda: pa.schema([pa.field("f", pa.int8(), metadata={b"\xff": b"v"})]).empty_table(),
        r"metadata of column 'f': key or value of b'\\xff'",
    ),
}


def read_reader() -> pa.RecordBatchReader:
    reader = TABLE.to_reader()
    reader.read_all()
    return reader


def read_chunks():
    chunks = pd.read_csv(io.StringIO("x\n1\n2\n"), chunksize=2)
    assert len(list(chunks)) == 1
    return chunks


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_tabular_is_refused_by_name(agent, client, name, what):
    make, says = REFUSED[what]
    with pytest.raises(farrow.InvalidData, match=says):
        client.put(name, make())
    with pytest.raises(farrow.InvalidData, match=says):
        client.put(name, make(), progress=lambda done, total: None)

    async def again():
        async with await farrow.aio.connect(agent.address) as awaited:
            with pytest.raises(farrow.InvalidData, match=says):
                await awaited.put(name, make())

    asyncio.run(again())
    assert not client.exists(name)


def test_what_advice_says_works(client, name, tmp_path):
    for number, column in enumerate((pd.Series([1, 2], name="a"), pd.Index([1, 2], name="a"), pl.Series("a", [1, 2]))):
        client.put(f"{name}/{number}", column.to_frame())
        assert client.get(f"{name}/{number}")["a"].to_pylist() == [1, 2]
    for number, column in enumerate((COLUMN, pa.chunked_array([COLUMN]), np.array([1, 2]))):
        client.put(f"{name}/{number}", {"column": column})
        assert client.get(f"{name}/{number}")["column"].to_pylist() == [1, 2]
    client.put(f"{name}/rows", [*(row for row in ROWS)])
    client.put(f"{name}/none", pa.Table.from_batches([], TABLE.schema))
    assert client.get(f"{name}/none").num_rows == 0
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE, path)
    client.put(f"{name}/file", ds.dataset(path))
    assert client.get(f"{name}/file").to_arrow().to_pylist() == ROWS


def test_a_query_without_rows_is_a_frame_without_rows(client, name):
    empty = {
        "dataset": ds.dataset(TABLE).scanner(filter=ds.field("n") > 3),
        "lazy": pl.from_arrow(TABLE).lazy().filter(pl.col("n") > 3),
        "polars": pl.from_arrow(TABLE).clear(),
        "duckdb": duckdb.sql(f"SELECT * FROM ({query()}) WHERE n > 3"),
        "table": TABLE.slice(0, 0),
    }
    for what, data in empty.items():
        client.put(f"{name}/{what}", data)
        assert (client.get(f"{name}/{what}").num_rows, client.get(f"{name}/{what}").schema.names) == (0, ["n", "s"])


def test_a_result_of_duckdb_that_was_read_is_refused(client, name):
    with duckdb.connect() as connection, pytest.raises(farrow.InvalidData, match="DuckDBPyConnection cannot be put"):
        connection.execute(query()).fetchall()
        client.put(name, connection)


def test_a_column_of_nothing(client, name):
    data = pl.DataFrame({"a": [1, 2], "empty": [None, None], "nested": [[None], []], "in": [{"x": None}, {"x": None}]})
    assert data.schema["empty"] == pl.Null
    client.put(name, data)
    frame = client.get(name)
    assert frame.schema.field("empty").type == pa.null()
    assert frame.to_polars().equals(data)
    client.put(name, data.lazy())
    client.put(name, [data, data])
    assert client.get(name).to_polars().equals(pl.concat([data, data]))


@pytest.mark.skipif(not hasattr(pl, "Int128"), reason="this Polars has no Int128")
def test_a_type_of_polars_own(client, name):
    data = pl.DataFrame({"a": pl.Series([1], dtype=pl.Int128)})
    with pytest.raises(farrow.InvalidData, match=r"polars.*DataFrame cannot be put.*Decimal\(38, 0\)"):
        client.put(name, data)
    client.put(name, data.cast({pl.Int128: pl.Decimal(38, 0)}))
    assert client.get(name).to_polars()["a"].to_list() == [1]


class Broken:
    """A library whose export fails."""

    def __init__(self, error: BaseException):
        self.error = error

    def __arrow_c_stream__(self, requested_schema=None):
        raise self.error


class PanicException(BaseException):
    """Named as the panics of libraries in Rust are."""


def test_an_export_that_fails_names_what_it_was_of(client, name):
    for error in (RuntimeError("odd"), PanicException("odd")):
        with pytest.raises(farrow.InvalidData, match="Broken cannot be put: odd") as raised:
            client.put(name, Broken(error))
        assert raised.value.__cause__ is error
    with pytest.raises(KeyboardInterrupt):
        client.put(name, Broken(KeyboardInterrupt()))
    with pytest.raises(farrow.Forked):
        client.put(name, Broken(farrow.Forked("of the source")))


def test_a_writer_takes_the_same(client, name):
    schema = pa.schema({"n": pa.int64()})
    with client.writer(name, schema) as writer:
        writer.write({"n": [1]})
        writer.write([{"n": 2}])
        writer.write(pd.DataFrame({"n": [3]}))
        writer.write(ds.dataset(pa.table({"n": [4]})))
    assert client.get(name)["n"].to_pylist() == [1, 2, 3, 4]
    with pytest.raises(farrow.InvalidData, match="metadata of the schema: key or value of b'k'"):
        client.writer(name, schema.with_metadata({b"k": b"\xff"}))
    with pytest.raises(farrow.Closed, match="finished or aborted"):
        writer.write({"n": [5]})


def union_without_rows() -> pa.Table:
    """A batch without rows of a union, as files have it: pyarrow's own count of its bytes ends the process."""
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    schema = pa.schema([("u", union.type)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([union.slice(0, 0)], schema=schema))
        writer.write_batch(pa.record_batch([union], schema=schema))
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def test_bytes_are_counted_by_farrow(client, name):
    client.put(name, union_without_rows())
    told = []
    client.put(name, union_without_rows(), progress=lambda done, total: told.append((done, total)))
    assert client.get(name).to_arrow().to_pylist() == [{"u": 1}]
    # A type id and an int64.
    assert told[-1] == (9, 9)
    views = pa.table({"v": pa.array(["x" * 100] * 10, pa.string_view())})
    client.put(name, views, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (1160, 1160)
