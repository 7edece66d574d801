"""Refusals are farrow's own errors, of one short line that says what to do."""

import asyncio
import datetime
import math
import pathlib
import pickle
import threading

import duckdb
import farrow
import farrow.aio
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

TABLE = pa.table({"n": [1, 2, 3]})
SURROGATE = "a\ud800"


async def batches():
    """An asynchronous iterable."""
    yield TABLE


def refused(kind, call, match=None):
    """Calls, expects an error of this kind, and returns its message."""
    with pytest.raises(kind, match=match) as raised:
        call()
    assert isinstance(raised.value, farrow.Error)
    return str(raised.value)


def test_arguments_of_other_kinds(client, name, agent):
    refused(farrow.InvalidData, lambda: client.put(name, batches()), "farrow.aio's client")
    client.put(name, TABLE)
    frame = client.get(name)

    async def get():
        other = await farrow.aio.connect(agent.address)
        await other.get(SURROGATE)

    calls = [
        lambda: client.get(SURROGATE),
        lambda: client.get(name, columns=[SURROGATE]),
        lambda: client.put(SURROGATE, TABLE),
        lambda: client.list(SURROGATE),
        lambda: client.snapshot([SURROGATE]),
        lambda: farrow.connect(SURROGATE),
        lambda: frame.select([SURROGATE]),
        lambda: frame[SURROGATE],
        lambda: asyncio.run(get()),
    ]
    for call in calls:
        assert "the surrogate '\\ud800' at 1" in refused(farrow.InvalidArgument, call)
    for call in (lambda: client.retain(name, -1), lambda: client.grow(-5), lambda: client.grow(1 << 64)):
        refused(farrow.InvalidArgument, call, "whole number from 0 on")
    refused(farrow.OutOfRange, lambda: frame.batch(-1), "batch -1")
    # Programs that expect Python's own go on.
    assert issubclass(farrow.InvalidArgument, ValueError) and issubclass(farrow.OutOfRange, IndexError)


def test_addresses(client, name, agent, tmp_path, monkeypatch):
    client.put(name, TABLE)
    told = refused(farrow.InvalidArgument, lambda: farrow.connect("foo:bar:baz"), "HOST:PORT")
    assert told.endswith("; a socket of that name is ./foo:bar:baz")
    for address in ("", "ftp://x:1", "http://noport", "127.0.0.1"):
        refused(farrow.InvalidArgument, lambda: farrow.connect(address), "PORT")
    refused(farrow.InvalidType, lambda: farrow.connect(8815), "a str, or the path of a unix socket; found a int")

    # A path is one, whatever its name is.
    link = tmp_path / "localhost:1"
    link.symlink_to(agent.address)
    monkeypatch.chdir(tmp_path)

    async def awaited(path):
        async with farrow.aio.connect(path) as other:
            return await other.exists(name)

    for path in (link, pathlib.Path(link.name)):
        with farrow.connect(path) as other:
            assert other.exists(name)
        assert asyncio.run(awaited(path))


def test_the_cause_comes_before_the_cure(tmp_path):
    told = refused(farrow.Unavailable, lambda: farrow.connect(tmp_path / "none"))
    assert told.endswith("or name another address, by $FARROW_ADDRESS for example"), told
    assert "none: there is no socket. Start one: `farrow-agent " in told


def test_columns_are_those_of_the_call(client, name, agent):
    client.put(name, pa.table({"a": [1], "b": [2], "c": [3]}))
    wanted = ["a", "b"]
    sources = [wanted, (each for each in ("a", "b")), {"a": 0, "b": 0}.keys()]

    async def got(columns):
        async with farrow.aio.connect(agent.address) as other:
            return await other.get(name, columns=columns)

    frames = [client.get(name, columns=columns) for columns in sources]
    frames.append(asyncio.run(got(each for each in ("a", "b"))))
    frames.append(client.get(name).select(wanted))
    wanted.append("c")
    for frame in frames:
        assert frame.column_names == ["a", "b"]
        assert pickle.loads(pickle.dumps(frame)).column_names == ["a", "b"]


