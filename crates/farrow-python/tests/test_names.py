"""Names and values that Arrow's C interface would change on their way: refused by name."""

import asyncio

import farrow
import farrow.aio
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

NUL = "x\0a"
INT = pa.int64()
FIELD = pa.field(NUL, INT)


class Wrapped(pa.ExtensionType):
    """An extension type, which hides names in its storage."""

    def __init__(self):
        super().__init__(pa.struct([FIELD]), "tests.wrapped")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


NESTED = {
    "struct": pa.struct([FIELD]),
    "list": pa.list_(FIELD),
    "large list of structs": pa.large_list(pa.struct([FIELD])),
    "fixed list": pa.list_(FIELD, 2),
    "map": pa.map_(pa.string(), pa.struct([FIELD])),
    "union": pa.sparse_union([FIELD]),
    "dictionary": pa.dictionary(pa.int8(), pa.struct([FIELD])),
    "runs": pa.run_end_encoded(pa.int32(), pa.struct([FIELD])),
    "extension": Wrapped(),
}


class Nested(pl.DataFrame):
    """Stands for frames with objects within lists: Polars panics when real ones end."""

    schema = {"po": pl.List(pl.Object)}


def refused(call, *arguments, match=r"'x\\x00a': the name has a NUL character"):
    """The refusal of a call."""
    with pytest.raises(farrow.InvalidData, match=match) as raised:
        call(*arguments)
    return str(raised.value)


def test_names_with_nul_are_refused(client, name):
    table = pa.table([[1], [2]], names=[NUL, "x\0b"])
    pandas = pd.DataFrame({NUL: [1]})
    for data in (table, table.to_batches()[0], table.to_reader(), iter(table.to_batches()), {NUL: [1]}, [{NUL: 1}]):
        refused(client.put, name, data)
    refused(client.put, name, pandas)
    refused(client.append, name, pandas)
    refused(client.writer, name, table.schema)
    for kind in NESTED.values():
        refused(client.put, name, pa.Table.from_batches([], pa.schema([("n", kind)])))
    zone = pa.schema([("t", pa.timestamp("s", "UTC\0"))])
    refused(client.put, name, pa.Table.from_batches([], zone), match="'t': the time zone has a NUL character")
    assert not client.exists(name)


def test_names_with_nul_are_not_those_before_it(client, name, agent):
    good, bad = (pa.record_batch([[1]], names=[each]) for each in ("x", NUL))
    client.put(name, good)
    for by_name in (False, True):
        refused(lambda: client.append(name, bad, by_name=by_name))
        refused(lambda: client.put(name, iter([good, bad]), by_name=by_name))
        refused(lambda: client.put(name, pa.RecordBatchReader.from_batches(good.schema, [good, bad]), by_name=by_name))
        writer = client.writer(name, good.schema, by_name=by_name)
        refused(writer.write, bad)
        writer.abort()

    async def refusals():
        async with await farrow.aio.connect(agent.address) as other:
            for call in (other.put, other.append):
                with pytest.raises(farrow.InvalidData, match="NUL character"):
                    await call(name, bad)
            writer = other.writer(name, good.schema)
            with pytest.raises(farrow.InvalidData, match="NUL character"):
                await writer.write(bad)
            await writer.abort()

    asyncio.run(refusals())
    assert client.get(name).version == 1


def test_metadata_with_nul_cross_as_they_are(client, name):
    metadata = {b"k\0a": b"v\0b"}
    schema = pa.schema([pa.field("n", INT, metadata=metadata)], metadata)
    client.put(name, pa.table([[1]], schema=schema))
    found = client.get(name).schema
    assert (found.metadata, found.field("n").metadata) == (metadata, metadata)


def test_polars_names_with_nul_do_not_end_the_process(client, name):
    frames = [pl.DataFrame({NUL: [1]}), pl.DataFrame({"n": [[{NUL: 1}]]})]
    for data in (*frames, frames[0].lazy(), iter(frames), pl.Series(NUL, [{"n": 1}])):
        refused(client.put, name, data)


def test_objects_of_polars_are_no_addresses(client, name):
    objects = pl.DataFrame({"n": [1], "po": pl.Series([object()], dtype=pl.Object)})
    for data in (objects, objects.lazy(), iter([objects]), Nested(), objects["po"], pl.DataFrame(schema={"po": pl.Object})):
        told = refused(client.put, name, data, match="column 'po' is of Polars' type Object")
        assert told.count("Try: ") == 1
    # The error's advice works.
    client.put(name, objects.drop("po"))
    text = pl.Series("po", [str(each) for each in objects["po"]])
    client.put(name, objects.with_columns(text))
    assert client.get(name).to_polars()["po"].equals(text)
