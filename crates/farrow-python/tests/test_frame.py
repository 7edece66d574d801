"""A frame by columns, by batches, and as it is shown."""

import farrow
import pyarrow as pa
import pytest
from conftest import MIB
from test_types import buffers_of

TABLE = pa.table({"n": range(1000), "s": [f"row {n}" for n in range(1000)], "x": [n / 2 for n in range(1000)]})


@pytest.fixture
def frame(client, name):
    client.put(name, TABLE)
    # Of two segments, so that batches and columns are found across them.
    client.append(name, TABLE)
    return client.get(name)


def inside(frame, array) -> bool:
    """True if all of an array's bytes lie in the shared memory."""
    places = [
        any(start <= buffer.address and buffer.address + buffer.size <= start + size for start, size in frame.mappings)
        for buffer in buffers_of(array)
    ]
    return bool(places) and all(places)


def test_columns_are_selected_without_copying(client, name, frame):
    for some in (frame.select(["x", "n"]), client.get(name, columns=["x", "n"])):
        assert some.schema.names == ["x", "n"]
        assert (some.name, some.version, some.num_rows, some.zero_copy) == (name, 2, 2000, True)
        assert some.to_arrow().equals(frame.to_arrow().select(["x", "n"]))
        assert all(inside(frame, column) for batch in some.to_batches() for column in batch.columns)
    assert frame.schema.names == ["n", "s", "x"], "the frame itself stays whole"
    assert frame.select([]).to_arrow().num_columns == 0
    assert frame.select(["x", "n"]).select(["n"]).to_arrow().equals(frame.to_arrow().select(["n"]))


def test_one_column_by_its_name(frame):
    column = frame["s"]
    assert isinstance(column, pa.ChunkedArray)
    assert column.equals(frame.to_arrow()["s"])
    assert all(inside(frame, chunk) for chunk in column.chunks)


def test_an_unknown_column_is_told_with_those_that_there_are(frame):
    with pytest.raises(KeyError, match=r"no column 'N'. There are: n"):
        frame.select(["N"])
    with pytest.raises(KeyError, match="nothing"):
        frame["nothing"]
    with pytest.raises(TypeError, match=r"select\(\['n'\]\)"):
        frame.select("n")
    with pytest.raises(TypeError, match="frame.batch"):
        frame[0]


def test_two_columns_of_one_name_are_not_guessed_at(client, name):
    client.put(name, pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["n", "n"]))
    frame = client.get(name)
    with pytest.raises(KeyError, match="2 columns are named 'n'"):
        frame["n"]
    assert frame.to_arrow().column(1).to_pylist() == [2]


def test_batches_one_after_another(frame):
    batches = frame.to_batches()
    assert len(batches) == frame.num_batches == 2
    assert pa.Table.from_batches(batches).equals(frame.to_arrow())
    assert len(frame) == 2000


def test_a_requested_schema_is_cast_to(frame):
    wanted = pa.schema([("n", pa.int32()), ("s", pa.string()), ("x", pa.float64())])
    capsule = frame.__arrow_c_stream__(wanted.__arrow_c_schema__())

    class Asked:
        def __arrow_c_stream__(self, requested_schema=None):
            return capsule

    assert pa.RecordBatchReader.from_stream(Asked()).read_all().schema == wanted


def test_what_is_shown(client, name, frame):
    facts = [f"{name}@2", "2000 rows", "3 columns", f"{frame.nbytes} bytes", "mapped, zero-copy"]
    assert all(fact in repr(frame) for fact in facts), repr(frame)
    shown = frame._repr_html_()
    assert f"<b>{name}@2</b>" in shown and "2,000 rows" in shown
    assert "<td>s</td><td>string</td>" in shown


def test_what_is_shown_in_a_notebook_is_escaped(client, name):
    odd = f"{name}/<script>alert(1)</script>&"
    schema = pa.schema([pa.field("<b>", pa.struct([("<i>", pa.int8())]), nullable=False)])
    client.put(odd, schema.empty_table())
    shown = client.get(odd)._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in shown
    assert "<td>&lt;b&gt;</td><td>struct&lt;&lt;i&gt;: int8&gt;</td><td>not null</td>" in shown


def test_a_wide_frame_is_shown_in_part(client, name):
    client.put(name, pa.table({f"column-{n}": [n] for n in range(60)}))
    shown = client.get(name)._repr_html_()
    assert "column-49" in shown and "column-50" not in shown and "and 10 more" in shown


def test_a_streamed_frame_says_so(agent, client, name, frame):
    with farrow.connect(f"http://{agent.tcp}") as far:
        streamed = far.get(name, columns=["n"])
        assert not streamed.zero_copy and streamed.mappings == []
        assert "streamed: " in repr(streamed) and "unix socket" in streamed._repr_html_()
        assert streamed.to_arrow().equals(frame.to_arrow().select(["n"]))


def test_a_streamed_frame_has_the_bytes_of_a_mapped_one(agent, client, name):
    client.put(name, pa.table({f"c{n}": range(10000) for n in range(40)}))
    with farrow.connect(f"http://{agent.tcp}") as far:
        streamed = far.get(name)
        assert not streamed.zero_copy
        assert streamed.nbytes == client.get(name).nbytes == client.stat(name).bytes


def test_batches_are_streamed_without_being_kept(agent, client, name, frame):
    reader = client.stream(f"{name}@2")
    assert isinstance(reader, pa.RecordBatchReader) and reader.schema == frame.schema
    first = reader.read_next_batch()
    assert first.column(0).buffers()[1].address == frame.batch(0).column(0).buffers()[1].address
    assert pa.Table.from_batches([first, *reader]).equals(frame.to_arrow())
    with farrow.connect(f"http://{agent.tcp}") as far:
        assert far.stream(name).read_all().equals(frame.to_arrow())
        # The reader reads while the put writes, on the same client.
        assert client.put(f"{name}/copy", far.stream(name)).rows == len(frame)
        with pytest.raises(farrow.NotFound):
            far.stream(f"{name}/none")
    assert client.get(f"{name}/copy").to_arrow().equals(frame.to_arrow())


def test_a_stream_that_is_cut_off_is_an_error(make_agent, tmp_path):
    agent = make_agent(64 * MIB)
    with farrow.connect(agent.address) as client:
        client.put("long", pa.table({"n": range(4 << 20)}))
    with farrow.connect(f"http://{agent.tcp}") as far:
        reader = far.stream("long")
        reader.read_next_batch()
        agent.process.kill()
        agent.process.wait()
        with pytest.raises((OSError, pa.ArrowException)):
            reader.read_all()
