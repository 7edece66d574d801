"""Sources that put takes, and libraries that take a frame."""

import duckdb
import farrow
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from conftest import space

TABLE = pa.table({"n": [1, 2, 3], "s": ["x", None, "z"]})


class OnlyAStream:
    """Data of a library that knows only the C stream interface."""

    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


class OnlyAnArray:
    """Data of a library that knows only the C array interface."""

    def __arrow_c_array__(self, requested_schema=None):
        return TABLE.to_batches()[0].__arrow_c_array__(requested_schema)


SOURCES = {
    "table": lambda: TABLE,
    "batch": lambda: TABLE.to_batches()[0],
    "list of batches": lambda: TABLE.to_batches(max_chunksize=1),
    "generator of batches": lambda: iter(TABLE.to_batches(max_chunksize=1)),
    "reader": lambda: TABLE.to_reader(max_chunksize=2),
    "c stream": OnlyAStream,
    "c array": OnlyAnArray,
    "duckdb": lambda: duckdb.sql("SELECT n::BIGINT AS n, s FROM (VALUES (1, 'x'), (2, NULL), (3, 'z')) t(n, s)"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_put_takes(client, name, source):
    data = SOURCES[source]()
    if source == "duckdb" and not hasattr(data, "__arrow_c_stream__"):
        pytest.skip("this DuckDB's relations do not offer __arrow_c_stream__")
    assert client.put(name, data).rows == 3
    assert client.get(name).to_arrow().to_pylist() == TABLE.to_pylist()


def test_put_takes_polars(client, name):
    client.put(name, pl.from_arrow(TABLE))
    assert client.get(name).to_polars().equals(pl.from_arrow(TABLE))


def test_put_takes_a_frame(client, name):
    client.put(name, TABLE)
    client.put(name + "-copy", client.get(name))
    assert client.get(name + "-copy").to_arrow().equals(TABLE)


@pytest.mark.parametrize("data", [42, "text", [1, 2], [], None, {}])
def test_put_refuses_what_is_no_arrow(client, name, data):
    with pytest.raises(farrow.InvalidData):
        client.put(name, data)
    with pytest.raises(farrow.NotFound):
        client.get(name)


def test_a_stream_that_fails_publishes_nothing(client, name):
    def batches():
        yield TABLE.to_batches()[0]
        raise RuntimeError("the source broke")

    before = space(client)
    with pytest.raises((farrow.InvalidData, RuntimeError), match="the source broke"):
        client.put(name, pa.RecordBatchReader.from_batches(TABLE.schema, batches()))
    with pytest.raises(farrow.NotFound):
        client.get(name)
    assert space(client) == before


def test_polars_takes_a_frame(client, name):
    client.put(name, TABLE)
    frame = client.get(name)
    assert frame.to_polars().equals(pl.from_arrow(TABLE))
    assert pl.DataFrame(frame)["n"].sum() == 6


def test_duckdb_takes_a_frame(client, name):
    client.put(name, TABLE)
    frame = client.get(name)
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        assert connection.execute("SELECT sum(n), count(s) FROM frame").fetchall() == [(6, 2)]
    with duckdb.connect() as connection:
        connection.register("tbl", frame.to_arrow())
        assert connection.execute("SELECT s FROM tbl WHERE n = 3").fetchall() == [("z",)]


def test_pyarrow_takes_a_frame(client, name):
    client.put(name, TABLE)
    frame = client.get(name)
    assert pa.table(frame).equals(TABLE)
    assert pa.RecordBatchReader.from_stream(frame).read_all().equals(TABLE)
    assert frame.batch(0).num_rows == 3
    with pytest.raises(IndexError):
        frame.batch(1)


def test_numpy_sees_the_same_memory(client, name):
    client.put(name, TABLE)
    frame = client.get(name)
    view = frame.to_arrow()["n"].chunk(0).to_numpy(zero_copy_only=True)
    address, length = frame.mapping
    assert address <= view.ctypes.data < address + length
    assert np.array_equal(view, [1, 2, 3])
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 7
