"""The names that people who know data frames try first, and how things are printed."""

import asyncio
import decimal
import json
import os
import re

import farrow
import farrow.aio
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import eventually, leases_of

TABLE = pa.table({"n": range(1000), "s": [f"row {n}" for n in range(1000)], "x": [n / 2 for n in range(1000)]})
TWICE = pa.concat_tables([TABLE, TABLE])


@pytest.fixture
def frame(client, name):
    client.put(name, TABLE)
    # Of two batches.
    client.append(name, TABLE)
    return client.get(name)


@pytest.fixture(params=["mapped", "streamed"])
def either(request, agent, name, frame):
    """The frame, mapped and streamed."""
    if request.param == "mapped":
        yield frame
    else:
        with farrow.connect(f"http://{agent.tcp}") as far:
            yield far.get(name)


def test_its_shape(either):
    assert either.column_names == either.columns == ["n", "s", "x"]
    assert (either.num_rows, either.num_columns, either.shape, len(either)) == (2000, 3, (2000, 3), 2000)
    assert either.select(["x"]).shape == (2000, 1)
    assert either.schema.equals(TABLE.schema) and either.nbytes > 2000 * 16
    assert "n" in either and "N" not in either and 0 not in either


def test_rows_of_it(either):
    assert either.head().equals(TABLE.slice(0, 5))
    for n in (0, 1, 999, 1000, 1001, 2000, 3000):
        assert either.head(n).equals(TWICE.slice(0, n))
        for offset in (0, 1, 999, 1000, 1001, 1999, 2000, 3000):
            assert either.slice(offset, n).equals(TWICE.slice(offset, n)), (offset, n)
            assert either.slice(offset).equals(TWICE.slice(offset))
    assert either[10:1010].equals(TWICE.slice(10, 1000))
    assert either[-3:].equals(TWICE.slice(1997)) and either[5:1].num_rows == 0
    for n in (0, 1, 1001, 3000):
        assert either.tail(n).equals(TWICE.slice(max(0, 2000 - n)))
    for bad in (lambda: either.slice(-1), lambda: either.slice(0, -1), lambda: either.head(-1), lambda: either.tail(-1)):
        with pytest.raises(farrow.InvalidArgument, match="no negative number of them; found -1"):
            bad()
    with pytest.raises(TypeError, match="rows without step"):
        either[::2]


def test_the_first_rows_are_not_copied(frame):
    table = frame.slice(990, 20)
    (start, size), *_ = frame.mappings
    assert start <= table["n"].chunk(0).buffers()[1].address < start + size


def test_columns_of_it(either):
    assert either["n"].equals(TWICE["n"])
    assert either[["x", "n"]].to_arrow().equals(TWICE.select(["x", "n"]))
    with pytest.raises(KeyError, match="no column 'y'"):
        either[["y"]]
    with pytest.raises(TypeError, match="column's name"):
        either[[0]]


def test_rows_that_match(either):
    assert either.filter(pc.field("n") >= 998)["n"].to_pylist() == [998, 999, 998, 999]
    chunked = pc.equal(either["n"], 7)
    mask = chunked.to_pylist()
    numbers = np.array(mask)
    for each in (chunked, chunked.combine_chunks(), mask, tuple(mask), numbers, pd.Series(mask), pl.Series(mask)):
        assert either.filter(each)["s"].to_pylist() == ["row 7", "row 7"], type(each)
    nulls = [None, *mask[1:]]
    for each in (nulls, pd.Series(nulls, dtype="boolean"), pl.Series(nulls)):
        assert either.filter(each).num_rows == 2
    for other in (pl.col("n") > 3, "n > 3", lambda row: True, numbers.reshape(2, 1000)):
        with pytest.raises(farrow.InvalidType, match=r"filter takes .* found .*to_polars_lazy\(\)"):
            either.filter(other)
    with pytest.raises(farrow.InvalidType, match="a mask of bool; found a numpy.ndarray of int64"):
        either.filter(numbers.astype("int64"))
    with pytest.raises(farrow.InvalidArgument, match="found 1999 for 2000"):
        either.filter(mask[1:])


