"""What a library does not take, in or out, is told by its column, with something to do that works."""

import warnings

import duckdb
import farrow
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.compute
import pytest
from test_formats import KINDS, tables

OUT = {
    "to_polars": lambda frame: frame.to_polars(),
    "to_polars_lazy": lambda frame: frame.to_polars_lazy().collect(),
    "to_duckdb": lambda frame: frame.to_duckdb().to_arrow_table(),
    "to_pandas": lambda frame: frame.to_pandas(),
    "filter": lambda frame: frame.filter([True] + [False] * (frame.num_rows - 1)),
    "to_pylist": lambda frame: frame.to_pylist(),
    "to_pydict": lambda frame: frame.to_pydict(),
}
# Numbers that DuckDB's own time does not hold: it says so in the query, which is not ours.
OF_QUERIES = (duckdb.ConversionException,)


@pytest.mark.parametrize("kind", KINDS)
def test_out(client, name, kind):
    client.put(name, tables(kind)[0])
    frame = client.get(name)
    for way, convert in OUT.items():
        try:
            convert(frame)
        except farrow.NotConvertible as error:
            told = str(error)
            assert f"does not take column {kind!r}, of " in told and "\n" not in told, told
            converted = eval(told.partition("Try: ")[2].partition(", ")[2], {"frame": frame, "pyarrow": pyarrow})
            if isinstance(converted, farrow.Frame):
                convert(converted)
            else:
                client.put(f"{name}/converted", {kind: converted})
                convert(client.get(f"{name}/converted"))
        except OF_QUERIES:
            assert way == "to_duckdb" and kind.startswith("extreme")


def test_errors_have_both_families(client, name):
    client.put(name, pyarrow.table({"u": KINDS["dense union"], "n": [1, 2, 3]}))
    with pytest.raises(NotImplementedError) as raised:
        client.get(name).to_polars_lazy()
    assert isinstance(raised.value, farrow.Error)


def test_filters(client, name):
    views = pyarrow.array(["a", "b", None, "a"], pyarrow.string_view())
    try:
        views.cast(pyarrow.large_string())
    except pyarrow.ArrowNotImplementedError:
        pytest.skip("this pyarrow casts no views")
    runs = pyarrow.compute.run_end_encode(pyarrow.array([1, 1, 2, 2]))
    table = pyarrow.table({"s": views, "r": runs, "b": views.cast(pyarrow.binary_view())}, metadata={"about": "it"})
    client.put(name, table)
    frame = client.get(name)
    for mask in ([True, False, False, True], pyarrow.compute.field("s") == "a"):
        found = frame.filter(mask)
        assert found.schema.equals(table.schema, check_metadata=True)
        assert found.to_pylist() == [{"s": "a", "r": 1, "b": b"a"}, {"s": "a", "r": 2, "b": b"a"}]
    for wrong in (pyarrow.compute.field("none") == 1, pyarrow.compute.field("s") > 1):
        with pytest.raises(farrow.InvalidArgument, match="^filter: "):
            frame.filter(wrong)


PEOPLE = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
TIMES = pandas.DataFrame({"a": [1]}, index=pandas.DatetimeIndex(["2024-01-01"], name="t"))
ODD = polars.DataFrame({"a": [1, 2]})
REFUSED = {
    "groups of pandas": lambda: PEOPLE.groupby("b"),
    "groups of a series": lambda: PEOPLE.groupby("b")["a"],
    "windows of pandas": lambda: PEOPLE[["a"]].rolling(1),
    "samples of pandas": lambda: TIMES.resample("D"),
    "groups of Polars": lambda: ODD.group_by("a"),
    "lazy groups": lambda: ODD.lazy().group_by("a"),
    "windows of Polars": lambda: ODD.rolling("a", period="2i"),
    "dynamic groups": lambda: ODD.group_by_dynamic("a", every="2i"),
    "wide integers": lambda: ODD.cast(polars.Int128),
    "lazy wide integers": lambda: ODD.lazy().cast(polars.Int128),
    "wide integers within": lambda: ODD.with_columns(c=polars.col("a").cast(polars.Int128).implode()),
    "sparse": lambda: pandas.DataFrame({"z": [1], "c": pandas.arrays.SparseArray([1])}),
    "complex": lambda: pandas.DataFrame({"z": [1], "c": [1j]}),
    "mixed": lambda: pandas.DataFrame({"z": [1, 2], "c": [1, "x"]}),
    "mixed categories": lambda: pandas.DataFrame({"c": pandas.Categorical([1, "x"])}),
    "mixed index": lambda: pandas.DataFrame({"z": [1, 2]}, index=[1, "x"]),
    "one name twice": lambda: pandas.DataFrame([[1, 2]], columns=["c", "c"]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_in(client, name, kind):
    data = REFUSED[kind]()
    with pytest.raises(farrow.InvalidData, match="cannot be put: .*Try: .*put") as raised:
        client.put(name, data)
    told = str(raised.value)
    if isinstance(data, (polars.DataFrame, polars.LazyFrame, pandas.DataFrame)) and "index" not in kind:
        assert "'a'" in told or "column c " in told or "(column c)" in told or "'c'" in told, told
    names = {"put": client.put, "name": name, "frame": data, "groups": data, "windows": data, "polars": polars}
    assert eval(told[told.rindex(", put(") + 2 :], names).rows > 0


@pytest.mark.parametrize("data", [{"z": [1, 2], "c": [1, "x"]}, {"c": np.array([1j])}, [{"c": 1}, {"c": "x"}]])
def test_columns_of_python(client, name, data):
    with pytest.raises(farrow.InvalidData, match="cannot be put: column 'c': .* Try: "):
        client.put(name, data)


def test_results_of_duckdb_warn_of_nothing(client, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert client.put(name, duckdb.connect().execute("SELECT 1 AS n")).rows == 1


def test_writers_are_printed(client, name):
    with client.writer(name, pyarrow.schema({"n": pyarrow.int64()})) as writer:
        assert repr(writer) == f"<farrow.Writer of {name}: 0 rows, 0 B written>"
        writer.write(pyarrow.table({"n": [1]}))
        assert repr(writer).startswith(f"<farrow.Writer of {name}: 1 row, ")
    assert f"{name}@1, published: 1 row, " in repr(writer)
