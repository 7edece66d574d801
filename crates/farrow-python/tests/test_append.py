"""Rows behind those that are there: what a person calls the same columns, and what is cast for whom asks."""

import asyncio

import farrow
import farrow.aio
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import eventually, space
from test_types import ARRAYS

AB = pa.table({"a": pa.array([1, 2], pa.int64()), "b": ["x", "y"]})
OTHERS = pa.table({"b": pa.array(["z"], pa.string_view()), "a": pa.array([3], pa.int8())})
BOTH = {"a": [1, 2, 3], "b": ["x", "y", "z"]}


def test_frames_of_pandas_of_any_length(agent, client, name):
    first = pd.DataFrame({"n": [1, 2, 3], "color": pd.Categorical(["red", "red", "blue"])}, index=[5, 6, 7])
    first.index = pd.RangeIndex(5, 8)
    more = pd.DataFrame({"n": [4], "color": pd.Categorical(["green"])})
    client.put(name, first)
    for data in (more, more.to_dict("records"), iter([more, more]), pa.Table.from_pandas(more).to_reader(), more[:0]):
        if isinstance(data, list):
            data = pd.DataFrame(data).astype({"color": "category"})
        client.append(name, data)
    with farrow.connect(f"http://{agent.tcp}") as far:
        streamed = far.get(name)
    for frame in (client.get(name), streamed):
        back = frame.to_arrow().to_pandas()
        assert back["n"].tolist() == [1, 2, 3] + 5 * [4]
        assert back["color"].tolist() == ["red", "red", "blue"] + 5 * ["green"]
        assert back.index.equals(pd.RangeIndex(8)), "numbered as a whole"
        assert frame.to_pandas().index.equals(pd.RangeIndex(8))
        assert pl.DataFrame(frame)["n"].to_list() == back["n"].tolist()
        batches = frame.to_batches()
        assert len(batches) > 1 and all(batch.schema.equals(batches[0].schema, True) for batch in batches)
    # The rows of the first version alone have their own index.
    assert client.get(f"{name}@1").to_arrow().to_pandas().index.equals(pd.RangeIndex(5, 8))
    with pytest.raises(farrow.InvalidData, match=r"__index_level_0__.*frame.reset_index\(drop=True\)"):
        client.append(name, first[first["n"] > 1].set_axis([9, 4]))


def test_an_index_that_is_a_column_stays_one(client, name):
    def frame(days):
        return pd.DataFrame({"celsius": [0.5] * len(days)}, index=pd.Index(days, name="day"))

    client.put(name, frame(["mon", "tue"]))
    client.append(name, frame(["wed"]))
    assert client.get(name).to_arrow().to_pandas().index.tolist() == ["mon", "tue", "wed"]


def test_other_metadata_are_told(client, name):
    client.put(name, AB.replace_schema_metadata({"of": "one", "pandas": "{}"}))
    with pytest.raises(farrow.InvalidData, match='the metadata "of" of the schemas differ.* it fits by name: by_name=True$'):
        client.append(name, AB)
    client.append(name, AB, by_name=True)
    assert client.get(name).schema.metadata == {b"of": b"one", b"pandas": b"{}"}


def ways(client, name, data, address):
    """Each way to append data by name."""

    def by_writer():
        with client.writer(name, data.schema, append=True, by_name=True) as writer:
            writer.write(data)

    async def by_aio(how):
        async with await farrow.aio.connect(address) as there:
            if how == "writer":
                async with there.writer(name, data.schema, append=True, by_name=True) as writer:
                    await writer.write(data.to_reader())
            elif how == "iterable":

                async def elements():
                    yield data

                await there.append(name, elements(), by_name=True)
            else:
                await there.append(name, data, by_name=True)

    return {
        "table": lambda: client.append(name, data, by_name=True),
        "polars": lambda: client.append(name, pl.from_arrow(data), by_name=True),
        "pandas": lambda: client.append(name, data.to_pandas(), by_name=True),
        "reader": lambda: client.append(name, data.to_reader(), by_name=True),
        "iterable": lambda: client.append(name, iter([data]), by_name=True),
        "readers": lambda: client.append(name, [data.to_reader()], by_name=True),
        "progress": lambda: client.append(name, data, progress=lambda *_: None, by_name=True),
        "writer": by_writer,
        "aio": lambda: asyncio.run(by_aio("table")),
        "aio iterable": lambda: asyncio.run(by_aio("iterable")),
        "aio writer": lambda: asyncio.run(by_aio("writer")),
    }


def test_by_name_every_way(agent, client, name):
    for way, append in ways(client, name, OTHERS, agent.address).items():
        client.put(name, AB)
        append()
        found = client.get(name).to_arrow()
        assert (found.to_pydict(), found.schema) == (BOTH, AB.schema), way