def test_it_is_no_sequence_and_no_array(either):
    for guess in (pd.DataFrame, pd.Series, np.asarray, np.array):
        with pytest.raises(farrow.InvalidType, match=r"no array. Try: frame.to_pandas\(\)"):
            guess(either)
    for guess in (list, iter, set):
        with pytest.raises(farrow.InvalidType, match=r"no sequence. .*frame.to_batches\(\)"):
            guess(either)
    assert pl.DataFrame(either).equals(either.to_polars()) and pl.DataFrame(either).shape == (2000, 3)
    assert pa.table(either).equals(TWICE) and either.to_reader().read_all().equals(TWICE)
    assert either.to_pydict() == TWICE.to_pydict() and either.to_pylist() == TWICE.to_pylist()
    assert either.column("s").equals(TWICE["s"])


def test_a_selection_has_the_bytes_of_what_is_selected(agent, client, frame):
    whole = frame.nbytes
    with farrow.connect(f"http://{agent.tcp}") as far:
        for get in (client.get, far.get):
            numbers = get(frame.name, columns=["n"])
            assert numbers.nbytes == get(frame.name).select(["n"]).nbytes and 16_000 <= numbers.nbytes < 17_000
            assert 800 <= get(frame.name, columns=["n"], rows=(950, 1050)).nbytes < 1000
            assert get(frame.name, rows=(0, 0)).nbytes == get(frame.name, columns=[]).nbytes == 0
            assert f"{numbers.nbytes} bytes" in repr(numbers) and get(frame.name).nbytes == whole


def test_the_pandas_frame_that_was_put(client, name):
    data = pd.DataFrame({"n": [1, 2], "s": ["a", "b"]}, index=pd.Index(["x", "y"], name="key"))
    client.put(name, data)
    frame = client.get(name)
    pd.testing.assert_frame_equal(frame.to_pandas(types_mapper=None), data)
    assert isinstance(frame.to_pandas()["n"].dtype, pd.ArrowDtype)
    assert frame.to_pandas(ignore_metadata=True).columns.tolist() == ["n", "s", "key"]


def test_its_batches(either):
    assert [batch.num_rows for batch in either.to_batches()] == [1000, 1000]
    assert [batch.num_rows for batch in either.to_batches(600)] == [600, 400, 600, 400]
    assert pa.Table.from_batches(either.to_batches(7)).equals(TWICE)


def test_an_empty_frame(client, name):
    client.put(name, pa.Table.from_batches([], TABLE.schema))
    frame = client.get(name)
    assert (frame.shape, frame.head().equals(TABLE.slice(0, 0)), frame.to_pandas().shape) == ((0, 3), True, (0, 3))
    assert "<td>n</td><td>int64</td>" in frame._repr_html_()


def test_a_closed_frame(agent, client, name, frame):
    column = frame["n"]
    with frame as same:
        assert same is frame
    for use in (lambda: frame.num_rows, frame.to_arrow, lambda: frame["n"], lambda: list(frame.to_batches()), frame.__arrow_c_stream__):
        with pytest.raises(farrow.Closed, match=f"{name}@2 is closed: get it again"):
            use()
    assert repr(frame) == f"<farrow.Frame {name}@2: closed>" and "closed" in frame._repr_html_()
    frame.close()
    assert column.equals(TWICE["n"]), "arrays stay"
    del column, same
    mine = f"{name}@2"
    eventually(lambda: mine not in leases_of(client, os.getpid()), "the lease to be released")


def test_whether_a_frame_exists(agent, client, name):
    assert not client.exists(name)
    client.put(name, TABLE)
    assert client.exists(name) and client.exists(f"{name}@1") and not client.exists(f"{name}@2")
    with pytest.raises(farrow.InvalidName):
        client.exists("a//b")

    async def awaited():
        async with await farrow.aio.connect(agent.address) as other:
            assert repr(other) == f"<farrow.Client: {agent.address}>"
            return await other.exists(name), await other.exists(f"{name}/none")

    assert asyncio.run(awaited()) == (True, False)


