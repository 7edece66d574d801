"""Every Arrow type by every way in and every way out: what comes out is what pyarrow has for the same source.

The formats of the command, by types: test_formats.py. Which buffers are mapped and which are copied: test_engines.py.
"""

import collections
import contextlib
import os
import subprocess

import farrow
import pyarrow as pa
import pyarrow.csv
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest
from conftest import MIB, programs
from test_formats import KINDS, as_pyarrow_writes, rows_of, tables

duckdb = pytest.importorskip("duckdb")
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

counts = collections.Counter()


@pytest.fixture(scope="module", autouse=True)
def told():
    yield
    print("\nways in and out: " + ", ".join(f"{way} {number}" for way, number in sorted(counts.items())))


@pytest.fixture(scope="module")
def plain(agent):
    with flight.connect(f"grpc+unix://{agent.address}") as plain:
        yield plain


@pytest.fixture(scope="module")
def elsewhere(agent):
    """A client that has to stream."""
    with farrow.connect(f"http://{agent.tcp}") as client:
        yield client


def made(make):
    """The object that an engine makes, or None where it cannot: Polars panics, which is no Exception."""
    try:
        return make()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return None


def write(client, name, table):
    with client.writer(name, table.schema) as writer:
        for at in range(0, max(1, table.num_rows), 2):
            writer.write(table.slice(at, 2))


def do_put(plain, name, table):
    writer, results = plain.do_put(flight.FlightDescriptor.for_path(*name.split("/")), table.schema)
    writer.write_table(table)
    writer.done_writing()
    results.read()
    writer.close()


# The ways in which an engine takes a table, and pyarrow takes the engine's.
SOURCES = {
    "pandas": (lambda table: table.to_pandas(), lambda frame: pa.Table.from_pandas(frame)),
    "Polars": (lambda table: polars.from_arrow(table), lambda frame: pa.RecordBatchReader.from_stream(frame).read_all()),
    "DuckDB": (lambda table: duckdb.from_arrow(table), lambda relation: relation.to_arrow_table()),
}


def ways_in(client, plain, name, table):
    """By way: how the rows are put, and what is then expected."""
    yield "put", lambda: client.put(name, table), table
    yield "iterator", lambda: client.put(name, iter([table.slice(0, 1), table.slice(1)])), table
    yield "writer", lambda: write(client, name, table), table
    yield "DoPut", lambda: do_put(plain, name, table), table
    for engine, (source, read) in SOURCES.items():
        # Twice: what DuckDB gives can be read once.
        data, expected = made(lambda: source(table)), made(lambda: read(source(table)))
        if data is None or expected is None:
            counts[f"in: {engine} cannot"] += 1
            continue
        try:
            expected.validate(full=True)
        except pa.ArrowInvalid:
            # Polars 1.32 gives structs whose fields are too short.
            with pytest.raises(farrow.InvalidData, match="do not fit the Arrow C data interface"):
                client.put(name, data)
            counts[f"in: {engine} gives no valid data"] += 1
            continue
        yield engine, lambda data=data: client.put(name, data), expected


def read(plain, name):
    info = plain.get_flight_info(flight.FlightDescriptor.for_path(*name.split("/")))
    return plain.do_get(info.endpoints[0].ticket).read_all()


