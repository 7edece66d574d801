"""Frames and clients are pickled as references: what is sent is a name, and what is unpickled is mapped anew."""

import asyncio
import concurrent.futures
import copy
import multiprocessing
import pickle

import farrow
import farrow.aio
import pyarrow as pa
import pytest
from conftest import MIB

ROWS = 100_000


@pytest.fixture
def frame(client, name):
    client.put(name, pa.table({"a": range(ROWS), "b": [str(n) for n in range(ROWS)]}))
    return client.get(name)


def total(frame):
    """Runs in another process."""
    return frame.version, frame.zero_copy, frame.column_names, sum(frame["a"].to_pylist())


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_a_worker_maps_what_it_is_handed(client, name, frame, method):
    client.put(name, pa.table({"a": [1]}))
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(total, [frame, frame.select(["a"])]))
    expected = sum(range(ROWS))
    assert found == [(1, True, ["a", "b"], expected), (1, True, ["a"], expected)]


def test_a_reference_is_small_and_is_the_same_version(client, name, frame):
    sent = pickle.dumps(frame)
    assert len(sent) < 500
    client.put(name, pa.table({"a": [1]}))
    back = pickle.loads(sent)
    assert (back.name, back.version, back.num_rows) == (name, 1, ROWS)
    part = client.get(f"{name}@1", columns=["b", "a"], rows=(10, 20)).select(["b"])
    for same in (copy.copy(part), pickle.loads(pickle.dumps(part))):
        assert same.to_arrow().to_pydict() == {"b": [str(n) for n in range(10, 20)]}


def test_a_version_that_is_gone(client, name, frame):
    sent = pickle.dumps(frame)
    client.drop(name)
    # Another frame of that name is not what was pickled.
    client.put(name, pa.table({"a": [1]}))
    with pytest.raises(farrow.NotFound, match=f"{name}@1.*pickled as a reference, which holds nothing"):
        pickle.loads(sent)
    # A holder goes on.
    assert frame.num_rows == len(frame["a"]) == ROWS


def test_a_region_that_was_made_anew(make_agent):
    agent = make_agent(16 * MIB)
    with farrow.connect(agent.address) as client:
        client.put("a", pa.table({"n": [1]}))
        frames = [client.get("a"), farrow.connect(f"http://{agent.tcp}").get("a")]
        region = client.health().region
        assert {frame.region for frame in frames} == {region}
        agent.stop()
        agent.command("mkfs", "--force", "--size", "16MiB", str(agent.region))
        agent.start()
        client.put("a", pa.table({"n": [2]}))
        assert client.get("a").region == client.health().region != region
        # Pickled behind it, too: the frame is of the region that it was got from.
        sent = pickle.dumps(frames[0])
        with pytest.raises(farrow.NotFound, match=f"a@1 was pickled as a reference into region {region}, .* made anew"):
            pickle.loads(sent)
        assert pickle.loads(pickle.dumps(client.get("a")))["n"].to_pylist() == [2]


def test_a_closed_frame_is_no_reference(frame):
    frame.close()
    with pytest.raises(farrow.Closed):
        pickle.dumps(frame)


def test_copies_are_the_same_memory(frame):
    for made in (copy.copy(frame), copy.deepcopy({"frame": frame})["frame"]):
        assert made.mappings == frame.mappings
    frame.close()
    assert made.num_rows == ROWS


def test_a_client(client, name, frame, agent, monkeypatch, tmp_path):
    with pickle.loads(pickle.dumps(client)) as other:
        assert other.get(name).version == 1
    # A path means the same in another directory.
    monkeypatch.chdir(agent.region.parent)
    relative = farrow.connect(agent.region.parent.joinpath("agent.sock").name)
    sent = pickle.dumps((relative, relative.get(name)))
    monkeypatch.chdir(tmp_path)
    other, again = pickle.loads(sent)
    assert other.stat(name).version == again.version == 1
    # Over TCP too; and nothing else is in it, such as a token.
    with farrow.connect(f"http://{agent.tcp}") as far:
        assert far.__reduce__()[1] == (f"http://{agent.tcp}",)
        sent = pickle.dumps((far, far.get(name)))
    assert pickle.loads(sent)[1].num_rows == ROWS


def test_what_is_no_reference_says_so(client, name, agent):
    writer = client.writer(name, pa.schema([("a", pa.int64())]))
    with pytest.raises(TypeError, match="farrow.Writer cannot be pickled"):
        pickle.dumps(writer)
    writer.abort()

    async def attempt():
        async with await farrow.aio.connect(agent.address) as other:
            pickle.dumps(other)

    with pytest.raises(TypeError, match="farrow.aio.Client cannot be pickled"):
        asyncio.run(attempt())