def test_categories_stay_categories(client, name):
    colors = pd.Categorical(["red", "green", None, "red"], categories=["green", "blue", "red"], ordered=True)
    data = pd.DataFrame({"color": colors, "n": [1, 2, 3, 4]})
    client.put(name, data)
    found = client.get(name).to_pandas()
    assert list(found["color"].cat.categories) == ["green", "blue", "red"] and found["color"].cat.ordered
    assert found["color"].isna().tolist() == [False, False, True, False]
    assert isinstance(found["n"].dtype, pd.ArrowDtype)
    client.append(name, client.get(name).to_arrow())
    assert client.get(name).to_pandas()["color"].tolist()[4:] == ["red", "green", np.nan, "red"]


def test_parquet_of_pandas_and_pyarrow_is_read_as_they_read_it(agent, client, name, tmp_path):
    amounts = [decimal.Decimal("1.10"), None, decimal.Decimal("2.20")]
    columns = {
        "truth": pd.Series(pd.Categorical([True, None, False])),
        "small": pa.array(amounts, pa.decimal128(5, 2)).dictionary_encode(),
        "large": pa.array(amounts, pa.decimal256(50, 2)).dictionary_encode(),
        "half": pa.DictionaryArray.from_arrays([0, 1, 0], pa.array(np.array([1.5, 2], np.float16))),
        "text": pa.array(["a", None, "a"]).dictionary_encode(),
    }
    flat = pa.table({key: pa.array(column) for key, column in columns.items()})
    listed = [pa.ListArray.from_arrays([0, 1, 3], column.combine_chunks()) for column in flat]
    for data, describes in ((flat, True), (pa.table(listed, flat.column_names), True), (flat, False)):
        file = tmp_path / "rows.parquet"
        pq.write_table(data, file, store_schema=describes)
        agent.command("put", name, str(file))
        found, expected = client.get(name).to_arrow(), pq.read_table(file)
        assert found.to_pylist() == expected.to_pylist()
        assert found.schema.types == expected.schema.types


def test_dictionaries_that_are_no_categories_stay_as_they_are(client, name):
    words = {
        "repeated": pa.DictionaryArray.from_arrays([0, 1, 1], ["a", "a"]),
        "null": pa.DictionaryArray.from_arrays([0, 1, 1], ["a", None]),
        "categories": pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), ["a", "b"]),
    }
    client.put(name, pa.table(words))
    found = client.get(name).to_pandas()
    assert [str(kind).partition("[")[0].partition("<")[0] for kind in found.dtypes] == [
        "dictionary",
        "dictionary",
        "category",
    ]
    assert found["repeated"].tolist() == ["a", "a", "a"] and found["categories"].tolist() == ["a", "b", "b"]


def test_a_lazy_frame_of_extension_types(client, name):
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    if hasattr(pa, "uuid"):
        ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16), b"x" * 16], pa.binary(16)))
        nested = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), pa.StructArray.from_arrays([ids], ["u"]))
        client.put(f"{name}/nested", pa.table({"l": nested}))
    client.put(f"{name}/tensors", pa.table({"t": tensors}))
    for info in client.list(name):
        frame = client.get(info.name)
        try:
            eager = frame.to_polars()
        except BaseException as error:
            # Before 1.36 Polars knows no extension types, and panics.
            assert tuple(map(int, pl.__version__.split(".")[:2])) < (1, 36), error
            continue
        assert frame.to_polars_lazy().collect().equals(eager)


def test_how_clients_are_printed(agent):
    client = farrow.connect(agent.address)
    assert repr(client) == f"<farrow.Client: {agent.address}>"
    client.close()
    assert repr(client) == f"<farrow.Client: {agent.address}, closed>"


