"""The buffers behind pyarrow tables: where they are, and a sum over every byte of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def buffers_of(array: pa.Array):
    """Every buffer of an array that has bytes: its own, its children's, its dictionary's."""
    for buffer in array.buffers():
        if buffer is not None and buffer.size > 0:
            yield buffer
    if pa.types.is_dictionary(array.type):
        yield from buffers_of(array.dictionary)


def buffers_outside(table: pa.Table, mappings: list) -> tuple:
    """(how many buffers there are, the columns of those that are not inside any of the mappings)."""
    count, outside = 0, []
    for name in table.column_names:
        for chunk in table[name].chunks:
            for buffer in buffers_of(chunk):
                count += 1
                first, end = buffer.address, buffer.address + buffer.size
                if not any(address <= first and end <= address + length for address, length in mappings):
                    outside.append(name)
    return count, outside


def sum_of_bytes(table: pa.Table) -> int:
    """Reads every byte of every buffer: the sum of their 8-byte words, and of the bytes left over."""
    total = 0
    for column in table.columns:
        for chunk in column.chunks:
            for buffer in buffers_of(chunk):
                words = buffer.size // 8
                total += int(np.frombuffer(buffer, np.uint64, words).sum(dtype=np.uint64))
                total += sum(buffer[8 * words :].to_pybytes())
    return total
