"""The client of programs that use asyncio."""

import asyncio
import os

import farrow
import farrow.aio
import pyarrow as pa
import pytest
from conftest import eventually, leases_of, space

TABLE = pa.table({"n": range(1000), "s": [f"row {n}" for n in range(1000)]})


@pytest.fixture
def run(agent):
    """Runs an async function with a client, and nothing longer than a test may take."""

    def run(test):
        async def with_client():
            async with await farrow.aio.connect(agent.address) as client:
                return await asyncio.wait_for(test(client), timeout=60)

        return asyncio.run(with_client())

    return run


def test_put_append_and_get(run, name):
    async def test(client):
        assert (await client.put(name, TABLE)).version == 1
        assert (await client.append(name, TABLE)).rows == 2000
        frame = await client.get(name, columns=["s"])
        assert frame.zero_copy and frame.to_arrow().equals(pa.concat_tables([TABLE, TABLE]).select(["s"]))
        assert [info.version for info in await client.list(name)] == [2]
        assert (await client.stat(f"{name}@1")).rows == 1000
        assert [found.version for found in await client.versions(name)] == [1, 2]
        assert (await client.verify(name)).version == 2
        assert any(lease.pid == os.getpid() for lease in await client.leases())
        assert (await client.usage()).used > 0
        with pytest.raises(farrow.VersionConflict):
            await client.put(name, TABLE, if_version=1)
        assert (await client.append(name, TABLE, if_version=2, keep=2)).retention == 2
        assert (await client.retain(name, 1)).versions == 1
        await client.retain(prefix=name + "/", last=2, max_age=3600)
        assert [(rule.prefix, rule.name) for rule in await client.retentions(name)] == [(name + "/", None), (None, name)]
        await client.unset_retention(prefix=name + "/")
        assert (await client.unset_retention(name)).versions == 0
        assert (await client.expire(name, 3600)).versions == 0
        assert (await client.drop(name)).frames == 1
        with pytest.raises(farrow.NotFound, match=name):
            await client.get(name)

    run(test)


def test_batches_are_streamed(run, agent, client, name):
    client.put(name, TABLE)

    async def test(client):
        async with await farrow.aio.connect(f"http://{agent.tcp}") as far:
            for reads in (client, far):
                assert pa.Table.from_batches([batch async for batch in reads.stream(name)]).equals(TABLE)
                with pytest.raises(farrow.NotFound, match=name):
                    await reads.stream(f"{name}/none").__anext__()

    run(test)


def test_iterables_of_both_kinds_are_put(run, client, name):
    async def batches():
        for batch in TABLE.to_batches(max_chunksize=300):
            await asyncio.sleep(0)
            yield batch

    async def nothing():
        for batch in ():
            yield batch

    async def test(client):
        await client.put(name, batches())
        await client.append(name, iter(TABLE.to_batches(max_chunksize=300)))
        for empty in (nothing(), []):
            with pytest.raises(farrow.InvalidData, match="no schema"):
                await client.put(name, empty)

    run(test)
    assert client.get(name).to_arrow().equals(pa.concat_tables([TABLE, TABLE]))


def test_a_writer_aborts_on_an_exception(run, client, name):
    before = space(client)

    async def test(client):
        async with client.writer(name, TABLE.schema) as writer:
            await writer.write(TABLE)
            assert writer.written.rows == 1000
            raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        run(test)
    eventually(lambda: space(client) == before, "the space to be given back")
    assert client.list(name) == []


def test_many_wait_while_others_go_on(run, name):
    async def test(client):
        waiting = [asyncio.ensure_future(client.get(f"{name}/{n}", wait=60)) for n in range(50)]
        for n in range(50):
            await client.put(f"{name}/{n}", pa.table({"n": [n]}))
        frames = await asyncio.gather(*waiting)
        assert [frame.to_arrow()["n"][0].as_py() for frame in frames] == list(range(50))
        with pytest.raises(farrow.NotFound, match="not there after"):
            await client.get(name + "/none", wait=0.01)

    run(test)


def test_events_are_iterated_over(run, name):
    async def test(client):
        events = await client.watch(name)
        await client.put(name, TABLE)
        assert (await events.__anext__()).version == 1
        await client.drop(name)
        async for event in events:
            assert (event.kind, event.name, event.version) == ("dropped", name, None)
            break

    run(test)


def test_a_cancelled_wait_is_given_up(run, client, name):
    async def test(client):
        waiting = asyncio.ensure_future(client.get(name, wait=3600))
        await asyncio.sleep(0)
        await client.usage()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await client.put(name, TABLE)
        assert (await client.get(name)).num_rows == 1000

    run(test)
    eventually(lambda: f"{name}@1" not in leases_of(client, os.getpid()), "no lease to be left")


def test_a_cancelled_look_at_events_loses_none(run, name):
    async def test(client):
        events = await client.watch(name)
        for version in range(1, 20):
            looking = asyncio.ensure_future(events.__anext__())
            await asyncio.sleep(0)
            looking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await looking
            await client.put(name, TABLE)
            assert (await events.__anext__()).version == version

    run(test)


def test_a_cancelled_put_publishes_nothing(run, client, name):
    before = space(client)
    written = []

    async def test(client):
        async def batches():
            while True:
                yield TABLE.to_batches()[0]
                written.append(1)

        putting = asyncio.ensure_future(client.put(name, batches()))
        while len(written) < 3:
            await asyncio.sleep(0.001)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting

    run(test)
    eventually(lambda: space(client) == before, "the space to be given back")
    assert client.list(name) == []


def test_errors_are_the_same(agent, run, tmp_path):
    async def test(client):
        with pytest.raises(farrow.InvalidName):
            await client.stat("../up")
        with pytest.raises(farrow.InvalidData):
            await client.put("frame", 42)
        client.close()
        with pytest.raises(ValueError, match="closed"):
            await client.list()

    run(test)
    with pytest.raises(farrow.Unavailable):
        asyncio.run(farrow.aio.connect(str(tmp_path / "no.sock")))


def test_a_call_is_made_once(agent):
    call = farrow._farrow.Client.connect(agent.address)
    call.wait()
    with pytest.raises(RuntimeError, match="has been made"):
        call.wait()
