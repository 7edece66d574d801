"""Programs end as they mean to, whatever farrow's threads do at that moment, and daemons begin anew."""

import concurrent.futures
import os
import subprocess
import sys

import pytest

#: Runs of the shortest program, and of each other. Without care, every second of the shortest is ended by SIGABRT: of
#: 4,096 such tests one would pass.
MANY, SOME = 12, 4

ONE_CALL = """
async def main():
    client = await farrow.aio.connect()
    assert (await client.health()).serving
asyncio.run(main())
"""

GIVEN_UP = """
table = pa.table({"n": range(1_000_000)})
def slowly():
    for batch in table.to_batches(max_chunksize=10_000):
        yield batch
async def main():
    client = await farrow.aio.connect()
    tasks = [asyncio.create_task(client.put("tests/exit", table)) for _ in range(3)]
    reader = pa.RecordBatchReader.from_batches(table.schema, slowly())
    tasks.append(asyncio.create_task(client.put("tests/exit", reader)))
    tasks.append(asyncio.create_task(client.watch().__anext__()))
    await asyncio.sleep(0.002)
asyncio.run(main())
"""

THREADS = """
client = farrow.connect()
def call():
    while True:
        client.list()
for _ in range(4):
    threading.Thread(target=call, daemon=True).start()
watch = client.watch()
threading.Thread(target=lambda: next(watch), daemon=True).start()
time.sleep(0.01)
"""

WRITER = """
client = farrow.connect()
table = pa.table({"n": range(100_000)})
def write():
    while True:
        writer = client.writer("tests/exit", table.schema)
        writer.write(table)
        writer.abort()
for _ in range(2):
    threading.Thread(target=write, daemon=True).start()
time.sleep(0.01)
"""

#: The native module asks for data, and what it asks lets go of Python's lock and asks for it again and again.
ASKED = """
table = pa.table({"n": range(10)})
asked = threading.Event()
class Slow:
    def __arrow_c_stream__(self, requested_schema=None):
        asked.set()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            time.sleep(0.0002)
        return table.__arrow_c_stream__()
threading.Thread(target=farrow._farrow.size, args=(Slow(),), daemon=True).start()
asked.wait()
"""

FAILS = """
async def main():
    client = await farrow.aio.connect()
    asyncio.create_task(client.put("tests/exit", pa.table({"n": range(100_000)})))
    await client.get("tests/none")
try:
    asyncio.run(main())
except farrow.NotFound:
    sys.exit(3)
"""

AT_EXIT = """
client = farrow.connect()
# Before farrow's own, and after it.
atexit.register(client.list)
class Late:
    def __del__(self):
        try:
            client.list()
        except farrow.Error:
            pass
late = Late()
"""

HEAD = "import asyncio, atexit, sys, threading, time\n{first}\nimport farrow, farrow.aio, pyarrow as pa\n"

AFTER = """
def later():
    try:
        farrow.connect().list()
    except farrow.Error:
        pass
atexit.register(later)
"""


def ended(agent, script: str, first: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", HEAD.format(first=first) + script],
        env=dict(os.environ, FARROW_ADDRESS=agent.address),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "script, runs, code",
    [
        (ONE_CALL, MANY, 0),
        (GIVEN_UP, SOME, 0),
        (THREADS, SOME, 0),
        (WRITER, SOME, 0),
        (ASKED, SOME, 0),
        (FAILS, SOME, 3),
        (AT_EXIT, SOME, 0),
    ],
    ids=["one-call", "given-up", "threads", "writer", "asked", "fails", "at-exit"],
)
def test_a_program_ends_as_it_means_to(agent, script, runs, code):
    first = AFTER if script is AT_EXIT else ""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(lambda _: ended(agent, script, first), range(runs)))
    assert [(run.returncode, run.stdout) for run in done] == [(code, "")] * runs


#: From Python 3.12 on, a fork is warned of if it sees a thread, such as the one that serves the client's calls.
DAEMON = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
farrow.connect().list()
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.setsid()
os.closerange(3, 256)
assert farrow.connect().health().serving
assert asyncio.run(farrow.aio.connect()) is not None
"""


def test_a_daemon_that_closed_every_descriptor_connects_anew(agent):
    run = ended(agent, DAEMON)
    assert (run.returncode, run.stdout) == (0, "")


INTERRUPTED = """
import signal
client = farrow.connect()
table = pa.table({"n": range(1_000_000)})
class Interrupt(Exception): pass
def interrupt(*_): raise Interrupt
signal.signal(signal.SIGALRM, interrupt)
interrupted = 0
for step in range(40):
    signal.setitimer(signal.ITIMER_REAL, 0.0002 * (step + 1))
    try:
        client.put("tests/interrupted", table)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupt:
        interrupted += 1
deadline = time.monotonic() + 20
while reserved := client.usage().reserved:
    assert time.monotonic() < deadline, f"{reserved} bytes reserved by nobody"
    time.sleep(0.005)
"""


def test_a_put_that_a_signal_interrupts_leaves_nothing(make_agent):
    run = ended(make_agent(512 << 20), INTERRUPTED)
    assert (run.returncode, run.stdout) == (0, "")