def unsliced(table):
    """A copy of its rows alone: some engines stumble over the slices of others."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(stream.getvalue()).read_all()


def of_pandas(table):
    return repr(pa.Table.from_pandas(table.to_pandas(types_mapper=pandas.ArrowDtype), preserve_index=False).to_pylist())


OUT = {
    "mapped": lambda client, name: client.get(name).to_arrow(),
    "batches": lambda client, name: pa.Table.from_batches(client.get(name).to_batches(), client.get(name).schema),
    "dataset": lambda client, name: client.get(name).to_dataset().to_table(),
    "reader": lambda client, name: client.stream(name).read_all(),
}
ENGINES = {
    "Polars": (
        lambda frame: repr(frame.to_polars().to_dicts()),
        lambda table: repr(polars.from_arrow(table).to_dicts()),
    ),
    "DuckDB": (
        lambda frame: repr(frame.to_duckdb().fetchall()),
        lambda table: repr(duckdb.from_arrow(table).fetchall()),
    ),
    "pandas": (
        lambda frame: repr(pa.Table.from_pandas(frame.to_pandas(), preserve_index=False).to_pylist()),
        of_pandas,
    ),
}


def same(found, expected):
    found.validate(full=True)
    assert found.schema.equals(expected.schema), (found.schema, expected.schema)
    assert rows_of(found) == rows_of(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_in_and_out(client, plain, elsewhere, name, kind):
    for table in tables(kind):
        for way, put, expected in ways_in(client, plain, name, table):
            put()
            counts[f"in: {way}"] += 1
            for out, get in OUT.items():
                same(get(client, name), expected)
                counts[f"out: {out}"] += 1
            same(elsewhere.get(name).to_arrow(), expected)
            same(read(plain, name), expected)
            counts["out: streamed"] += 1
            counts["out: DoGet"] += 1
        # What engines make of the rows does not depend on how they came.
        client.put(name, table)
        frame = client.get(name)
        for engine, (ours, theirs) in ENGINES.items():
            expected = made(lambda: theirs(unsliced(table)))
            assert made(lambda: ours(frame)) == expected, engine
            counts[f"out: {engine}" if expected is not None else f"out: {engine} cannot"] += 1


def union_with_nulls(mode):
    """A union of fields that have metadata, one of whose elements is a null."""
    number, text = pa.array([1, None, 3], pa.int32()), pa.array(["a", "b", "c"])
    types, offsets = pa.array([0, 0, 1], pa.int8()), pa.array([0, 1, 2], pa.int32())
    if mode == "dense":
        return pa.UnionArray.from_dense(types, offsets, [number, text], ["n", "t"])
    return pa.UnionArray.from_sparse(types, [number, text], ["n", "t"])


def unions():
    for mode in ("dense", "sparse"):
        union = union_with_nulls(mode)
        yield mode, union
        yield f"list of {mode}", pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), union)
        yield f"struct of {mode}", pa.StructArray.from_arrays([union], ["u"])
    yield "dictionary", pa.array(["x", None, "x"]).dictionary_encode()


def test_fields_keep_nullability_and_metadata_every_way(make_agent, tmp_path):
    agent = make_agent(64 * MIB)
    agent.stop()
    config = tmp_path / "agent.toml"
    config.write_text('[[rights]]\nwho = ["anyone"]\nnames = [""]\nmay = ["read", "publish"]\n')
    agent.options = ["--config", str(config)]
    agent.start()
    with contextlib.ExitStack() as open_ones:
        client = open_ones.enter_context(farrow.connect(agent.address))
        elsewhere = open_ones.enter_context(farrow.connect(f"http://{agent.tcp}"))
        plain = open_ones.enter_context(flight.connect(f"grpc+unix://{agent.address}"))
        ways = {"in-place": client.put, "tcp": elsewhere.put, "plain": lambda name, table: do_put(plain, name, table)}
        for kind, array in unions():
            field = pa.field("a", array.type, metadata={"unit": kind})
            table = pa.table([array], schema=pa.schema([field], metadata={"of": "all"}))
            for way, put in ways.items():
                put(way, table)
                # Appended in other ways it is the same schema.
                client.append(way, table)
                elsewhere.append(way, table)
                for found in (client.get(way).to_arrow(), elsewhere.get(way).to_arrow(), read(plain, way)):
                    assert found.schema.equals(table.schema, check_metadata=True), (way, found.schema, table.schema)
                    assert found.to_pylist() == table.to_pylist() * 3


def test_all_types_in_one_file(client, name, agent, tmp_path):
    """The command takes files of pyarrow that have all types at once."""

    def put(*arguments, **options):
        environment = dict(os.environ, FARROW_ADDRESS=agent.address)
        command = [programs() / "farrow", "put", name, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, **options)
        assert done.returncode == 0, done.stderr.decode()
        return client.get(name).to_arrow()

    wide = [dict(zip(KINDS, columns)) for columns in zip(*([table[kind] for table in tables(kind)] for kind in KINDS))]
    for table in map(pa.table, wide):
        file = tmp_path / "wide.arrow"
        with pa.ipc.new_file(str(file), table.schema) as writer:
            writer.write_table(table)
        same(put(file), table)

        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        same(put("-", "--format", "ipc", input=stream.getvalue().to_pybytes()), table)

        writable = [kind for kind in KINDS if as_pyarrow_writes(table.select([kind]), tmp_path / "one.parquet")]
        expected = as_pyarrow_writes(table.select(writable), tmp_path / "wide.parquet")
        found = put(tmp_path / "wide.parquet")
        assert found.column_names == writable
        assert rows_of(found) == rows_of(expected)
        counts["in: the command"] += 3


CSV = {
    "int": ["1", "", "-3"],
    "float": ["1.5", "", "-2e3"],
    "bool": ["true", "", "false"],
    "text": ["a", "", "b c"],
    "quoted": ['"a, b"', "", '"say ""x"""'],
    "date": ["2024-02-29", "", "1999-01-01"],
    "local": ["2024-02-29 12:30:01", "", "1999-01-01 00:00:00"],
    "instant": ["2024-02-29T12:30:01Z", "", "1999-01-01T00:00:00Z"],
}


def test_csv(client, name, agent, tmp_path):
    """As pyarrow reads it, but for text: pyarrow takes an empty one for text, farrow for null."""
    file = tmp_path / "a.csv"
    file.write_text("\n".join([",".join(CSV), *map(",".join, zip(*CSV.values()))]) + "\n")
    agent.command("put", name, str(file))
    found = client.get(name).to_arrow()
    expected = pa.csv.read_csv(file, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))
    assert rows_of(found) == rows_of(expected)
    out = tmp_path / "b.csv"
    agent.command("get", name, "-o", str(out))
    assert rows_of(pa.csv.read_csv(out, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))) == rows_of(found)
