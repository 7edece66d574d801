"""Keeping order: dropping by prefix, retention, age, checksums, space."""

import datetime

import farrow
import pyarrow as pa
import pytest
from conftest import MIB, eventually, space
from farrow import _answers

TABLE = pa.table({"n": range(10)})


def test_drop_by_prefix(client, name):
    for leaf in ("a", "b"):
        client.put(f"{name}/{leaf}", TABLE)
    client.put(name, TABLE)
    dropped = client.drop(prefix=name + "/")
    assert (dropped.frames, dropped.versions, dropped.bytes_held) == (2, 2, 0)
    assert [info.name for info in client.list(name)] == [name]
    for wrong in ({}, {"name": name, "prefix": name}):
        with pytest.raises(TypeError, match="either a name or a prefix"):
            client.drop(**wrong)
    with pytest.raises(farrow.Error):
        client.drop(prefix="")
    assert client.get(name).num_rows == 10


def test_retain(client, name):
    for _ in range(4):
        client.put(name, TABLE)
    assert client.retain(name, 2).versions == 2
    assert client.stat(name).retention == 2
    client.put(name, TABLE)
    with pytest.raises(farrow.NotFound):
        client.get(f"{name}@3")
    assert client.get(f"{name}@4").num_rows == 10


def test_an_age_beyond_what_python_counts_is_told_as_its_longest(client, name):
    for age in (datetime.timedelta.max, 2**62, 99999999999 * 86400):
        client.retain(name, max_age=age)
        info = client.put(name, TABLE)
        longest = datetime.timedelta(seconds=86399999999999)
        told = [info.max_age, client.stat(name).max_age, client.list(name)[0].max_age, client.retentions(name)[0].max_age]
        assert told == [longest] * 4


def test_a_commit_after_the_last_year_is_told_as_its_last_moment():
    assert _answers._moment(2**63 - 1) == datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
    assert _answers._moment(1) == datetime.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=datetime.timezone.utc)


def test_retain_below_a_prefix_and_for_a_time(client, name):
    hour = datetime.timedelta(hours=1)
    assert client.retain(f"{name}/late", 2, max_age=90.5) == (0, 0, 0, 0), "it waits for its frame"
    client.retain(prefix=f"{name}/", last=1, max_age=hour)
    for leaf in ("late", "a", "b") * 3:
        client.put(f"{name}/{leaf}", TABLE)
    kept = [(info.name, len(client.versions(info.name)), info.retention, info.max_age) for info in client.list(name)]
    age = datetime.timedelta(seconds=91)
    assert kept == [(f"{name}/a", 1, 1, hour), (f"{name}/b", 1, 1, hour), (f"{name}/late", 2, 2, age)]
    assert client.versions(f"{name}/a")[0].max_age == hour

    client.retain(f"{name}/a")
    own = [(rule.name, rule.prefix, rule.last, rule.max_age) for rule in client.retentions(name)]
    prefix = (None, f"{name}/", 1, hour)
    assert own == [prefix, (f"{name}/a", None, 0, None), (f"{name}/late", None, 2, age)]
    assert [rule.prefix for rule in client.retentions(f"{name}/b")] == [f"{name}/"]
    assert client.retentions(name)[0].uid == client.versions(f"{name}/a")[0].uid
    client.put(f"{name}/a", TABLE)
    assert client.unset_retention(f"{name}/a").versions == 1, "what the prefix does not keep"
    client.unset_retention(prefix=f"{name}/")
    assert [rule.name for rule in client.retentions(name)] == [f"{name}/late"]
    assert client.stat(f"{name}/a").max_age is None

    client.put(f"{name}/a", TABLE)
    client.retain(f"{name}/a", max_age=1)
    eventually(lambda: len(client.versions(f"{name}/a")) == 1, "the old version to go")
    client.drop(prefix=f"{name}/")
    assert client.retentions(name) == [], "those of frames end with them"
    for wrong in ({}, {"name": name, "prefix": name}):
        with pytest.raises(TypeError, match="either a name or a prefix"):
            client.retain(**wrong)
    with pytest.raises(ValueError, match="max_age -1"):
        client.retain(name, max_age=-1)
    with pytest.raises(farrow.InvalidName, match="whole components"):
        client.retain(prefix=f"{name}*", last=1)


def test_expire(client, name):
    client.put(name, TABLE)
    client.put(name, TABLE)
    assert client.expire(name, datetime.timedelta(hours=1)).versions == 0
    assert client.expire(name, older_than=0).versions == 1
    assert client.expire(name, older_than=0.0, latest=True).versions == 1
    assert client.list(name) == []
    with pytest.raises(ValueError, match="older_than -1"):
        client.expire(name, -1)


def test_verify(client, name):
    client.put(name, TABLE)
    client.append(name, TABLE)
    verified = client.verify(name)
    assert (verified.name, verified.version, verified.batches) == (name, 2, 2)
    assert verified.bytes == client.stat(name).bytes and verified.without_checksums == 0


def test_stat_tells_when_and_how(client, name):
    before = datetime.datetime.now(datetime.timezone.utc)
    client.put(name, TABLE)
    info = client.append(name, TABLE)
    assert info.segments == 2 and info.validation == "values" and info.why is None
    # The clocks of agent and test are one; the commit's may be read in microseconds.
    slack = datetime.timedelta(milliseconds=1)
    assert before - slack <= info.committed_at <= datetime.datetime.now(datetime.timezone.utc) + slack


def test_grow(make_agent):
    agent = make_agent(128 * MIB, "--reserve", "64M")
    with farrow.connect(agent.address) as client:
        before = space(client)
        grown = client.grow(8 * MIB)
        assert grown == 8 * MIB
        assert space(client).pool_bytes == before.pool_bytes + grown
        with pytest.raises(farrow.Error):
            client.grow(1 << 40)


def test_a_snapshot_is_of_one_moment(client, name):
    for leaf in ("a", "b", "a"):
        client.put(f"{name}/{leaf}", TABLE)
    frames = client.snapshot([f"{name}/b", f"{name}/a", f"{name}/a@1"])
    assert [(frame.name, frame.version) for frame in frames] == [(f"{name}/b", 1), (f"{name}/a", 2), (f"{name}/a", 1)]
    assert all(frame.zero_copy and frame.to_arrow().equals(TABLE) for frame in frames)
    assert client.snapshot([]) == []
    with pytest.raises(farrow.NotFound, match="nothing"):
        client.snapshot([f"{name}/a", f"{name}/nothing"])
    with pytest.raises(TypeError, match="list of names"):
        client.snapshot(name)


def test_health(client):
    health = client.health()
    assert health.serving and health.why is None and health.uptime_seconds >= 0
    assert health.version == farrow.__version__ and len(health.region) >= 32