def test_messages_are_short_lines(client, name):
    client.put(name, TABLE)
    frame = client.get(name)
    long, lines = "q" * 100_000, "é\n\r\u2028" * 10_000

    def failing():
        yield from TABLE.to_batches()
        raise RuntimeError(lines)

    def failing_duckdb():
        result = duckdb.sql(f"SELECT error('{long}') AS n")
        return client.put(name, result)

    class Odd:
        def __repr__(self):
            return lines

    plan = pl.LazyFrame({"a": [1]})
    for number in range(300):
        plan = plan.with_columns(pl.col("a").alias(f"column {number}\n"))
    calls = {
        "get": lambda: client.get(long),
        "select": lambda: frame.select([lines]),
        "columns": lambda: client.get(name, columns=[long]),
        "reader": lambda: client.put(name, pa.RecordBatchReader.from_batches(TABLE.schema, failing())),
        "plan": lambda: client.put(name, plan.select("none")),
        "duckdb": failing_duckdb,
        "repr": lambda: client.retain(name, Odd()),
        "rows": lambda: client.get(name, rows=[Odd()] * 3),
        "connect": lambda: farrow.connect("/" + long),
        "writer": lambda: client.writer(name, TABLE.schema).write(pa.table({lines: [1]})),
    }
    for what, call in calls.items():
        told = refused(farrow.Error, call)
        assert len(told.splitlines()) == 1 and len(told.encode()) < 4096, f"{what}: {told}"
    # Both ends are kept.
    told = refused(farrow.NoColumn, calls["columns"])
    assert told.startswith(f"`{name}@1` has no column `qqq") and told.endswith("…`; it has `n`") and len(told) < 400
    assert str(farrow.Error("as it is")) == "as it is"
    assert farrow.Error().args == ()


def test_the_empty_prefix_is_not_dropped(client, name):
    client.put(name, TABLE)
    told = refused(farrow.InvalidData, lambda: client.drop(prefix=""))
    assert told == "drop: the prefix is empty, which would be every frame. For that: drop(prefix='*')"
    assert client.exists(name)


def test_a_prefix_has_no_wildcards_but_a_star_at_its_end(client, name):
    client.put(name, TABLE)
    calls = {
        "list": client.list,
        "watch": client.watch,
        "retentions": client.retentions,
        "expire": lambda prefix: client.expire(prefix, older_than=0),
        "drop": lambda prefix: client.drop(prefix=prefix),
        "retain": lambda prefix: client.retain(prefix=prefix, last=1),
    }
    start = name[:-1]
    for call in calls.values():
        for pattern in (f"{start}*/a", f"{start}?"):
            told = refused(farrow.InvalidName, lambda: call(pattern))
            assert told.endswith(f"there are no other wildcards. Try: '{start}*'"), told
        assert refused(farrow.InvalidName, lambda: call("/")) == 'bad prefix "/": it has an empty path component'
    assert client.list(f"{start}*") == [client.stat(name)]
    assert "``?`` are refused" in farrow.Client.list.__doc__


def test_waiting_for_ever(client, name):
    putting = threading.Timer(0.2, client.put, (name, TABLE))
    putting.start()
    assert client.get(name, wait=math.inf).num_rows == 3
    putting.join()
    refused(ValueError, lambda: client.expire(name, math.inf), "less than 2")
    refused(ValueError, lambda: client.get(name, wait=-1), "at least 0")
    assert client.get(name, wait=datetime.timedelta.max).version == 1


def test_arrays_of_numpy(client, name):
    structs = np.zeros((2, 2), dtype=[("a", np.int64)])
    wide = np.zeros(2, dtype=[("a", np.int64), ("b", np.int64, (2,))])
    told = refused(farrow.InvalidData, lambda: client.put(name, structs))
    assert told.endswith("Try: put(name, array.reshape(-1))")
    assert client.put(name, structs.reshape(-1)).rows == 4
    told = refused(farrow.InvalidData, lambda: client.put(name, wide))
    assert told.endswith("put(name, {column: array[column].tolist() for column in array.dtype.names})")
    assert client.put(name, {column: wide[column].tolist() for column in wide.dtype.names}).rows == 2
    assert refused(farrow.InvalidData, lambda: client.put(name, np.zeros(2))).endswith('put(name, {"column": array})')
    told = refused(farrow.InvalidData, lambda: client.put(name, np.zeros((2, 3))))
    assert told.endswith("Try: put(name, pandas.DataFrame(array))")
    assert client.put(name, pd.DataFrame(np.zeros((2, 3)))).rows == 2
    told = refused(farrow.InvalidData, lambda: client.put(name, np.zeros((2, 3, 4))))
    assert told.endswith('Try: put(name, {"column": array.reshape(-1)})')
