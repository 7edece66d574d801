"""Runs every example against an agent of its own: `target/venv/bin/python examples/run_all.py`.

Prints each example's output, and before it a line `ok NAME` or `FAILED NAME`. The exit code is 1 if any failed.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time

EXAMPLES = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(EXAMPLES / "demo"))

from sandbox import MIB, Sandbox  # noqa: E402  (its directory is on the path only now)


def commands(bin_dir: pathlib.Path):
    """Name, command line and a word that its output must have, in an order in which each finds what it needs."""
    python = [sys.executable]
    return [
        ("rust/publish", [bin_dir / "publish"], "examples/stations@1"),
        ("rust/get", [bin_dir / "get"], "mapped at"),
        ("rust/publish_tpch", [bin_dir / "publish_tpch", "0.01"], "tpch/lineitem"),
        ("python/publish.py", [*python, EXAMPLES / "python/publish.py"], "examples/readings@1"),
        ("python/get.py", [*python, EXAMPLES / "python/get.py"], "zero copy"),
        ("python/map_by_hand.py", [*python, EXAMPLES / "python/map_by_hand.py"], "rows mapped by hand"),
        ("python/plain_flight.py", [*python, EXAMPLES / "python/plain_flight.py"], "over a unix socket"),
    ]


def main() -> int:
    failed = 0
    with Sandbox(256 * MIB) as sandbox:
        sandbox.mkfs()
        sandbox.start_agent()
        for name, command, word in commands(sandbox.programs):
            start = time.monotonic()
            done = subprocess.run(
                [str(part) for part in command],
                env=sandbox.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
            )
            good = done.returncode == 0 and word in done.stdout
            print(f"{'ok' if good else 'FAILED'} {name} ({time.monotonic() - start:.1f} s)")
            print("".join(f"    {line}\n" for line in done.stdout.splitlines()), end="")
            if not good:
                print(f"    expected exit 0 and `{word}` in the output; exit {done.returncode}")
                failed += 1
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
