"""farrow at work on real data, with a check behind every claim: `cargo xtask demo`.

README.md beside this file says how its figures are made.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics
import sys
import time
import types

import farrow
import polars as pl
import pyarrow as pa
import pyarrow.flight as flight

import data
import measure
import plot
import queries
from buffers import buffers_outside
from processes import Reader, python_sums
from reader import stream
from report import check, mib, print_command, print_output, say
from sandbox import MIB, REPOSITORY, Failed, Sandbox, wait_until

QUERY_RUNS = 3
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
        self.alone, self.shared = [], []

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
        say(f"Rust publishes the tables of TPC-H at scale factor {self.scale:g}, while it generates them:")
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
        self.step("Nothing was copied: every buffer lies inside a mapping of the region")
        total = 0
        for name in self.names:
            frame = self.client.get(name)
            check(frame.zero_copy, f"{name} to be mapped", f"streamed: {frame.why}")
            table = frame.to_arrow()
            count, outside = buffers_outside(table, frame.mappings)
            check(count > 0 and not outside, f"all {count} buffers of {name} inside {frame.mappings}", outside)
            total += count
            check(table.equals(self.copies[name]), f"{name} to equal the copy", "other rows")
        say(f"{total} buffers of {len(self.names)} frames; the rows equal the copy's.")

    def ask(self):
        self.step("Ask DuckDB and Polars: over the mapped frames, and over the copy in this process")
        frames = {name: self.client.get(name) for name in self.names}
        plain = {name: name.rpartition("/")[2] for name in self.names}
        engines = []
        for engine, of_frame, of_copy in (
            (queries.InDuckdb, farrow.Frame.to_arrow, lambda table: table),
            (queries.InPolars, farrow.Frame.to_polars, pl.from_arrow),
        ):
            mapped = engine({plain[name]: of_frame(frame) for name, frame in frames.items()}, self.scale)
            copied = engine({plain[name]: of_copy(table) for name, table in self.copies.items()}, self.scale)
            engines.append((mapped, copied))
        say(f"{'':<16} {'DuckDB':^29}   {'Polars':^29}")
        say(f"{'':<16}" + 2 * f" {'mapped':>10} {'copy':>10} {'ratio':>7}  " + f" {'rows':>6}, all four the same")
        ratios = ([], [])
        for question in (queries.DELAYS, *queries.TPCH):
            answers, columns = [], []
            for ratio, (mapped, copied) in zip(ratios, engines):
                answer, fast, expected, slow = in_turn(mapped, copied, question)
                check(queries.same_rows(answer, expected), f"{question} over the copy: {expected[:3]}", answer[:3])
                answers.append(answer)
                columns.append(f"{fast * 1e3:>7.1f} ms {slow * 1e3:>7.1f} ms {fast / slow:>6.2f}x")
                ratio.append(fast / slow)
            check(queries.same_rows(*answers), f"{question} in Polars: {answers[1][:3]}", answers[0][:3])
            if self.scale == 1 and question in queries.ROWS_AT_SCALE_1:
                rows = queries.ROWS_AT_SCALE_1[question]
                check(len(answers[0]) == rows, f"{rows} rows of {question}, as TPC-H says", len(answers[0]))
            title = question if question == queries.DELAYS else f"TPC-H {question.upper()}"
            say(f"{title:<16} {columns[0]}   {columns[1]}   {len(answers[0]):>6}")
            if question == queries.DELAYS:
                worst, best = answers[0][0], answers[0][-1]
        means = [f"{math.exp(statistics.fmean(map(math.log, ratio))):>6.2f}x" for ratio in ratios]
        say(f"{'geometric mean':<16} {'':>21} {means[0]}   {'':>21} {means[1]}")
        say(f"{worst[0]} left {worst[2]:.1f} minutes late on average, {best[0]} {best[2]:.1f}.")
        say(f"Median of {QUERY_RUNS}, mapped and copy in turn, of the query and its answer's rows. The queries: tpch/*.sql")
        say("and tpch_polars.py beside this program; derived from TPC-H, so not to be compared with its results.")

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
        self.step("Time to get a frame and read every byte of it")
        self.alone = measure.times(self.sandbox, self.client, self.names)
        say(f"Median of {measure.RUNS}, in this process, over one connection, mapped and streamed in turn: mapped by")
        say("farrow's get, streamed by plain pyarrow.flight over the same unix socket.")

    def measure_sharing(self):
        self.step("Time and memory of readers at the same time: of frames of any size, and of any number of readers")
        # What the checks needed is no part of it.
        self.copies.clear()
        self.shared = measure.shares(self.sandbox, self.client)
        say(f"Each reader is a process. Time: median of {measure.GROUP_RUNS}, from telling all until the last is done. Memory: PSS")
        say("of /proc/PID/smaps_rollup, all readers' together, once all have read all, less before they had it.")
        say("The pages are the region's: mapped readers share them with the agent and with this process,")
        say("and each carries its part.")

    def draw(self, path: pathlib.Path):
        plot.draw(self.alone, self.shared, f"farrow: TPC-H at scale factor {self.scale:g} and flights", path)
        self.step("The two tables as a picture")
        say(str(path))

    def check_region(self):
        self.step("Stop the agent and check the region")
        self.client.close()
        code = self.sandbox.stop_agent()
        check(code == 0, "the agent to end with exit 0", code)
        print_command(f"farrow fsck {self.sandbox.region}")
        print_output(self.sandbox.farrow("fsck", str(self.sandbox.region)))


def in_turn(mapped, copied, question: str) -> tuple:
    """Answer and median time of either, asked in turn."""
    times = ([], [])
    answers = [None, None]
    for _ in range(QUERY_RUNS):
        for which, engine in enumerate((mapped, copied)):
            start = time.perf_counter()
            answers[which] = engine.ask(question)
            times[which].append(time.perf_counter() - start)
    return answers[0], statistics.median(times[0]), answers[1], statistics.median(times[1])


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
    python examples/python/get.py tpch/orders
    python examples/python/watch.py          # and in a third: publish
    farrow leases

examples/README.md has more of this, and crates/GUIDE.md says what it means.""")


def main() -> int:
    parser = argparse.ArgumentParser(description="farrow at work on real data")
    parser.add_argument("--scale", type=float, default=1.0, help="scale factor of the TPC-H tables (default 1)")
    parser.add_argument("--plot", type=pathlib.Path, default=REPOSITORY / "target/demo.svg", help="the picture's file")
    arguments = parser.parse_args()
    scale = arguments.scale
    # Half as much again as the frames take, and what the step that drops a frame needs.
    region_bytes = 64 * MIB * math.ceil(6 + 40 * scale)
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
            demo.measure_sharing()
            demo.draw(arguments.plot)
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
