"""Versions that are written batch by batch, and put's progress."""

import asyncio
import gc
import sys

import farrow
import farrow.aio
import pyarrow as pa
import pytest
from conftest import MIB, eventually, space

TABLE = pa.table({"n": range(1000), "s": [f"row {n}" for n in range(1000)]})


def test_what_is_written_is_there_at_the_end(client, name):
    with client.writer(name, TABLE.schema) as writer:
        assert writer.written == farrow.Written(0, 0) and writer.info is None
        for batch in TABLE.to_batches(max_chunksize=300):
            writer.write(batch)
        assert writer.written.rows == 1000 and writer.written.bytes > 8000
        writer.write(TABLE)
        with pytest.raises(farrow.NotFound):
            client.get(name)
    assert (writer.info.version, writer.info.rows) == (1, 2000)
    assert client.get(name).to_arrow().equals(pa.concat_tables([TABLE, TABLE]))


def test_a_writer_can_append(client, name):
    for rows in (1000, 2000):
        with client.writer(name, TABLE.schema, append=True) as writer:
            writer.write(TABLE)
        assert writer.info.rows == rows


def test_plain_use(client, name):
    writer = client.writer(name, TABLE.schema)
    writer.write(TABLE)
    info = writer.finish()
    assert info == writer.info == client.stat(name)
    with pytest.raises(ValueError, match="make another"):
        writer.write(TABLE)
    with pytest.raises(ValueError, match="make another"):
        writer.finish()
    writer.abort()
    assert client.stat(name) == info, "what is published stays"


def nothing_left(client, name, before):
    with pytest.raises(farrow.NotFound):
        client.get(name)
    eventually(lambda: space(client) == before, "the space to be given back")


def test_an_exception_aborts(client, name):
    before = space(client)
    with pytest.raises(RuntimeError, match="the source broke"), client.writer(name, TABLE.schema) as writer:
        writer.write(TABLE)
        raise RuntimeError("the source broke")
    nothing_left(client, name, before)


def test_a_writer_that_is_forgotten_aborts(client, name):
    before = space(client)
    client.writer(name, TABLE.schema).write(TABLE)
    gc.collect()
    nothing_left(client, name, before)


def test_another_schema_is_refused(client, name):
    before = space(client)
    with pytest.raises(farrow.InvalidData), client.writer(name, TABLE.schema) as writer:
        writer.write(TABLE.select(["n"]))
        writer.finish()
    nothing_left(client, name, before)


def test_an_iterator_that_fails_publishes_nothing(client, name):
    def batches():
        yield TABLE
        raise RuntimeError("the source broke")

    before = space(client)
    with pytest.raises(RuntimeError, match="the source broke"):
        client.put(name, batches())
    nothing_left(client, name, before)


def test_no_rows(client, name):
    with client.writer(name, TABLE.schema):
        pass
    assert client.get(name).to_arrow().equals(TABLE.schema.empty_table())


class Bar:
    """The part of a bar of tqdm's that put needs."""

    def __init__(self, total=None):
        self.total = total
        self.counts = []

    def update(self, count):
        self.counts.append(count)


BIG = pa.table({"n": pa.array(range(3 * MIB))})


def test_a_bar_is_told(client, name):
    bar = Bar()
    assert client.put(name, BIG, progress=bar).rows == BIG.num_rows
    assert bar.total == sum(bar.counts) == BIG.nbytes
    assert len(bar.counts) > 1, "a long put is told in parts"
    own = Bar(total=7)
    client.append(name, BIG.to_reader(), progress=own)
    assert own.total == 7 and sum(own.counts) == BIG.nbytes
    assert client.get(name)["n"].slice(BIG.num_rows).equals(BIG["n"])
    client.drop(name)


def test_a_function_is_told(client, name):
    told = []
    client.put(name, BIG.to_batches(max_chunksize=MIB), progress=lambda done, total: told.append((done, total)))
    assert [total for _, total in told] == [None] * 3, "an iterable does not know its bytes"
    done = [done for done, _ in told]
    assert done == sorted(done) and done[-1] == BIG.nbytes
    client.drop(name)
    client.put(name, TABLE, progress=False)
    with pytest.raises(TypeError, match="update"):
        client.put(name, TABLE, progress="yes")


