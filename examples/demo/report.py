"""Messages of the demo, and those of a check that fails."""

from __future__ import annotations

from sandbox import MIB, Failed


def check(good: bool, expected: str, found):
    if not good:
        raise Failed(f"expected {expected}; found {found}")


def say(text: str):
    print("   " + text, flush=True)


def print_command(command: str):
    say("$ " + command)


def print_output(text: str):
    for line in text.rstrip().splitlines():
        say("  " + line)


def mib(count: float) -> str:
    return f"{count / MIB:>6.1f} MiB"


def ms(duration: float) -> str:
    return f"{duration * 1e3:>7.2f} ms"