def test_who_does_not_ask_is_told_that_it_would_fit(client, name):
    client.put(name, AB)
    with pytest.raises(farrow.InvalidData, match='column 0 is "b", expected "a".*It fits by name: by_name=True$'):
        client.append(name, OTHERS)
    with pytest.raises(farrow.InvalidData, match=r"column 1 \(b\): the type is Utf8View \(string_view\), expected Utf8 \(string\)\. It fits by name: by_name=True$"):
        client.append(name, AB.set_column(1, "b", pa.array(AB["b"].to_pylist(), pa.string_view())))
    lossy = AB.set_column(0, "a", AB["a"].cast(pa.float64()))
    with pytest.raises(farrow.InvalidData, match=r"\(a\): the type is Float64, expected Int64. Change it") as error:
        client.append(name, lossy)
    assert "by_name" not in str(error.value)
    for by_name in (False, True):
        with pytest.raises(farrow.InvalidData, match='"c" is (one too many|missing)'):
            client.append(name, AB.append_column("c", [[1, 2]]), by_name=by_name)
    assert client.stat(name).version == 1


def test_by_name_what_does_not_fit(agent, client, name):
    client.put(name, AB)
    before = space(client)
    lossy = pa.table({"b": ["z"], "a": pa.array([3.5])})
    for way, append in ways(client, name, lossy, agent.address).items():
        with pytest.raises(farrow.InvalidData, match=r"column 0 \(a\): the type is Float64, expected Int64. Change"):
            append()
        assert client.stat(name).version == 1, way
    eventually(lambda: space(client) == before, "the space to be given back")


def words(*values, ordered=False):
    return pa.DictionaryArray.from_arrays(pa.array(range(len(values)), pa.int8()), list(values), ordered=ordered)


def test_the_order_of_a_dictionary_is_not_made_up(client, name):
    ordered, other = (pa.table({"o": words("a", "b", ordered=ordered)}) for ordered in (True, False))
    for first, second in ((ordered, other), (other, ordered)):
        client.put(name, first)
        for way in (
            lambda: client.put(name, [first, second]),
            lambda: client.put(name, [first, second], by_name=True),
            lambda: client.append(name, second),
            lambda: client.append(name, second, by_name=True),
            lambda: client.append(name, [first, second], by_name=True),
        ):
            with pytest.raises(farrow.InvalidData, match=r"column 0 \(o\): the dictionary is (not )?ordered, expected"):
                way()
        writer = client.writer(name, first.schema, by_name=True)
        writer.write(first)
        with pytest.raises(farrow.InvalidData, match="the dictionary is"):
            writer.write(second)


def test_nulls_that_values_of_dictionaries_are_count(client, name):
    def strict(*values):
        return pa.Table.from_arrays([words(*values)], schema=pa.schema([pa.field("c", type_, nullable=False)]))

    type_ = words("a").type
    client.put(name, strict("a", "b"))
    for way in (
        lambda: client.put(name, strict("a", None)),
        lambda: client.append(name, strict("a", None)),
        lambda: client.append(name, strict("a", None), by_name=True),
        lambda: client.append(name, pa.table({"c": words("a", None)}), by_name=True),
    ):
        with pytest.raises(farrow.InvalidData, match=r"column 0 \(c\) has nulls \(1\), and the schema allows none"):
            way()
    assert client.stat(name).version == 1


def test_elements_and_batches_by_name(client, name):
    swapped = AB.select(["b", "a"])
    twice = {"a": [1, 2, 1, 2], "b": ["x", "y", "x", "y"]}

    def lying():
        return pa.RecordBatchReader.from_batches(AB.schema, iter([*AB.to_batches(), *swapped.to_batches()]))

    for data in ([AB, swapped], iter([AB, swapped]), lying(), [lying()]):
        client.put(name, data, by_name=True)
        assert client.get(name).to_arrow().to_pydict() == twice
    with client.writer(name, AB.schema, by_name=True) as writer:
        writer.write(AB)
        writer.write(swapped)
        writer.write(pa.table({"b": pa.nulls(1), "a": pa.array([7], pa.uint8())}))
    assert client.get(name).to_arrow().to_pydict() == {"a": [*twice["a"], 7], "b": [*twice["b"], None]}
    for data in ([AB, swapped], lying()):
        with pytest.raises(farrow.InvalidData, match='column 0 is "b", expected "a".*It fits by name: by_name=True'):
            client.put(name, data)
    read = lying()
    assert len([*read]) == 2
    with pytest.raises(farrow.InvalidData, match="it has been read already"):
        client.put(name, read, by_name=True)


def test_chunks_of_csv_by_name(client, name, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n" + "".join(f"{n},word {n}\n" for n in range(10)))
    client.put(name, pd.read_csv(file, chunksize=3), by_name=True)
    client.append(name, pd.read_csv(file, chunksize=3))
    assert client.get(name)["a"].to_pylist() == 2 * [*range(10)]


@pytest.mark.parametrize("kind", ARRAYS)
def test_every_kind_of_column_by_name(client, name, kind):
    table = pa.table({"before": pa.array([7, 8, 9]), kind: ARRAYS[kind]})
    client.put(name, table)
    client.append(name, table.select([kind, "before"]), by_name=True)
    found = client.get(name).to_arrow()
    found.validate(full=True)
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.to_pylist() == 2 * table.to_pylist()
