"""Each bad input has its exception, and its words say what was asked, what was found and what to do."""

import farrow
import pyarrow as pa
import pytest
from conftest import MIB, eventually, space

TABLE = pa.table({"n": [1]})


def test_every_exception_is_an_error():
    for kind in (farrow.NotFound, farrow.InvalidName, farrow.InvalidData, farrow.RegionFull, farrow.Unavailable):
        assert issubclass(kind, farrow.Error)


def test_unknown_frame(client):
    with pytest.raises(farrow.NotFound, match="no/such/frame"):
        client.get("no/such/frame")
    with pytest.raises(farrow.NotFound, match="no/such/frame"):
        client.drop("no/such/frame")


def test_unknown_version(client, name):
    client.put(name, TABLE)
    with pytest.raises(farrow.NotFound, match="9") as error:
        client.get(f"{name}@9")
    assert name in str(error.value)


BAD_NAMES = ["", "/absolute", "trailing/", "double//slash", "..", "up/../down", "./here", "nul\0", "a@b", "n" * 256]


@pytest.mark.parametrize("bad", BAD_NAMES, ids=repr)
def test_bad_names_are_refused(client, bad):
    before = space(client)
    with pytest.raises(farrow.InvalidName) as error:
        client.put(bad, TABLE)
    assert str(error.value)
    with pytest.raises(farrow.InvalidName):
        client.get(bad)
    # The reservation is given back after the error is told.
    eventually(lambda: space(client) == before, "the reservation to be given back")


@pytest.mark.parametrize("version", ["0", "-1", "one", ""])
def test_bad_versions_are_refused(client, name, version):
    client.put(name, TABLE)
    with pytest.raises(farrow.InvalidName):
        client.get(f"{name}@{version}")
    assert client.get(name).version == 1


def test_full_region(make_agent):
    agent = make_agent(32 * MIB)
    with farrow.connect(agent.address) as client:
        before = space(client)
        with pytest.raises(farrow.RegionFull, match="need 64"):
            client.put("too/large", pa.table({"n": pa.array(range(8 * MIB))}))
        assert space(client) == before
        with pytest.raises(farrow.NotFound):
            client.get("too/large")

        # What a reader holds is said, too.
        client.put("held", pa.table({"n": pa.array(range(MIB))}))
        table = client.get("held").to_arrow()
        client.drop("held")
        with pytest.raises(farrow.RegionFull, match="held by 1 lease"):
            client.put("again", pa.table({"n": pa.array(range(3 * MIB))}))
        assert table["n"][5].as_py() == 5

        client.put("small", TABLE)
        assert client.get("small").to_arrow().equals(TABLE)


def test_no_agent(tmp_path):
    socket = str(tmp_path / "no.sock")
    with pytest.raises(farrow.Unavailable) as error:
        farrow.connect(socket)
    assert socket in str(error.value)
    assert "farrow-agent" in str(error.value)


def test_an_address_of_no_kind():
    with pytest.raises(farrow.Error, match="ftp://nowhere"):
        farrow.connect("ftp://nowhere:1")


def test_agent_that_went_away(make_agent):
    agent = make_agent(32 * MIB)
    client = farrow.connect(agent.address)
    client.put("kept", TABLE)
    table = client.get("kept").to_arrow()
    assert agent.stop() == 0
    with pytest.raises(farrow.Unavailable):
        client.get("kept")
    assert table.equals(TABLE), "what is mapped stays mapped"

    # The region has it still, and a client finds the next agent at the same place.
    agent.start()
    assert client.get("kept").to_arrow().equals(TABLE)
    client.close()


def test_closed_client(agent):
    client = farrow.connect(agent.address)
    client.close()
    assert issubclass(farrow.Closed, ValueError)
    with pytest.raises(farrow.Closed, match="closed"):
        client.list()
