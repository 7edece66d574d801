"""Arguments that calls take in several forms, and those that they refuse: by an exception of farrow's."""

import asyncio
import datetime

import farrow
import farrow.aio
import pandas as pd
import pyarrow as pa
import pytest

TABLE = pa.table({"n": range(100), "s": [str(n) for n in range(100)]})


@pytest.fixture
def frame(client, name):
    client.put(name, TABLE)
    return client.get(name)


@pytest.mark.parametrize("rows", [(3, 7), [3, 7], slice(3, 7), range(3, 7), slice(3, 7, 1)], ids=repr)
def test_rows_by_their_bounds(client, frame, rows):
    expected = TABLE.slice(3, 4)
    assert client.get(frame.name, rows=rows).to_arrow().equals(expected)
    assert client.stream(frame.name, rows=rows).read_all().equals(expected)


def test_rows_from_the_beginning_and_to_the_end(client, frame):
    for rows, expected in (
        (range(0, 2), TABLE.slice(0, 2)),
        (range(5, 3), TABLE.slice(0, 0)),
        (slice(2), TABLE.slice(0, 2)),
        (slice(98, None), TABLE.slice(98)),
        ((98, None), TABLE.slice(98)),
        (slice(None), TABLE),
    ):
        assert client.get(frame.name, rows=rows).to_arrow().equals(expected), rows


@pytest.mark.parametrize("rows", [2, "01", (1,), (0, 1, 2), (0.0, 1), {0, 1}, slice("a", "b")], ids=repr)
def test_rows_of_another_kind(client, frame, rows):
    with pytest.raises(farrow.InvalidType, match=r"rows takes \(first, end\), slice\(first, end\) or range"):
        client.get(frame.name, rows=rows)


@pytest.mark.parametrize("rows", [(-1, 2), (3, 2), slice(-3, None), slice(0, 9, 2), range(9, 0, -1)], ids=repr)
def test_rows_that_there_cannot_be(client, frame, rows):
    with pytest.raises(farrow.InvalidArgument, match=r"rows takes \(first, end\), slice\(first, end\) or range"):
        client.get(frame.name, rows=rows)


def test_all_are_errors_of_farrow_and_of_python(client, name, frame):
    data = pd.DataFrame({"n": [1]})
    refused = [
        (ValueError, lambda: client.put(name, TABLE, keep=-1)),
        (ValueError, lambda: frame.slice(-1)),
        (ValueError, lambda: client.get(name, wait=-1)),
        (ValueError, lambda: client.expire(older_than=-1)),
        (ValueError, lambda: client.retain(name, -1)),
        (ValueError, lambda: client.grow(-1)),
        (IndexError, lambda: frame.batch(9)),
        (IndexError, lambda: frame.batch(-1)),
        (TypeError, lambda: frame.batch("n")),
        (TypeError, lambda: frame.select("n")),
        (TypeError, lambda: frame.select([0])),
        (TypeError, lambda: frame[1.5]),
        (TypeError, lambda: frame.head("n")),
        (TypeError, lambda: client.get(name, columns="n")),
        (TypeError, lambda: client.get(name, columns=7)),
        (TypeError, lambda: client.get(name, wait="1h")),
        (TypeError, lambda: client.get(7)),
        (TypeError, lambda: client.expire(name, older_than="1h")),
        (TypeError, lambda: client.expire(name)),
        (TypeError, lambda: client.drop()),
        (TypeError, lambda: client.list(7)),
        (TypeError, lambda: client.snapshot(name)),
        (TypeError, lambda: client.put(name, TABLE, if_version="1")),
        (TypeError, lambda: client.put(data, TABLE)),
        (TypeError, lambda: client.writer(name, 7)),
    ]
    for kind, call in refused:
        with pytest.raises(kind) as error:
            call()
        assert isinstance(error.value, farrow.InvalidData) and str(error.value), error.value
        assert error.value.reason is None and error.value.retry == "no"


def test_a_name_that_was_swapped_with_the_data(agent, client, name):
    data = pd.DataFrame({"n": [1]})
    for call in (client.put, client.append):
        with pytest.raises(farrow.InvalidType, match=rf"found a pandas\..*DataFrame. .* {call.__name__}\('{name}', data\)"):
            call(data, name)

    async def swapped():
        async with farrow.aio.connect(agent.address) as other:
            await other.put(data, name)

    with pytest.raises(farrow.InvalidType, match="The name comes first"):
        asyncio.run(swapped())
    assert not client.exists(name)


def test_a_writer_of_what_has_a_schema(client, name):
    for like in (TABLE, TABLE.to_batches()[0], TABLE.schema):
        with client.writer(name, like) as writer:
            writer.write(TABLE)
        assert client.get(name).to_arrow().equals(TABLE)
    for other in ([pa.field("n", pa.int64())], pa.field("n", pa.int64()), TABLE["n"], {"n": "int64"}):
        with pytest.raises(farrow.InvalidType, match="takes a pyarrow.Schema.*Try: table.schema"):
            client.writer(name, other)


def test_spans_of_time(client, name):
    client.put(name, TABLE)
    assert client.get(name, wait=datetime.timedelta(seconds=5)).num_rows == 100
    with pytest.raises(farrow.NotFound):
        client.get(f"{name}/none", wait=datetime.timedelta(milliseconds=1))
    client.put(name, TABLE)
    assert client.expire(name, older_than=datetime.timedelta(days=1)).versions == 0
    assert client.expire(older_than=10**9).versions == 0
    with pytest.raises(farrow.InvalidType, match=r"found '1h'. Try: older_than=3600, or .*timedelta\(hours=1\)"):
        client.expire(older_than="1h")


def test_a_connection_is_awaited_or_entered(agent, client, name):
    client.put(name, TABLE)

    async def entered():
        async with farrow.aio.connect(agent.address) as other:
            rows = (await other.get(name)).num_rows
        with pytest.raises(farrow.Closed):
            await other.list()
        return rows

    async def awaited():
        task = asyncio.create_task(farrow.aio.connect(agent.address))
        async with await task as other, await farrow.aio.connect(agent.address) as another:
            return (await other.get(name)).num_rows + len(await another.versions(name))

    async def nowhere():
        async with farrow.aio.connect(agent.address + ".none"):
            pass

    assert asyncio.run(entered()) == 100
    assert asyncio.run(awaited()) == 101
    with pytest.raises(farrow.Unavailable):
        asyncio.run(nowhere())


def test_the_error_that_ends_a_writer_says_so(agent, client, name):
    other = pa.table({"m": [1]})
    writer = client.writer(name, TABLE.schema)
    writer.write(TABLE)
    with pytest.raises(farrow.InvalidData, match="The writer has ended with this, and publishes nothing: make another"):
        writer.write(other)
    with pytest.raises(farrow.Closed, match="finished or aborted: make another$"):
        writer.write(TABLE)

    async def awaited():
        async with farrow.aio.connect(agent.address) as connected:
            async with connected.writer(name, TABLE) as writer:
                await writer.write(other)

    with pytest.raises(farrow.InvalidData, match="The writer has ended with this"):
        asyncio.run(awaited())
    with pytest.raises(farrow.InvalidData) as error:
        client.put(name, iter([TABLE, other]))
    assert "writer" not in str(error.value), "put made it, and the program has none"
    assert not client.exists(name)