def test_how_usage_and_leases_are_printed(client, name, frame):
    usage = repr(client.usage())
    assert re.match(r"<farrow\.Usage of [\d.]+ MiB: used [\d.]+ \w+, held .* leases?; catalog .* entries>$", usage), usage
    assert not re.search(r"\b1 \w+s\b", repr(client.put(name + "/one", pa.table({"n": [1]}))) + repr(client.get(name + "/one")))
    (mine,) = (lease for lease in client.leases() if lease.name == name)
    start = f"<farrow.Lease {mine.lease}: {name}@2, "
    assert repr(mine).startswith(start) and f"mapped by process {mine.pid} of user {mine.uid} for" in repr(mine)
    assert repr([mine]) == f"[{mine!r}]"


def test_usage_has_what_the_command_has(agent, client, frame):
    found = json.loads(agent.command("df", "--json"))
    usage = client.usage()._asdict()
    assert usage.keys() == found.keys() and 0 < usage["catalog_live"] <= usage["catalog_committed"]
    assert {**usage, "leases": 0} == {**found, "leases": 0}


def test_how_a_put_is_printed(client, name):
    info = client.put(name, TABLE)
    assert re.fullmatch(rf"<farrow\.Info {name}@1: 1,000 rows, [\d.]+ KiB>", repr(info)), repr(info)
    (found,) = client.versions(name)
    assert re.fullmatch(rf"<farrow\.VersionInfo {name}@1: 1,000 rows, .* its own, \d leases>", repr(found)), repr(found)
    # The answer to who may publish the frame and not read it.
    untold = farrow._answers.info((name, 7, None, 0, False, None, 0, 0, "none", 0, None))
    assert (untold.rows, untold.committed_at, untold.segments) == (None, None, 0)
    assert repr(untold) == f"<farrow.Info {name}@7: rows and bytes are told to those who may read it>"


def test_a_notebook_shows_the_first_rows(either):
    shown = either._repr_html_()
    assert "<tr><td>4</td><td>row 4</td><td>2.0</td></tr>" in shown and "row 5" not in shown
    assert "1,995 more rows" in shown and "<th></th>" not in shown and "<td></td>" not in shown


def test_a_notebook_shows_a_bounded_part(client, name):
    long = "&" * 20_000
    wide = {f"column-{n}": pa.array([long]) for n in range(60)}
    rest = {
        "list": [[long] * 500],
        "struct": [{f"f{n}": long for n in range(100)}],
        "map": pa.array([[(long, 1)] * 500], pa.map_(pa.string(), pa.int64())),
        "binary": [long.encode()],
        "dictionary": pa.array([long]).dictionary_encode(),
        "none": [None],
        "nothing": pa.nulls(1),
        long: [1],
    }
    for number, columns in enumerate((rest, wide)):
        client.put(f"{name}/{number}", pa.table(columns))
        shown = client.get(f"{name}/{number}")._repr_html_()
        # All of it is 100 MB as HTML has it.
        assert len(shown) < 20_000, len(shown)
    assert "40 more columns" in shown and "…" in shown


def test_values_of_every_kind_are_shown(client, name):
    union = pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array(["u"])])
    values = {
        "text": pa.array(["x" * 60, "y" * 61, None]).take(pa.array([0])),
        "view": pa.array(["<view>"], pa.string_view()),
        "list": pa.array([[1, 2, 3, 4, 5]]),
        "fixed": pa.array([[1, 2]], pa.list_(pa.int8(), 2)),
        "struct": pa.array([{"a": 1, "b": None}]),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        "time": pa.array([0], pa.timestamp("us", "UTC")),
        "bytes": pa.array([b"\x00"]),
        "union": union,
        "runs": pa.RunEndEncodedArray.from_arrays([1], pa.array(["r"])),
        "words": pa.array(["w"]).dictionary_encode(),
    }
    client.put(name, pa.table(values))
    shown = client.get(name)._repr_html_()
    for cell in (
        "x" * 60,
        "&lt;view&gt;",
        "[1, 2, 3, 4, …]",
        "[1, 2]",
        "{a: 1, b: null}",
        "[{key: k, value: 1}]",
        "1970-01-01 00:00:00+00:00",
        "b&#x27;\\x00&#x27;",
        "u",
        "r",
        "w",
    ):
        assert f"<td>{cell}</td>" in shown, cell
