"""Names, versions, listing, dropping."""

import farrow
import pyarrow as pa
import pytest
from conftest import space


def numbers(first: int) -> pa.Table:
    return pa.table({"n": [first, first + 1]})


def test_versions_count_from_one_and_stay(client, name):
    assert [client.put(name, numbers(n)).version for n in (10, 20, 30)] == [1, 2, 3]
    assert client.get(name).version == 3
    for version, first in ((1, 10), (2, 20), (3, 30)):
        frame = client.get(f"{name}@{version}")
        assert (frame.name, frame.version) == (name, version)
        assert frame.to_arrow().equals(numbers(first))


def test_a_frame_that_is_held_does_not_change(client, name):
    client.put(name, numbers(1))
    old = client.get(name)
    client.put(name, numbers(2))
    assert old.to_arrow().equals(numbers(1))


def test_drop_of_one_version_leaves_the_others(client, name):
    for n in (1, 2):
        client.put(name, numbers(n))
    assert client.drop(f"{name}@1").versions == 1
    assert client.get(name).version == 2
    with pytest.raises(farrow.NotFound, match=r"@1|version 1"):
        client.get(f"{name}@1")


def test_drop_of_a_frame_removes_all_versions(client, name):
    before = space(client)
    infos = [client.put(name, numbers(n)) for n in (1, 2)]
    dropped = client.drop(name)
    assert dropped.versions == 2
    assert dropped.bytes_held == 0
    assert dropped.bytes_freed >= sum(info.bytes for info in infos)
    with pytest.raises(farrow.NotFound):
        client.get(name)
    assert space(client) == before


def test_a_name_is_free_again_after_its_drop(client, name):
    client.put(name, numbers(1))
    client.drop(name)
    info = client.put(name, numbers(5))
    assert client.get(name).to_arrow().equals(numbers(5))
    assert client.get(f"{name}@{info.version}").num_rows == 2


def test_list_by_prefix(client, name):
    for leaf in ("b", "a", "c/d"):
        client.put(f"{name}/{leaf}", numbers(1))
    client.put(f"{name}/a", numbers(2))
    found = client.list(name + "/")
    assert [(info.name, info.version) for info in found] == [
        (f"{name}/a", 2),
        (f"{name}/b", 1),
        (f"{name}/c/d", 1),
    ]
    assert all(info.rows == 2 and info.bytes > 0 for info in found)
    assert client.list(name + "/nothing") == []


def test_stat_maps_nothing(client, name):
    info = client.put(name, numbers(1))
    assert client.stat(name) == info
    assert name not in [lease.name for lease in client.leases()]


def test_names_of_any_language(client, name):
    full = f"{name}/Umsätze/売上"
    client.put(full, numbers(1))
    assert client.get(full).name == full
