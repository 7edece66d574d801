"""A real agent on a region of its own, for all tests or for one."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import farrow
import pytest

MIB = 1 << 20
REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def programs() -> pathlib.Path:
    """The directory of the built programs: FARROW_BIN_DIR, or the release build of this repository."""
    directory = pathlib.Path(os.environ.get("FARROW_BIN_DIR", REPOSITORY / "target" / "release"))
    for program in ("farrow", "farrow-agent"):
        if not (directory / program).exists():
            pytest.exit(f"{directory / program} is missing. Try: cargo xtask python, which builds it", returncode=2)
    return directory


def eventually(condition, what: str, seconds: float = 20.0):
    """Polls until `condition()` is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"expected within {seconds:.0f} s: {what}"
        time.sleep(0.005)


class Agent:
    """A region and the agent that serves it."""

    def __init__(self, directory: pathlib.Path, size: int, *mkfs: str):
        self.region = directory / "region"
        self.address = str(directory / "agent.sock")
        self.log = directory / "agent.log"
        self.state = directory / "state"
        self.process = None
        #: Further options of the agent, from its next start on.
        self.options = []
        self.command("mkfs", "--size", f"{size // MIB}MiB", *mkfs, str(self.region))

    def command(self, *arguments: str) -> str:
        """Returns what a verb of the farrow command prints."""
        done = subprocess.run(
            [str(programs() / "farrow"), *arguments],
            env=dict(os.environ, FARROW_ADDRESS=self.address),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"farrow {' '.join(arguments)}: exit {done.returncode}: {done.stdout}"
        return done.stdout

    def start(self):
        command = [
            str(programs() / "farrow-agent"),
            *("--region", str(self.region), "--socket", self.address, "--listen", "127.0.0.1:0"),
            *("--state-dir", str(self.state)),
            *self.options,
        ]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, env=dict(os.environ, NO_COLOR="1"), stderr=log)
        eventually(self._serves, "the agent to say that it serves")
        return self

    def _serves(self) -> bool:
        told = self.log.read_text()
        assert self.process.poll() is None, f"the agent ended: {told}"
        # Said when its sockets are there, with the TCP address.
        return "listen=" in told

    @property
    def tcp(self) -> str:
        """HOST:PORT of the agent's TCP listener."""
        return re.search(r"listen=\"?(127\.0\.0\.1:[1-9]\d*)", self.log.read_text())[1]

    def stop(self) -> int:
        """Ends the agent as a service manager would; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def space(client: farrow.Client) -> farrow.Usage:
    """Returns the use of the region's space, without what other tests leave: leases that are being released, records."""
    return client.usage()._replace(leases=0, catalog_committed=0, catalog_live=0)


def leases_of(client: farrow.Client, pid: int) -> list:
    """`name@version` of what a process has leased."""
    return [f"{lease.name}@{lease.version}" for lease in client.leases() if lease.pid == pid]


@pytest.fixture
def make_agent():
    """Makes agents on regions of a size of the test's choice; they end with the test."""
    agents = []
    with tempfile.TemporaryDirectory(prefix="farrow-test-") as directory:

        def make(size: int, *mkfs: str) -> Agent:
            place = pathlib.Path(directory) / str(len(agents))
            place.mkdir()
            agents.append(Agent(place, size, *mkfs).start())
            return agents[-1]

        yield make
        for agent in agents:
            if agent.process.poll() is None:
                agent.stop()


@pytest.fixture(scope="session")
def agent():
    """One agent for all tests that take care to name their own frames."""
    # Memory, where there is enough of it: a region in /tmp would be written to a disk.
    size = 384 * MIB
    place = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 2 * size else None
    with tempfile.TemporaryDirectory(prefix="farrow-test-", dir=place) as directory:
        agent = Agent(pathlib.Path(directory), size).start()
        yield agent
        assert agent.stop() == 0, agent.log.read_text()
        assert "clean" in agent.command("fsck", str(agent.region))


@pytest.fixture
def client(agent):
    with farrow.connect(agent.address) as client:
        yield client


@pytest.fixture
def name(request) -> str:
    """A frame's name that no other test uses."""
    return "tests/" + re.sub(r"[^\w]+", "-", request.node.name)


@pytest.fixture
def start_reader(agent):
    """Starts processes that map a frame, say `ready`, and end when their input does."""
    processes = []

    def start(name: str) -> subprocess.Popen:
        script = (
            "import sys, farrow\n"
            "table = farrow.connect(sys.argv[1]).get(sys.argv[2]).to_arrow()\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, agent.address, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        with process:
            process.kill()
