"""Reader processes that the demo starts, steers and measures."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

from sandbox import Failed

READER = pathlib.Path(__file__).with_name("reader.py")


class Reader:
    """A process of reader.py: mapped or streamed, steered word by word."""

    def __init__(self, sandbox, mode: str, names: list):
        self.process = subprocess.Popen(
            [sys.executable, str(READER), mode, *names],
            env=sandbox.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def expect(self, word: str):
        line = self.process.stdout.readline().strip()
        if line != word:
            raise Failed(f"expected reader {self.pid} to say `{word}`; it said `{line}` (see its error above)")

    def tell(self, word: str):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def map_everything(self):
        """From the start to having read every byte."""
        self.expect("connected")
        self.tell("get")
        self.expect("ready")

    def let_go(self):
        self.tell("release")
        self.expect("released")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def python_sums(sandbox, names: list) -> str:
    """Returns what another Python process finds in mapped frames, in the words of demo_sums."""
    command = [sys.executable, str(READER), "sums", *names]
    done = subprocess.run(command, env=sandbox.environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(f"expected the Python reader to sum {len(names)} frames; exit {done.returncode}")
    return done.stdout


def memory(pid: int) -> tuple:
    """A process's memory in bytes: its proportional set size, and the pages that are its own alone."""
    pss = private = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, amount = line.partition(":")
        if name == "Pss":
            pss = int(amount.split()[0]) * 1024
        elif name in ("Private_Clean", "Private_Dirty"):
            private += int(amount.split()[0]) * 1024
    return pss, private
