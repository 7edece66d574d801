"""Threads, multiprocessing, subinterpreters, and the program's end."""

import concurrent.futures
import subprocess
import sys
import threading

import farrow
import pyarrow as pa
import pytest
from conftest import eventually

TABLE = pa.table({"n": range(10_000)})
SUM = sum(range(10_000))


def test_threads_share_a_client(client, name):
    client.put(name, TABLE)

    def work(n: int) -> int:
        client.put(f"{name}/{n}", pa.table({"n": [n]}))
        return sum(client.get(name)["n"].to_pylist()) + client.get(f"{name}/{n}")["n"][0].as_py()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(64))) == [SUM + n for n in range(64)]


def test_other_threads_go_on_while_data_is_read(client, name):
    """What is put may need another thread of Python before it goes on."""
    asked, answered = threading.Event(), threading.Event()

    def batches():
        yield TABLE.to_batches()[0]
        asked.set()
        assert answered.wait(timeout=20), "the other thread stood still"
        yield TABLE.to_batches()[0]

    def answer():
        asked.wait(timeout=20)
        answered.set()

    other = threading.Thread(target=answer)
    other.start()
    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    assert client.put(name, reader).rows == 20_000
    other.join()


# A program of its own: what goes wrong in a fork is a crash or a hang.
POOL = """
import concurrent.futures, multiprocessing, sys
import farrow

def total(address, name):
    with farrow.connect(address) as client:
        return sum(client.get(name)["n"].to_pylist())

if __name__ == "__main__":
    method, address, name = sys.argv[1:]
    kept = farrow.connect(address).get(name).to_arrow()
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        sums = list(pool.map(total, [address] * 4, [name] * 4))
    print(sums, sum(kept["n"].to_pylist()))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_each_start_method(agent, client, name, method, tmp_path):
    client.put(name, TABLE)
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    command = [sys.executable, "-W", "ignore", str(script), method, agent.address, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.stdout == f"{[SUM] * 4} {SUM}\n"


# Servers load, then fork.
INHERITED = """
import multiprocessing, sys
import farrow, pyarrow.compute as pc

table = farrow.connect(sys.argv[1]).get(sys.argv[2]).to_arrow()

def total(first):
    return pc.sum(table["n"].slice(first, 1000)).as_py()

with multiprocessing.get_context("fork").Pool(3) as pool:
    print(sum(pool.map(total, range(0, 10_000, 1000))))
"""


def test_a_pool_reads_what_was_mapped_before_it(agent, client, name):
    client.put(name, TABLE)
    command = [sys.executable, "-W", "ignore", "-c", INHERITED, agent.address, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.stdout == f"{SUM}\n"
    eventually(lambda: not any(lease.name == name for lease in client.leases()), "nothing to be held any more")


SUBINTERPRETER = """
import sys
{main}
code = '''
try:
    import farrow
    print("imported")
except ImportError as error:
    print(type(error).__name__, error)
'''
try:
    import _interpreters as interpreters
except ImportError:
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        sys.exit(3)
# One that shares the lock, as those of before 3.12 do.
try:
    other = interpreters.create("legacy")
except TypeError:
    other = interpreters.create(isolated=False)
failed = (getattr(interpreters, "exec", None) or interpreters.run_string)(other, code)
print(failed or "", flush=True)
"""


@pytest.mark.parametrize("main", ["import farrow", ""], ids=["beside the main one", "alone"])
def test_a_subinterpreter_is_refused(main):
    command = [sys.executable, "-c", SUBINTERPRETER.format(main=main)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode == 3:
        pytest.skip("this Python has no module for subinterpreters")
    assert "imported" not in done.stdout
    assert "ImportError farrow cannot be used in a subinterpreter" in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout


def test_a_program_may_end_in_the_middle_of_a_call(agent):
    script = (
        "import asyncio, sys, threading, farrow, farrow.aio\n"
        "client = farrow.connect(sys.argv[1])\n"
        "threading.Thread(target=lambda: client.get('never', wait=3600), daemon=True).start()\n"
        "async def main():\n"
        "    other = await farrow.aio.connect(sys.argv[1])\n"
        "    asyncio.ensure_future(other.get('never', wait=3600))\n"
        "    await other.usage()\n"
        "    print('done', flush=True)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, agent.address]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("done\n", 0)
