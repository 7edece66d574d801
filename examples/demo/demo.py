"""farrow at work on real data, with a check behind every claim: `cargo xtask demo`.

README.md beside this file says how its figures are made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import types

import farrow
import polars as pl
import pyarrow as pa
import pyarrow.flight as flight

import data
import queries
from buffers import buffers_outside, sum_of_bytes
from processes import Reader, memory, python_sums
from reader import stream
from sandbox import MIB, Failed, Sandbox, wait_until

RUNS = 5
SCRATCH_BYTES = 64 * MIB


class Demo:
    """The story's state; a method for each of its steps, in the order in which they are told."""

    def __init__(self, sandbox: Sandbox, scale: float):
        self.sandbox = sandbox
        self.scale = scale
        self.number = 0
        self.names = ["flights", *(f"tpch/{table}" for table in data.TPCH_TABLES)]
        self.copies = {}
        self.client = None

    def step(self, title: str):
        self.number += 1
        print(f"\n{self.number}. {title}")

    def make_region(self):
        self.step("A region and its agent")
        say("The region is a famfs file system in one file of shared memory.")
        print_command(f"farrow mkfs --size {self.sandbox.region_bytes // MIB}MiB {self.sandbox.region}")
        print_output(self.sandbox.mkfs())
        self.sandbox.start_agent()
        say(f"The agent is process {self.sandbox.agent.pid}. It speaks Arrow Flight on a unix socket")
        say(f"and on {self.sandbox.tcp}.")
        self.client = farrow.connect(self.sandbox.address)

    def publish(self):
        self.step("Publish")
        flights = data.flights()
        start = time.perf_counter()
        info = self.client.put("flights", flights)
        milliseconds = (time.perf_counter() - start) * 1e3
        say("Python publishes the flights that left New York in 2013, read from a CSV file:")
        say(f"  {info.name:<14} v{info.version} {info.rows:>9} rows {mib(info.bytes)} in {milliseconds:.1f} ms")
        say(f"Rust publishes the tables of TPC-H at scale factor {self.scale}:")
        for line in self.sandbox.run("publish_tpch", str(self.scale)).splitlines():
            say("  " + line)
        found = [info.name for info in self.client.list()]
        check(sorted(found) == sorted(self.names), f"the frames {sorted(self.names)}", sorted(found))
        say("For the checks below, all of it is read and generated again, apart from farrow.")
        self.copies = {"flights": data.flights(), **data.tpch(self.sandbox, self.scale)}

    def map_in_processes(self):
        self.step("Map the frames in other processes, and sum every column")
        expected = [
            "\t".join(str(part) for part in line)
            for name in self.names
            for line in data.column_sums(name, self.copies[name])
        ]
        for language, found in (
            ("Rust", self.sandbox.run("demo_sums", *self.names)),
            ("Python", python_sums(self.sandbox, self.names)),
        ):
            for want, have in zip(expected, found.splitlines()):
                check(want == have, f"in {language} frame, column, nulls, sum: {want}", have)
            check(len(found.splitlines()) == len(expected), f"{len(expected)} sums in {language}", found)
            say(f"A {language + ' process':<15} {len(self.names)} frames, {len(expected)} columns: all sums are right.")

    def prove_zero_copy(self):
        self.step("Nothing was copied: every buffer lies inside the mapping")
        total = 0
        for name in self.names:
            frame = self.client.get(name)
            check(frame.zero_copy, f"{name} to be mapped", f"streamed: {frame.why}")
            table = frame.to_arrow()
            count, outside = buffers_outside(table, frame.mapping)
            check(count > 0 and not outside, f"all {count} buffers of {name} inside {frame.mapping}", outside)
            total += count
            check(table.equals(self.copies[name]), f"{name} to equal the copy", "other rows")
        say(f"{total} buffers of {len(self.names)} frames; the rows equal the copy's.")

    def ask(self):
        self.step("Ask DuckDB and Polars")
        frames = {"flights": self.client.get("flights"), "lineitem": self.client.get("tpch/lineitem")}
        copies = {"flights": self.copies["flights"], "lineitem": self.copies["tpch/lineitem"]}
        for question in queries.SQL:
            table = "flights" if "flights" in queries.SQL[question] else "lineitem"
            answers = []
            for engine, mapped, copy in (
                (queries.in_duckdb, frames[table], copies[table]),
                (queries.in_polars, frames[table].to_polars(), pl.from_arrow(copies[table])),
            ):
                start = time.perf_counter()
                answer = engine(question, {table: mapped})
                answers.append((answer, (time.perf_counter() - start) * 1e3))
                expected = engine(question, {table: copy})
                check(queries.same_rows(answer, expected), f"{question} over the copy: {expected}", answer)
            (duckdb_rows, duckdb_time), (polars_rows, polars_time) = answers
            check(queries.same_rows(duckdb_rows, polars_rows), f"{question} in Polars: {polars_rows}", duckdb_rows)
            say(
                f"{question:<17} DuckDB {duckdb_time:>6.1f} ms   Polars {polars_time:>6.1f} ms   "
                f"{len(duckdb_rows)} row{'s' if len(duckdb_rows) != 1 else ''}, the same as over the copy"
            )
            if question == "delay by carrier":
                worst, best = duckdb_rows[0], duckdb_rows[-1]
                say(f"  {worst[0]} left {worst[2]:.1f} minutes late on average, {best[0]} {best[2]:.1f}.")

    def read_with_plain_pyarrow(self):
        self.step("Read the same rows with plain pyarrow, which knows nothing of farrow")
        for location in (f"grpc+unix://{self.sandbox.address}", f"grpc+tcp://{self.sandbox.tcp}"):
            with flight.connect(location) as client:
                rows = 0
                for name in self.names:
                    table = stream(client, name)
                    check(table.equals(self.copies[name]), f"the rows of {name} over {location}", "other rows")
                    rows += table.num_rows
            road = "over the unix socket" if "unix" in location else "over TCP"
            say(f"{rows} rows {road}: equal.")

    def kill_a_reader(self):
        self.step("Kill a reader: its lease goes with it")
        with Reader(self.sandbox, "mapped", ["tpch/orders"]) as reader:
            reader.map_everything()
            check(self._leases_of(reader.pid) == ["tpch/orders"], "a lease on tpch/orders", self.client.leases())
            print_command("farrow leases")
            print_output(self.sandbox.farrow("leases"))
            reader.kill()
            start = time.perf_counter()
            wait_until(lambda: not self._leases_of(reader.pid), f"the lease of killed process {reader.pid} to go")
            say(f"kill -9 {reader.pid}: the lease was gone {(time.perf_counter() - start) * 1e3:.1f} ms later.")
            print_command("farrow leases")
            print_output(self.sandbox.farrow("leases"))

    def _leases_of(self, pid: int) -> list:
        return [lease.name for lease in self.client.leases() if lease.pid == pid]

    def drop_a_mapped_frame(self):
        self.step("Drop a frame that is mapped: its bytes wait for their reader")
        say("By the figures of `farrow df`:")
        before = self._usage()
        self._print_usage("before", before)
        numbers = pa.table({"n": pa.array(range(SCRATCH_BYTES // 8), pa.int64())})
        size = self.client.put("scratch/numbers", numbers).bytes
        with Reader(self.sandbox, "mapped", ["scratch/numbers"]) as reader:
            reader.map_everything()
            self._print_usage("published, and mapped by a reader", self._usage())
            dropped = self.client.drop("scratch/numbers")
            check(dropped.bytes_held >= size, f"{size} bytes or more held by the reader", dropped)
            usage = self._usage()
            self._print_usage("dropped, still mapped", usage)
            check(usage.held >= size, f"{size} bytes or more held", usage)
            check(usage.free <= before.free - size, f"at most {before.free - size} bytes free", usage)
            reader.let_go()
            wait_until(lambda: self._usage().held == before.held, "the held bytes to be freed")
        usage = self._usage()
        self._print_usage("the reader has let go", usage)
        check(usage.free == before.free, f"{before.free} bytes free, as before", usage)
        # More than ever was free: it fits only because each put takes the space of the one before.
        rounds = usage.free // size + 2
        for _ in range(rounds):
            self.client.put("scratch/numbers", numbers)
            self.client.drop("scratch/numbers")
        usage = self._usage()
        self._print_usage(f"put and dropped {rounds} times more", usage)
        check(usage.free == before.free, f"{before.free} bytes free, as before", usage)

    def _usage(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(**json.loads(self.sandbox.farrow("df", "--json")))

    def _print_usage(self, when: str, usage):
        say(f"{when:<34} used {mib(usage.used)}  held {mib(usage.held)}  free {mib(usage.free)}")

    def measure_time(self):
        self.step(f"Time to get a frame and read every byte of it, median of {RUNS}")
        say(f"{'frame':<14} {'rows':>8} {'size':>10} {'mapped':>10} {'streamed':>10} {'ratio':>7}")
        with flight.connect(f"grpc+unix://{self.sandbox.address}") as plain:
            for name in self.names:
                frame = self.client.get(name)
                rows, size = frame.num_rows, frame.nbytes
                del frame
                mapped, streamed = [], []
                for _ in range(RUNS):
                    mapped.append(seconds(lambda: sum_of_bytes(self.client.get(name).to_arrow())))
                    streamed.append(seconds(lambda: sum_of_bytes(stream(plain, name))))
                fast, slow = statistics.median(mapped), statistics.median(streamed)
                say(f"{name:<14} {rows:>8} {mib(size)} {ms(fast)} {ms(slow)} {slow / fast:>6.1f}x")

    def measure_memory(self):
        names = ["flights", "tpch/lineitem", "tpch/orders", "tpch/partsupp"]
        size = sum(self.client.get(name).nbytes for name in names)
        self.step(f"Memory that readers of the same {size / MIB:.1f} MiB add (PSS)")
        say(f"{'readers':<10} {'mapped':>10}  {'(their own)':>11} {'streamed':>10}")
        for count in (1, 2, 4):
            mapped, own = self._memory_of(count, "mapped", names)
            streamed, _ = self._memory_of(count, "streamed", names)
            own_part = f"({mib(own).strip()})"
            say(f"{count:<10} {mib(mapped)}  {own_part:>11} {mib(streamed)}")
            check(mapped < 1.1 * size, f"{count} mapped readers to share one copy of {size} bytes", mapped)
            check(own < 0.1 * size, f"{count} mapped readers to have next to no pages of their own", own)
        say("The pages are the region's: mapped readers share them with the agent and with this process,")
        say("and each carries its part.")

    def _memory_of(self, count: int, mode: str, names: list) -> tuple:
        """PSS and private memory that the frames add to `count` readers, in bytes."""
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(Reader(self.sandbox, mode, names)) for _ in range(count)]
            for reader in readers:
                reader.expect("connected")
            before = [sum(part) for part in zip(*(memory(reader.pid) for reader in readers))]
            for reader in readers:
                reader.go_on()
            for reader in readers:
                reader.expect("ready")
            after = [sum(part) for part in zip(*(memory(reader.pid) for reader in readers))]
            return after[0] - before[0], after[1] - before[1]

    def check_region(self):
        self.step("Stop the agent and check the region")
        self.client.close()
        code = self.sandbox.stop_agent()
        check(code == 0, "the agent to end with exit 0", code)
        print_command(f"farrow fsck {self.sandbox.region}")
        print_output(self.sandbox.farrow("fsck", str(self.sandbox.region)))


def check(good: bool, expected: str, found):
    if not good:
        raise Failed(f"expected {expected}; found {found}")


def seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def say(text: str):
    print("   " + text)


def print_command(command: str):
    say("$ " + command)


def print_output(text: str):
    for line in text.rstrip().splitlines():
        say("  " + line)


def mib(count: int) -> str:
    return f"{count / MIB:>6.1f} MiB"


def ms(duration: float) -> str:
    return f"{duration * 1e3:>7.2f} ms"


def print_what_next(programs):
    print(f"""
All checks passed, and nothing is left behind. To go on by hand, in one terminal:

    export PATH={programs}:$PATH
    farrow mkfs --size 1GiB /dev/shm/farrow
    farrow-agent --region /dev/shm/farrow --socket /tmp/farrow.sock --state-dir /tmp/farrow-state

and in another:

    export PATH={programs}:$PATH FARROW_ADDRESS=/tmp/farrow.sock
    source {sys.prefix}/bin/activate
    publish_tpch 0.1
    farrow ls -l
    python examples/python/get.py tpch/orders""")


def main() -> int:
    parser = argparse.ArgumentParser(description="farrow at work on real data")
    parser.add_argument("--scale", type=float, default=0.1, help="scale factor of the TPC-H tables (default 0.1)")
    scale = parser.parse_args().scale
    # Twice what the frames take, and what the step that drops a frame needs.
    region_bytes = 64 * MIB * round(6 + 56 * scale)
    try:
        with Sandbox(region_bytes) as sandbox:
            demo = Demo(sandbox, scale)
            demo.make_region()
            demo.publish()
            demo.map_in_processes()
            demo.prove_zero_copy()
            demo.ask()
            demo.read_with_plain_pyarrow()
            demo.kill_a_reader()
            demo.drop_a_mapped_frame()
            demo.measure_time()
            demo.measure_memory()
            demo.check_region()
    except (Failed, farrow.Error) as problem:
        print(f"\nFAILED: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    print_what_next(sandbox.programs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
