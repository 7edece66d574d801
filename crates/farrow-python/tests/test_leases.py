"""A lease lasts as long as anything of the frame does, in any form; and no longer than its process."""

import gc
import os

import duckdb
import farrow
import pandas
import pyarrow as pa
import pytest
from conftest import eventually, leases_of, space

TABLE = pa.table({"n": range(1000), "s": [str(n) for n in range(1000)]})


@pytest.fixture
def frame_name(client, name):
    client.put(name, TABLE)
    return name


def mine(client, name: str) -> list:
    return [lease for lease in leases_of(client, os.getpid()) if lease.startswith(name + "@")]


def gone(client, name: str):
    gc.collect()
    eventually(lambda: not mine(client, name), f"the lease on {name} to be released")


def test_a_frame_has_a_lease_until_it_is_gone(client, frame_name):
    frame = client.get(frame_name)
    lease = next(lease for lease in client.leases() if lease.name == frame_name)
    assert lease.pid == os.getpid()
    assert lease.version == 1
    assert lease.bytes == frame.nbytes
    assert 0 <= lease.age_seconds < 60
    del frame
    gone(client, frame_name)


KEEPERS = {
    "table": lambda frame: frame.to_arrow(),
    "batch": lambda frame: frame.batch(0),
    "slice of five rows": lambda frame: frame.to_arrow().slice(10, 5),
    "column": lambda frame: frame.to_arrow()["s"],
    "buffer": lambda frame: frame.to_arrow()["n"].chunk(0).buffers()[1],
    "numpy view": lambda frame: frame.to_arrow()["n"].chunk(0).to_numpy(zero_copy_only=True)[3:5],
    "memoryview": lambda frame: memoryview(frame.to_arrow()["n"].chunk(0).buffers()[1]),
    "c stream": lambda frame: frame.__arrow_c_stream__(),
    "selected frame": lambda frame: frame.select(["n"]),
    "batches": lambda frame: frame.to_reader(),
    "slice of a column": lambda frame: frame["s"].slice(5, 2),
    "polars frame": lambda frame: frame.to_polars().select("n"),
    "polars slice": lambda frame: frame.to_polars()["n"].slice(500, 3),
    "pandas frame": lambda frame: frame.to_arrow().to_pandas(types_mapper=pandas.ArrowDtype).iloc[3:5],
    "duckdb relation": lambda frame: duckdb.from_arrow(frame.to_arrow()).filter("n = 7"),
    "duckdb connection": lambda frame: duckdb.connect().register("t", frame.to_arrow()),
}


@pytest.mark.parametrize("keeper", KEEPERS)
def test_the_lease_lives_as_long_as(client, frame_name, keeper):
    kept = KEEPERS[keeper](client.get(frame_name))
    gc.collect()
    # Whatever of the frame was dropped above has been: a lease taken and released later proves the order.
    other = frame_name + "-other"
    client.put(other, TABLE)
    client.get(other)
    gone(client, other)
    assert mine(client, frame_name) == [f"{frame_name}@1"]
    del kept
    gone(client, frame_name)


def test_a_scalar_and_a_copy_keep_nothing(client, frame_name):
    table = client.get(frame_name).to_arrow()
    value, copy = table["s"][7].as_py(), table["n"].to_numpy().copy()
    del table
    gone(client, frame_name)
    assert (value, copy[7]) == ("7", 7)


def test_the_lease_outlives_the_client(agent, client, frame_name):
    with farrow.connect(agent.address) as other:
        table = other.get(frame_name).to_arrow()
    del other
    gc.collect()
    assert mine(client, frame_name) == [f"{frame_name}@1"]
    assert table.equals(TABLE)
    del table
    gone(client, frame_name)


def test_a_killed_process_loses_its_leases(client, frame_name, start_reader):
    reader = start_reader(frame_name)
    assert leases_of(client, reader.pid) == [f"{frame_name}@1"]
    reader.kill()
    eventually(lambda: not leases_of(client, reader.pid), "the killed process's lease to go")


def test_a_process_that_ends_loses_its_leases(client, frame_name, start_reader):
    reader = start_reader(frame_name)
    assert leases_of(client, reader.pid) == [f"{frame_name}@1"]
    reader.stdin.close()
    assert reader.wait(timeout=20) == 0
    eventually(lambda: not leases_of(client, reader.pid), "the ended process's lease to go")


def test_dropped_bytes_are_held_until_the_reader_is_gone(client, frame_name, start_reader):
    before = space(client)
    reader = start_reader(frame_name)
    dropped = client.drop(frame_name)
    assert dropped.bytes_freed == 0
    assert dropped.bytes_held > 0
    with pytest.raises(farrow.NotFound):
        client.get(frame_name)

    held = space(client)
    assert held.held == before.held + dropped.bytes_held
    assert held.free == before.free
    reader.kill()
    eventually(lambda: space(client).held == before.held, "the held bytes to be freed")
    assert space(client).free == before.free + dropped.bytes_held


def test_dropped_bytes_stay_readable_while_others_write(client, frame_name):
    table = client.get(frame_name).to_arrow()
    client.drop(frame_name)
    for n in range(20):
        client.put(f"{frame_name}-next", pa.table({"n": [n] * 1000, "s": ["other"] * 1000}))
    assert table.equals(TABLE)


def test_the_agent_command_shows_leases(agent, client, frame_name):
    frame = client.get(frame_name)
    line = next(line for line in agent.command("leases").splitlines() if frame_name in line)
    assert str(os.getpid()) in line.split()
    del frame
    gone(client, frame_name)


def test_a_duckdb_result_keeps_nothing(client, frame_name):
    with duckdb.connect() as connection:
        connection.register("t", client.get(frame_name).to_arrow())
        assert connection.execute("SELECT s FROM t WHERE n = 7").fetchall() == [("7",)]
    del connection
    gone(client, frame_name)
