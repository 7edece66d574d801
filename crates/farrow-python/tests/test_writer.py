"""Versions that are written batch by batch, and put's progress."""

import gc
import sys

import farrow
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
    """What put needs of a bar of tqdm's."""

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
