"""A forked child reads on what its parent has mapped; the agent counts it. All else it asks for itself."""

import os
import signal
import socket
import subprocess
import sys

import farrow
import pyarrow as pa
import pytest
from conftest import MIB, eventually, leases_of

ROWS = 500_000
TABLE = pa.table({"n": range(ROWS)})
SUM = sum(range(ROWS))

# Programs of their own: what goes wrong in a fork is a crash or a hang. Each of their processes evaluates what it is asked
# over its socket.
PROGRAM = """
import ctypes, gc, os, signal, socket, sys, threading
import farrow, pyarrow.compute as pc

address, *numbers = sys.argv[1:]
sockets = [socket.socket(fileno=int(number)) for number in numbers]
frames, tables = {}, {}

def serve(own):
    lines = own.makefile("rw")
    for line in lines:
        try:
            said = repr(eval(line, globals()))
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        print(said, file=lines, flush=True)

def get(name):
    frames[name] = client.get(name)
    tables[name] = frames[name].to_arrow()
    return frames[name].zero_copy

def total(name):
    return pc.sum(tables[name]["n"]).as_py()

def release(name):
    del frames[name], tables[name]
    return gc.collect() * 0

def fork(number):
    child = os.fork()
    if child == 0:
        serve(sockets[number])
        os._exit(0)
    return child

def clone(number):
    # As a program does that goes round the C library: no handler of fork is called.
    child = ctypes.CDLL(None).syscall(56 if os.uname().machine == "x86_64" else 220, signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        serve(sockets[number])
        os._exit(0)
    return child

def close_all_but(number):
    own = sockets[number].fileno()
    os.closerange(3, own)
    os.closerange(own + 1, 1 << 16)

client = farrow.connect(address)
serve(sockets[0])
"""


class Process:
    """One process of the program."""

    def __init__(self, own: socket.socket):
        self.own = own
        self.lines = own.makefile("rw")

    def __call__(self, code: str):
        print(code, file=self.lines, flush=True)
        said = self.lines.readline().strip()
        assert said, f"it ended: {code}"
        try:
            return eval(said, {"__builtins__": {}})
        except (SyntaxError, NameError):
            return said


class Family:
    """A program: its first process is `parent`, and those that it forks are numbered from 1."""

    def __init__(self, address: str):
        pairs = [socket.socketpair() for _ in range(5)]
        theirs = [str(its.fileno()) for _, its in pairs]
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, address, *theirs]
        self.popen = subprocess.Popen(command, pass_fds=[int(number) for number in theirs])
        for _, its in pairs:
            its.close()
        self.processes = [Process(own) for own, _ in pairs]
        self.parent = self.processes[0]
        self.pids = []

    def fork(self, number: int, by: int = 0, how: str = "fork") -> Process:
        self.pids.append(self.processes[by](f"{how}({number})"))
        return self.processes[number]

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def close(self):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.kill()
        for process in self.processes:
            process.lines.close()
            process.own.close()


@pytest.fixture
def small(make_agent):
    """An agent whose region a few frames fill."""
    return make_agent(64 * MIB)


@pytest.fixture
def family():
    families = []

    def start(agent) -> Family:
        families.append(Family(agent.address))
        return families[-1]

    yield start
    for each in families:
        each.close()


def drop_and_fill(client: farrow.Client, name: str):
    """Drops a frame, and writes other numbers wherever there is room."""
    assert client.drop(name).bytes_freed == 0, "nobody holds it"
    filled = 0
    while True:
        try:
            client.put(f"filler/{filled}", pa.table({"n": pa.array([-1 - filled] * ROWS)}))
            filled += 1
        except farrow.RegionFull:
            break
    assert filled >= 3


def nothing_is_held(client: farrow.Client):
    eventually(lambda: client.usage().held == 0 and not client.leases(), "nothing to be held any more")


@pytest.fixture
def mapped(small, family):
    """A family whose parent has the frame `a`, a client, and what was used before."""
    with farrow.connect(small.address) as client:
        before = client.usage().used
        client.put("a", TABLE)
        found = family(small)
        assert found.parent("get('a')") is True
        yield found, client, before


def test_a_child_reads_on_when_its_parent_has_let_go(mapped):
    family, client, before = mapped
    child = family.fork(1)
    assert (family.parent("total('a')"), child("total('a')")) == (SUM, SUM)
    family.parent("release('a')")
    eventually(lambda: [lease.inherited for lease in client.leases()] == [True], "the lease to be the child's")
    assert leases_of(client, family.popen.pid) == ["a@1"], "it is listed with who got it"
    drop_and_fill(client, "a")
    assert child("total('a')") == SUM
    # The parent goes on, and what it gets now is none of the child's.
    assert family.parent("get('filler/0')") is True
    family.parent("release('filler/0')")
    eventually(lambda: not any(lease.name == "filler/0" for lease in client.leases()), "the other lease to end")
    assert child("total('a')") == SUM
    os.kill(family.pids[0], signal.SIGKILL)
    nothing_is_held(client)
    client.drop(prefix="filler/")
    assert client.usage().used == before


