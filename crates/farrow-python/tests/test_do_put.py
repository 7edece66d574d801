"""A client that knows nothing of farrow publishes by plain pyarrow.flight: the agent writes the rows."""

import farrow
import pyarrow as pa
import pyarrow.flight as flight
import pytest
from test_types import ARRAYS


@pytest.fixture
def plain(agent):
    with flight.connect(f"grpc+unix://{agent.address}") as plain:
        yield plain


def descriptor(name: str) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_path(*name.split("/"))


def put(plain, name, batches, schema, mode=None, write_options=None):
    """As proto/README.md shows it."""
    headers = [(b"x-farrow-put", mode)] if mode else []
    options = flight.FlightCallOptions(headers=headers, write_options=write_options)
    writer, results = plain.do_put(descriptor(name), schema, options)
    for batch in batches:
        writer.write_batch(batch)
    writer.done_writing()
    info = results.read()
    writer.close()
    return info


def put_table(plain, name, table, mode=None):
    return put(plain, name, table.to_batches(), table.schema, mode)


class Celsius(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.float64(), "farrow.test.celsius")

    def __arrow_ext_serialize__(self):
        return b"degrees"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


@pytest.fixture
def celsius():
    pa.register_extension_type(Celsius())
    yield
    pa.unregister_extension_type("farrow.test.celsius")


@pytest.mark.parametrize("kind", ARRAYS)
def test_every_kind_of_column(client, plain, name, kind):
    table = pa.table({"before": pa.array([7, 8, 9]), kind: ARRAYS[kind]})
    table = table.replace_schema_metadata({"made by": "a test"})
    # Several messages, of which each is cut from the same arrays.
    put(plain, name, table.to_batches(max_chunksize=2), table.schema)
    found = client.get(name)
    assert found.zero_copy, found.why
    back = found.to_arrow()
    back.validate(full=True)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert back.to_pylist() == table.to_pylist()


def test_extension_types_keep_their_name(client, plain, name, celsius):
    degrees = pa.ExtensionArray.from_storage(Celsius(), pa.array([1.5, None, 3.0]))
    table = pa.table({"degrees": degrees})
    put_table(plain, name, table)
    assert client.get(name).to_arrow().equals(table)


def test_the_next_version_and_an_append(client, plain, name):
    first, second = pa.table({"n": [1, 2]}), pa.table({"n": [3]})
    put_table(plain, name, first)
    put_table(plain, name, second)
    assert client.get(name).to_arrow().equals(second)
    put_table(plain, name, first, b"append")
    assert (client.stat(name).version, client.get(name).to_arrow()["n"].to_pylist()) == (3, [3, 1, 2])
    client.append(name, pa.table({"n": [4]}))
    assert client.get(name).to_arrow()["n"].to_pylist() == [3, 1, 2, 4]
    with pytest.raises(farrow.InvalidData, match="column 0"):
        client.append(name, pa.table({"n": ["x"]}))
    with pytest.raises(pa.ArrowInvalid, match="another schema"):
        put_table(plain, name, pa.table({"x": [1.0]}), b"append")
    assert client.stat(name).version == 4


def test_a_schema_without_rows(client, plain, name):
    schema = pa.schema({"n": pa.int64(), "d": pa.dictionary(pa.int8(), pa.string())})
    put(plain, name, [], schema)
    found = client.get(name).to_arrow()
    assert (found.schema, found.num_rows) == (schema, 0)


@pytest.mark.parametrize("deltas", [False, True])
def test_dictionaries_that_grow(client, plain, name, deltas):
    words = ["a", "b", "c", "d", "e", "f"]
    keys = [pa.DictionaryArray.from_arrays(pa.array([0, n, n], pa.int32()), words[: n + 1]) for n in range(6)]
    batches = [pa.record_batch({"word": array}) for array in keys]
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
    put(plain, name, batches, batches[0].schema, write_options=options)
    assert client.get(name).to_arrow()["word"].to_pylist() == [word for key in keys for word in key.to_pylist()]


def test_what_is_refused(client, plain, name):
    table = pa.table({"n": range(1000)})
    compressed = pa.ipc.IpcWriteOptions(compression="lz4")
    with pytest.raises(pa.ArrowInvalid, match="message 1 of the stream.*compressed"):
        put(plain, name, table.to_batches(), table.schema, write_options=compressed)
    with pytest.raises(pa.ArrowInvalid, match="Name the frame alone"):
        put_table(plain, f"{name}@3", table)
    with pytest.raises(pa.ArrowInvalid, match="x-farrow-put"):
        put_table(plain, name, table, b"prepend")
    with pytest.raises(farrow.NotFound):
        client.stat(name)


def test_it_is_read_back_by_plain_clients(plain, name):
    table = pa.table({"n": range(300_000), "s": [f"row {n}" for n in range(300_000)]})
    put_table(plain, name, table)
    info = plain.get_flight_info(descriptor(name))
    assert plain.do_get(info.endpoints[0].ticket).read_all().equals(table)
