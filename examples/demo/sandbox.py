"""A region and its agent in a directory of their own, gone when the sandbox closes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20


class Failed(Exception):
    """A check of the demo failed; the text says what was expected and what was found."""


def wait_until(condition, what: str, seconds: float = 30.0):
    """Polls until `condition()` is true and returns its value; fails when `seconds` are over."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"expected {what} within {seconds:.0f} s; it did not happen")
        time.sleep(0.01)


def programs() -> pathlib.Path:
    """The directory of the built programs: FARROW_BIN_DIR, or the release build of this repository."""
    directory = pathlib.Path(os.environ.get("FARROW_BIN_DIR", REPOSITORY / "target" / "release"))
    for program in ("farrow", "farrow-agent"):
        if not (directory / program).exists():
            sys.exit(f"{directory / program} is missing. Try: cargo xtask python, which builds it")
    return directory


def memory_directory(size: int) -> str:
    """A directory for a region of `size` bytes: /dev/shm if there is room, or else the temporary directory."""
    for directory in ("/dev/shm", tempfile.gettempdir()):
        if os.path.isdir(directory) and os.access(directory, os.W_OK):
            if shutil.disk_usage(directory).free > size + 64 * MIB:
                return directory
    sys.exit(f"no room for a region of {size // MIB} MiB in /dev/shm or {tempfile.gettempdir()}")


class Sandbox:
    """`with Sandbox(512 * MIB) as sandbox:` — call `mkfs` and `start_agent`, then use `address`."""

    def __init__(self, region_bytes: int):
        self.programs = programs()
        self.region_bytes = region_bytes
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="farrow-", dir=memory_directory(region_bytes)))
        self.region = self.directory / "region"
        self.address = str(self.directory / "agent.sock")
        self.log = self.directory / "agent.log"
        self.tcp = None
        self.agent = None
        # Whatever is started below finds this agent, and pyarrow's Flight goes through no proxy to it.
        self.environment = dict(os.environ, FARROW_ADDRESS=self.address, NO_COLOR="1", no_proxy="127.0.0.1")

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind is not KeyboardInterrupt and self.agent and self.agent.poll() is not None:
            print(f"\nthe agent ended with exit {self.agent.returncode}:\n{self.log.read_text()}", file=sys.stderr)
        try:
            self.stop_agent()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, program: str, *arguments: str) -> str:
        """Runs one of the built programs and returns what it printed; its failure is a failed check."""
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode != 0:
            words = f"{program} {' '.join(arguments)}"
            raise Failed(f"expected `{words}` to succeed; exit {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def farrow(self, *arguments: str) -> str:
        return self.run("farrow", *arguments)

    def mkfs(self) -> str:
        return self.farrow("mkfs", "--size", f"{self.region_bytes // MIB}MiB", str(self.region))

    def start_agent(self):
        command = [
            str(self.programs / "farrow-agent"),
            *("--region", str(self.region), "--socket", self.address, "--listen", "127.0.0.1:0"),
            *("--state-dir", str(self.directory / "state")),
        ]
        with open(self.log, "wb") as log:
            self.agent = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stderr=log)
        self.tcp = wait_until(self._tcp, "the agent to serve, and its log to name its TCP address,")

    def _tcp(self) -> str | None:
        """The agent's TCP address, once it serves: the line that names it comes after the sockets are there."""
        told = self.log.read_text()
        if self.agent.poll() is not None:
            raise Failed(f"expected the agent to serve; exit {self.agent.returncode}:\n{told}")
        match = re.search(r"listen=\"?(?:http://)?(127\.0\.0\.1:[1-9]\d*)", told)
        return match[1] if match else None

    def stop_agent(self):
        """Ends the agent as systemd would; the exit code is 0 if it ended well."""
        agent, self.agent = self.agent, None
        if agent is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            agent.terminate()
        try:
            return agent.wait(timeout=20)
        except subprocess.TimeoutExpired:
            agent.kill()
            return agent.wait()