def test_a_child_reads_on_when_its_parent_was_killed(mapped):
    family, client, _ = mapped
    child = family.fork(1)
    family.kill()
    eventually(lambda: [lease.inherited for lease in client.leases()] == [True], "the lease to be the child's")
    # An operator finds it so.
    with open(f"/proc/{family.pids[0]}/maps") as maps:
        assert f".pages/{family.popen.pid}." in maps.read()
    drop_and_fill(client, "a")
    assert child("total('a')") == SUM
    os.kill(family.pids[0], signal.SIGKILL)
    nothing_is_held(client)


def test_a_grandchild_reads_on_when_nobody_else_is_left(mapped):
    family, client, _ = mapped
    family.fork(1)
    grandchild = family.fork(2, by=1)
    family.kill()
    os.kill(family.pids[0], signal.SIGKILL)
    drop_and_fill(client, "a")
    assert grandchild("total('a')") == SUM
    os.kill(family.pids[1], signal.SIGKILL)
    nothing_is_held(client)


def test_a_child_that_closes_all_descriptors_is_counted(mapped):
    family, client, _ = mapped
    child = family.fork(1)
    child("close_all_but(1)")
    family.kill()
    drop_and_fill(client, "a")
    assert child("total('a')") == SUM
    os.kill(family.pids[0], signal.SIGKILL)
    nothing_is_held(client)


def test_a_child_that_becomes_another_program_holds_nothing(mapped):
    family, client, _ = mapped
    child = family.fork(1)
    print("os.execvp('sleep', ['sleep', '1000'])", file=child.lines, flush=True)
    family.parent("release('a')")
    client.drop("a")
    nothing_is_held(client)
    os.kill(family.pids[0], 0)


def test_children_that_come_and_go_leave_nothing(mapped):
    family, client, before = mapped
    for round in range(100):
        family.parent(f"(child := fork(1)) and os.kill(child, {signal.SIGKILL}) or os.waitpid(child, 0)")
        if round % 10 == 9:
            family.parent("release('a')")
            assert family.parent("get('a')") is True
    assert family.parent("total('a')") == SUM
    family.parent("release('a')")
    client.drop("a")
    nothing_is_held(client)
    assert client.usage().used == before


def restart(agent):
    """Kills the agent and starts another, once this process is off the record."""
    [record] = agent.state.glob("*.holders")
    eventually(lambda: f"pid {os.getpid()} " not in record.read_text(), "the record to be tidy")
    agent.process.kill()
    agent.process.wait()
    agent.start()


def test_only_a_child_is_left_when_the_agent_is_killed(mapped, small):
    family, client, _ = mapped
    child = family.fork(1)
    family.parent("release('a')")
    eventually(lambda: [lease.inherited for lease in client.leases()] == [True], "the lease to be the child's")
    family.kill()
    restart(small)
    with farrow.connect(small.address) as client:
        drop_and_fill(client, "a")
        assert child("total('a')") == SUM
        os.kill(family.pids[0], signal.SIGKILL)
        nothing_is_held(client)


def test_a_parent_outlives_the_agent_and_forks_then(mapped, small):
    family, client, _ = mapped
    restart(small)
    with farrow.connect(small.address) as client:
        client.put("b", TABLE)
        assert family.parent("get('b')") is True
        child = family.fork(1)
        family.parent("release('b')")
        family.parent("release('a')")
        drop_and_fill(client, "b")
        assert (child("total('a')"), child("total('b')")) == (SUM, SUM)
        family.kill()
        assert client.drop("a").bytes_freed == 0
        assert child("total('b')") == SUM
        os.kill(family.pids[0], signal.SIGKILL)
        nothing_is_held(client)


def test_forks_in_the_middle_of_gets(mapped):
    family, client, _ = mapped
    family.parent(
        "[threading.Thread(target=lambda: [client.get('a').to_arrow() for _ in iter(int, 1)], daemon=True).start()"
        " for _ in range(3)]"
    )
    for _ in range(30):
        child = family.fork(1)
        assert child("total('a')") == SUM
        # Whatever the others were doing: the child drops what it has, gets anew, and ends.
        assert child("release('a')") == 0
        child("globals().update(client=farrow.connect(address))")
        assert child("get('a')") is True
        assert child("total('a')") == SUM
        os.kill(family.pids[-1], signal.SIGKILL)
        family.parent(f"os.waitpid({family.pids[-1]}, 0)")
    family.kill()
    client.drop("a")
    nothing_is_held(client)


