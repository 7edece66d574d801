"""Being told what is committed, and waiting for what is not there yet."""

import signal
import subprocess
import sys
import threading

import farrow
import pyarrow as pa
import pytest

TABLE = pa.table({"n": range(10)})


def test_what_is_committed_and_dropped_is_told(client, name):
    client.put(name + "/before", TABLE)
    events = client.watch(name)
    info = client.put(name + "/a", TABLE)
    assert next(events) == farrow.Event("committed", name + "/a", 1, info)
    # Nothing is told of a frame whose name begins so and which is not below it.
    client.put(name + "-other", TABLE)
    client.put(name + "/b", TABLE)
    client.drop(name + "/a")
    told = [next(events), next(events)]
    assert [(event.kind, event.name, event.version) for event in told] == [
        ("committed", name + "/b", 1),
        ("dropped", name + "/a", None),
    ]


def test_other_threads_go_on_while_one_watches(client, name):
    told = []
    events = client.watch(name)
    watcher = threading.Thread(target=lambda: told.append(next(events)), daemon=True)
    watcher.start()
    assert client.get(client.put(name, TABLE).name).num_rows == 10
    watcher.join(timeout=20)
    assert [event.name for event in told] == [name]


def test_a_frame_is_waited_for(client, name):
    client.put(name + "-there", TABLE)
    assert client.get(name + "-there", wait=0).num_rows == 10
    with pytest.raises(farrow.NotFound, match="not there after"):
        client.get(name, wait=0.01)
    with pytest.raises(ValueError, match="at least 0"):
        client.get(name, wait=-1)
    frames = []
    waiter = threading.Thread(target=lambda: frames.append(client.get(name, wait=20)), daemon=True)
    waiter.start()
    client.put(name, TABLE)
    waiter.join(timeout=20)
    assert frames[0].to_arrow().equals(TABLE)


@pytest.mark.parametrize("waiting", ["next(client.watch('nothing/'))", "client.get('nothing/at-all', wait=60)"])
def test_ctrl_c_interrupts(agent, waiting):
    script = (
        "import sys, farrow\n"
        "client = farrow.connect(sys.argv[1])\n"
        f"try:\n    print('ready', flush=True)\n    {waiting}\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    command = [sys.executable, "-c", script, agent.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert process.wait(timeout=20) == 0


def test_watching_needs_the_unix_socket(agent):
    with farrow.connect(f"http://{agent.tcp}") as far, pytest.raises(farrow.Error, match="unix socket"):
        far.watch()