def test_tqdm_is_used_if_it_is_there(client, name, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    client.put(name, TABLE, progress=True)
    shown = capsys.readouterr().err
    assert name in shown and "100%" in shown
    for module in [module for module in sys.modules if module.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ModuleNotFoundError, match="pip install tqdm"):
        client.put(name, TABLE, progress=True)
    assert client.get(name).version == 1


AB = pa.table({"a": [1, 2], "b": [3, 4]})
SWAPPED = AB.select(["b", "a"])
SAME_COUNT = {
    "another order": (SWAPPED, r'column 0 is "b", expected "a": the same names in another order. It fits by name: by_name=True'),
    "another name": (AB.rename_columns(["a", "c"]), r"column 1 \(b\): the name is c, expected b.*rename_columns"),
    "another type": (AB.cast(pa.schema([("a", pa.int64()), ("b", pa.int32())])), r"column 1 \(b\): the type is Int32"),
    "one more": (AB.append_column("c", [[1, 2]]), r'the number of columns is 3, expected 2: "c" is one too many'),
    "one less": (AB.select(["a"]), r'the number of columns is 1, expected 2: "b" is missing'),
}


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("case", SAME_COUNT)
def test_columns_are_not_taken_for_others(agent, client, name, case, rows):
    other, told = SAME_COUNT[case]
    # A table without rows has perhaps no batch, and columns all the same.
    elements = [AB, pa.table(other.slice(0, rows))]

    def by_writer():
        with client.writer(name, AB.schema) as writer:
            for element in elements:
                writer.write(element)

    async def by_aio(data):
        async with await farrow.aio.connect(agent.address) as there:
            await there.put(name, data)

    async def asynchronous():
        for element in elements:
            yield element

    ways = [
        lambda: client.put(name, elements),
        lambda: client.put(name, iter(elements)),
        lambda: client.append(name, elements),
        lambda: client.put(name, elements, progress=lambda *_: None),
        by_writer,
        lambda: asyncio.run(by_aio(elements)),
        lambda: asyncio.run(by_aio(asynchronous())),
    ]
    for way in ways:
        with pytest.raises(farrow.InvalidData, match=f"batch 1 .counted from 0.*{told}"):
            way()
        with pytest.raises(farrow.NotFound):
            client.get(name)
    client.put(name, [AB, SWAPPED.select(AB.schema.names)])
    assert client.get(name).to_arrow().to_pydict() == {"a": [1, 2, 1, 2], "b": [3, 4, 3, 4]}


def test_readers_that_lie_of_their_schema(client, name):
    # pyarrow does not compare them, and read by its C stream the columns would be swapped.
    def lying():
        return pa.RecordBatchReader.from_batches(AB.schema, iter(SWAPPED.to_batches()))

    def by_writer():
        with client.writer(name, AB.schema) as writer:
            writer.write(lying())

    ways = [
        lambda: client.put(name, lying()),
        lambda: client.put(name, lying(), progress=lambda *_: None),
        lambda: client.put(name, [lying()]),
        by_writer,
    ]
    for way in ways:
        with pytest.raises(farrow.InvalidData, match='batch 0 .counted from 0.*column 0 is "b"'):
            way()
        with pytest.raises(farrow.NotFound):
            client.get(name)


def test_what_a_batch_says_of_nulls_and_metadata(client, name):
    strict = pa.schema([pa.field("a", pa.int64(), nullable=False)], metadata={"of": "the first"})
    first = pa.table({"a": [1]}, schema=strict)
    client.put(name, [first, pa.table({"a": [2]})])
    assert client.get(name).to_arrow().schema.equals(strict, check_metadata=True)
    assert client.get(name).to_arrow()["a"].to_pylist() == [1, 2]
    with pytest.raises(farrow.InvalidData, match=r"has nulls \(1\), and the schema allows none"):
        client.put(name, [first, pa.table({"a": [None]}, schema=pa.schema([("a", pa.int64())]))])


def test_dictionaries_whose_keys_do_not_fit_together(client, name):
    def chunk(word):
        keys = pa.array(range(100), pa.int8())
        return pa.DictionaryArray.from_arrays(keys, pa.array([f"{word}{n}" for n in range(100)]))

    table = pa.table({"d": pa.chunked_array([chunk("a"), chunk("b"), chunk("a")])})
    expected = table["d"].to_pylist()

    def by_writer():
        with client.writer(name, table.schema) as writer:
            for batch in table.to_batches():
                writer.write(batch)

    ways = [
        lambda: client.put(name, table),
        lambda: client.put(name, table.to_batches()),
        lambda: client.put(name, table.to_reader()),
        by_writer,
    ]
    for way in ways:
        way()
        frame = client.get(name)
        assert frame.to_arrow()["d"].to_pylist() == expected
        assert client.stat(name).segments == 3
        assert frame.to_arrow().schema == table.schema