def test_a_child_made_round_the_c_library_has_a_hole_and_pins_nothing(mapped):
    family, client, _ = mapped
    child = family.fork(1, how="clone")
    assert child("frames['a'].batch(0)").startswith("Forked: ")
    family.parent("release('a')")
    client.drop("a")
    nothing_is_held(client)
    print("total('a')", file=child.lines, flush=True)
    assert family.parent(f"os.waitpid({family.pids[0]}, 0)[1]") == signal.SIGSEGV


def test_without_a_page_the_frames_of_a_child_are_errors(small, family):
    # As if the agent had no directory for them.
    [pages] = small.state.glob("*.pages")
    pages.rmdir()
    with farrow.connect(small.address) as client:
        client.put("a", TABLE)
        parents = family(small)
        assert parents.parent("get('a')") is True
        child = parents.fork(1)
        said = child("frames['a'].batch(0)")
        assert said.startswith("Forked: ") and f"process {parents.popen.pid}" in said, said
        assert "get again in the child" in said
        print("total('a')", file=child.lines, flush=True)
        assert parents.parent(f"os.waitpid({parents.pids[0]}, 0)[1]") == signal.SIGSEGV
        assert parents.parent("total('a')") == SUM
        parents.parent("release('a')")
        client.drop("a")
        nothing_is_held(client)


def test_a_child_asks_for_itself(mapped):
    family, client, _ = mapped
    family.parent("globals().update(writer=client.writer('w', tables['a'].schema))")
    child = family.fork(1)
    parent = f"process {family.popen.pid}"
    for call in ["client.get('a')", "client.list()", "client.put('x', tables['a'])", "writer.write(tables['a'])"]:
        said = child(call)
        assert said.startswith("Forked: ") and parent in said and "connect again" in said, said
    child("globals().update(client=farrow.connect(address))")
    client.put("b", TABLE)
    assert child("get('b')") is True
    assert leases_of(client, family.pids[0]) == ["b@1"]
    # What it inherited and what it got itself, its own child reads both.
    grandchild = family.fork(2, by=1)
    family.kill()
    os.kill(family.pids[0], signal.SIGKILL)
    drop_and_fill(client, "a")
    assert client.drop("b").bytes_freed == 0
    assert (grandchild("total('a')"), grandchild("total('b')")) == (SUM, SUM)
    os.kill(family.pids[1], signal.SIGKILL)
    nothing_is_held(client)


VIEWS = {
    "frame": "pc.sum(frames['a']['n']).as_py()",
    "batches": "sum(pc.sum(batch['n']).as_py() for batch in frames['a'].to_batches())",
    "slice": "pc.sum(sliced['n']).as_py()",
    "numpy": "int(numbers.sum())",
    "polars": "polars['n'].sum()",
    "pandas": "int(pandas['n'].sum())",
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_every_view_is_inherited(mapped, view):
    family, client, _ = mapped
    family.parent(
        "globals().update(sliced=tables['a'].slice(0), numbers=tables['a']['n'].chunk(0).to_numpy(),"
        " polars=frames['a'].to_polars(), pandas=frames['a'].to_pandas())"
    )
    child = family.fork(1)
    family.kill()
    drop_and_fill(client, "a")
    assert child(view) == SUM


def test_a_frame_in_several_places_is_inherited(small, family):
    with farrow.connect(small.address) as client:
        # Less than 2 MiB is laid wherever there are free pages.
        large, few = TABLE.slice(0, ROWS // 4), TABLE.slice(0, ROWS // 16)
        for n in range(1000):
            try:
                client.put(f"small/{n}", few)
            except farrow.RegionFull:
                break
        for even in range(0, n, 2):
            client.drop(f"small/{even}")
        eventually(lambda: client.usage().held == 0, "the dropped bytes to be free")
        assert client.usage().largest_free < large.nbytes
        client.put("a", large)
        parents = family(small)
        assert parents.parent("get('a')") is True
        child = parents.fork(1)
        parents.kill()
        assert client.drop("a").bytes_freed == 0
        assert child("total('a')") == sum(range(large.num_rows))
        os.kill(parents.pids[0], signal.SIGKILL)
        nothing_is_held(client)


def test_a_file_of_another_program_is_inherited(make_agent, family):
    agent = make_agent(64 * MIB, "--reserve", "8M")
    with farrow.connect(agent.address) as client:
        client.put("a", TABLE)
    agent.stop()
    agent.command("export", "--file", "a", "out/a.arrow", str(agent.region))
    agent.start()
    parents = family(agent)
    assert parents.parent("get('out/a.arrow')") is True
    child = parents.fork(1)
    parents.kill()
    assert child("total('out/a.arrow')") == SUM
