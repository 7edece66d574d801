"""Names, versions, listing, dropping."""

import os

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


def test_a_name_is_free_again_after_its_drop_and_its_numbers_go_on(client, name):
    before = client.put(name, numbers(1))
    client.drop(name)
    info = client.put(name, numbers(5))
    assert client.get(name).to_arrow().equals(numbers(5))
    assert client.get(f"{name}@{info.version}").num_rows == 2
    assert info.version == before.version + 1
    with pytest.raises(farrow.NotFound, match=f"@{before.version}"):
        client.get(f"{name}@{before.version}")


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


def test_versions_are_listed_with_what_each_holds(client, name, start_reader):
    with pytest.raises(farrow.NotFound):
        client.versions(name)
    infos = [client.put(name, numbers(1)), client.append(name, numbers(2)), client.put(name, numbers(3))]
    client.retain(name, 5)
    start_reader(f"{name}@2")
    versions = client.versions(name)
    assert [(found.version, found.rows, found.bytes) for found in versions] == [
        (info.version, info.rows, info.bytes) for info in infos
    ]
    assert [found.leases for found in versions] == [0, 1, 0]
    assert [found.retention for found in versions] == [5, 5, 5]
    assert [found.own_bytes > 0 for found in versions] == [False, True, True], "the second has the first's rows"
    assert versions[0].uid == os.getuid() and versions[0].committed_at <= versions[2].committed_at

    frame = client.get(f"{name}@1")
    assert [found.version for found in frame.versions()] == [1, 2, 3]
    assert [found.version for found in frame.select(["n"]).versions()] == [1, 2, 3]


def test_the_versions_of_a_frame_are_asked_of_its_client(agent, name):
    with farrow.connect(agent.address) as client:
        client.put(name, numbers(1))
        frame = client.get(name)
    with pytest.raises(farrow.Closed, match="connect again"):
        frame.versions()
    assert frame.num_rows == 2


def test_a_put_says_what_its_frame_keeps(client, name):
    assert client.put(name, numbers(1), keep=2).retention == 2, "also the first one"
    assert [client.append(name, numbers(n)).version for n in (2, 3)] == [2, 3]
    assert [found.version for found in client.versions(name)] == [2, 3]
    with client.writer(name, numbers(1).schema, keep=1) as writer:
        writer.write(numbers(4))
    assert [found.version for found in client.versions(name)] == [4]
    client.put(name, iter([numbers(5), numbers(6)]), keep=0)
    client.put(name, numbers(7))
    assert [(found.version, found.retention) for found in client.versions(name)] == [(4, 0), (5, 0), (6, 0)]


def test_a_put_onto_another_version_than_the_latest_is_refused(client, name):
    with pytest.raises(farrow.VersionConflict, match=r"no frame .* onto @3\. .* onto version 0$"):
        client.put(name, numbers(1), if_version=3)
    assert client.put(name, numbers(1), if_version=0).version == 1
    with pytest.raises(farrow.VersionConflict, match="@1.*new frame"):
        client.put(name, numbers(2), if_version=0)
    frame = client.get(name)
    assert client.append(name, numbers(2), if_version=frame.version).rows == 4
    for late in (
        lambda: client.put(name, numbers(3), if_version=frame.version),
        lambda: client.append(name, iter([numbers(3)]), if_version=frame.version),
        lambda: client.put(name, numbers(3), progress=lambda done, total: None, if_version=frame.version),
    ):
        with pytest.raises(farrow.VersionConflict, match=r"@2, .* onto @1\. .* onto @2$") as error:
            late()
        assert (error.value.reason, error.value.retry) == ("version-conflict", "no")
    with pytest.raises(farrow.VersionConflict):
        with client.writer(name, numbers(1).schema, if_version=1) as writer:
            writer.write(numbers(3))
    assert [found.rows for found in client.versions(name)] == [2, 4]


def test_odd_counts_are_refused_by_name(client, name):
    for odd in (-1, 1 << 64):
        with pytest.raises(ValueError, match=f"keep takes a whole number from 0 on; found {odd}"):
            client.put(name, numbers(1), keep=odd)
    for odd in (1.5, "1", numbers(1)):
        with pytest.raises(TypeError, match="if_version takes a whole number"):
            client.append(name, numbers(1), if_version=odd)
    assert not client.exists(name)
