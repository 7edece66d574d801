"""Runs the commands of README.md against an agent of its own: `target/venv/bin/python examples/run_all.py`.

A block ```console``` there has commands, behind `$ `, and what they print: `…` stands for anything in a line, and alone
in a line for any lines. A block ```console first``` has a command that waits for something, and is to end once what
follows in ```console second``` was done in another terminal.

Prints a line `ok COMMAND` or `FAILED COMMAND` for each, and its output. The exit code is 1 if any failed.
"""

from __future__ import annotations

import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

EXAMPLES = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(EXAMPLES / "demo"))

from sandbox import MIB, REPOSITORY, Sandbox  # noqa: E402  (its directory is on the path only now)

PATIENCE = 300
BLOCK = re.compile(r"^```console ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Modules that the examples without the farrow package may import, beside Python's own.
PLAIN = {"python/map_by_hand.py": {"pyarrow", "google"}, "python/plain_flight.py": {"pyarrow"}}


class Results:
    """Counts failures and prints how each example went."""

    failed = 0

    def add(self, name: str, problem: str, output: str, start: float):
        print(f"{'FAILED' if problem else 'ok'} {name} ({time.monotonic() - start:.1f} s)")
        print("".join(f"    {line}\n" for line in output.splitlines()), end="")
        if problem:
            print(f"    {problem}")
            self.failed += 1
        sys.stdout.flush()


def main() -> int:
    results = Results()
    with Sandbox(256 * MIB) as sandbox:
        sandbox.mkfs()
        sandbox.start_agent()
        path = os.pathsep.join([str(sandbox.programs), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**sandbox.environment, "PATH": path}
        waiting = None
        for terminal, text in BLOCK.findall((EXAMPLES / "README.md").read_text()):
            commands = commands_of(text)
            if terminal == "first":
                waiting = Waiting(*commands[0], environment)
                continue
            for command, expected in commands:
                start = time.monotonic()
                process = started(command, environment)
                results.add(command, *finished(process, expected), start)
            if terminal == "second":
                results.add(waiting.command, *waiting.finish(), waiting.start)
        units(results, sandbox)
    for name, allowed in PLAIN.items():
        start = time.monotonic()
        others = imports(EXAMPLES / name) - allowed
        results.add(f"imports of {name}", f"it imports {others}" if others else "", "", start)
    return 1 if results.failed else 0


def commands_of(text: str) -> list:
    """Commands of a block, and the lines that each prints."""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


class Waiting:
    """A command that has said its first line, and waits for what another terminal does."""

    def __init__(self, command: str, expected: list, environment: dict):
        self.command, self.expected, self.start = command, expected, time.monotonic()
        self.process = started(command, environment)
        self.said = self.process.stdout.readline()

    def finish(self) -> tuple:
        return finished(self.process, self.expected, self.said)


def started(command: str, environment: dict) -> subprocess.Popen:
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen, expected: list, said: str = "") -> tuple:
    """Returns what was wrong with a command, if anything was, and what it printed."""
    try:
        output = said + process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        output = said + process.communicate()[0]
        return f"expected it to end within {PATIENCE} s", output
    if process.returncode != 0:
        return f"expected exit 0; exit {process.returncode}", output
    if not re.fullmatch(pattern(expected), squeezed(output)):
        return "README.md shows something else:\n" + "".join(f"        {line}\n" for line in expected), output
    return "", output


def pattern(lines: list) -> str:
    """A pattern of what may be printed where the page shows these lines."""
    return "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(squeezed(line)).replace("…", ".*").replace("\\\n", "\n")
        for line in lines
    )


def squeezed(text: str) -> str:
    """Text whose columns may be of any width."""
    return "".join(" ".join(line.split()) + "\n" for line in text.splitlines())


def units(results: Results, sandbox: Sandbox):
    """Has systemd read the units, together with the agent's."""
    if not shutil.which("systemd-analyze"):
        print("skipped: the units of examples/systemd: there is no systemd-analyze")
        return
    start = time.monotonic()
    sources = [*EXAMPLES.glob("systemd/*.*"), REPOSITORY / "crates/farrow-agent/debian/farrow-agent.service"]
    with tempfile.TemporaryDirectory() as directory:
        for source in sources:
            # systemd looks whether the programs are there, which here they are elsewhere.
            unit = source.read_text().replace("/usr/bin/farrow", str(sandbox.programs / "farrow"))
            pathlib.Path(directory, source.name).write_text(unit)
        names = [str(pathlib.Path(directory, source.name)) for source in sources[:-1]]
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *names],
            env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    # It may succeed whatever it finds.
    problem = "expected no complaint" if done.returncode or done.stdout else ""
    results.add("systemd-analyze verify examples/systemd/*", problem, done.stdout, start)


def imports(path: pathlib.Path) -> set:
    """Returns what a program imports that does not come with Python."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found - set(getattr(sys, "stdlib_module_names", ("mmap", "os", "pathlib", "sys")))


if __name__ == "__main__":
    sys.exit(main())
