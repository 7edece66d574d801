"""A forked child has nothing of its parent's but errors that say so, and everything of its own once it connects."""

import json
import subprocess
import sys

import pyarrow as pa
import pytest
from conftest import eventually, leases_of

TABLE = pa.table({"n": range(100_000)})
SUM = 99_999 * 50_000

# In a process of its own: what goes wrong in a fork is a crash or a hang.
SCRIPT = """
import gc, json, os, sys
import farrow

address, far, name = sys.argv[1:]
client = farrow.connect(address)
frame = client.get(name)
table = frame.to_arrow()
place = frame.mapping
stream = farrow.connect(far).stream(name)
stream.read_next_batch()

def total(table):
    return sum(table["n"].to_pylist())

def refused(call):
    try:
        call()
    except farrow.Error as error:
        return str(error)

def own_get():
    own = farrow.connect(address)
    return own, own.get(name)

told, tell = os.pipe()
child = os.fork()
if child == 0:
    said = {"client": refused(lambda: client.get(name)), "frame": refused(lambda: frame.batch(0))}
    try:
        stream.read_next_batch()
    except Exception as error:
        said["stream"] = str(error)
    own, again = own_get()
    rows = again.to_arrow()
    said["mapped"] = again.zero_copy
    said["same place"] = again.mapping == place
    # What the parent has mapped ends in the child too; what the child has there by now does not.
    del client, frame, table
    gc.collect()
    said["sum"] = total(rows)
    said["holders"] = sorted(lease.pid for lease in own.leases() if lease.name == name)
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if total(own_get()[1].to_arrow()) == said["sum"] else 1)
    said["grandchild"] = os.waitpid(grandchild, 0)[1]
    os.write(tell, json.dumps(said).encode())
    os._exit(0)
status = os.waitpid(child, 0)[1]
os.close(tell)
said = json.loads(os.read(told, 65536) or b"{}")
said.update(status=status, parent=os.getpid(), child=child, after=total(table))
print(json.dumps(said), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def forked(agent, client, name):
    client.put(name, TABLE)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, agent.address, f"http://{agent.tcp}", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield json.loads(process.stdout.readline())
    process.stdin.close()
    assert process.wait(timeout=20) == 0
    process.stdout.close()


def test_a_forked_child_gets_what_it_asks_for_itself(client, name, forked):
    assert forked["status"] == 0
    assert (forked["mapped"], forked["sum"], forked["after"], forked["grandchild"]) == (True, SUM, SUM, 0)
    assert forked["holders"] == sorted([forked["parent"], forked["child"]])
    # The child's lease ended with it, the parent's has not.
    eventually(lambda: not leases_of(client, forked["child"]), "the child's lease to go")
    assert leases_of(client, forked["parent"]) == [f"{name}@1"]


def test_what_the_parent_had_is_refused_in_the_child(forked):
    parent, child = f"in process {forked['parent']}", f"in its forked child {forked['child']}"
    for what in ("client", "frame", "stream"):
        assert parent in forked[what] and child in forked[what], forked[what]
        assert "again in the child" in forked[what]
