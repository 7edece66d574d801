"""The blocks of README, guide and the agent's pages, run one after another as a reader would, against a real agent.

`sh` blocks run in one shell, `python` blocks in one interpreter, in the order of the page. A `text` block right below is
what they print: `…` stands for anything within a line, or, alone on a line, for any lines; a comment above the block,
`<!-- varies: WORD WORD -->`, names words of it that are others in each run. A block under `<!-- not run: WHY -->` is not
run. `toml` blocks are settings of the agent, which `farrow-agent --check-config` takes. (`rust` blocks are doc-tests:
`crates/farrow-client/src/lib.rs`.)

What stands below /dev/shm/ and /tmp/ in a page is in a directory of the test's own.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import markdown
import pytest

AGENT = "crates/farrow-agent"
PAGES = ["README.md", "crates/GUIDE.md", "crates/COMING-FROM.md", *(f"{AGENT}/{name}.md" for name in ("README", "FAILURES", "SECURITY"))]
BLOCKS = [
    block
    for path in PAGES
    for block in markdown.read(markdown.REPOSITORY / path).blocks
    if block.language in ("sh", "python", "toml")
]
RUN = [block for block in BLOCKS if "not run" not in block.remarks]

PATIENCE = 60.0
END = "the-block-has-ended"


def test_what_is_not_run_says_why():
    assert all(block.remarks["not run"] for block in BLOCKS if block not in RUN)


@pytest.mark.parametrize("block", RUN, ids=[block.place for block in RUN])
def test_a_block_does_what_its_page_says(block: markdown.Block, readers):
    reader = readers(block.page)
    printed = getattr(reader, block.language)(block)
    if block.output is not None:
        assert re.fullmatch(pattern(block.output), squeezed(printed) + "\n"), (
            f"{block.output.place} shows\n\n{block.output.text}\nand this was printed:\n\n{printed}"
        )


def pattern(shown: markdown.Block) -> str:
    """A pattern of what may be printed where a page shows this."""
    varies = shown.remarks.get("varies", "").split()
    lines = []
    for line in squeezed(shown.text).split("\n"):
        if line == "…":
            lines.append(r"(?:.*\n)*?")
            continue
        words = [r"[^\s,]+,?" if word.rstrip(",") in varies else re.escape(word) for word in line.split()]
        lines.append(" ".join(words).replace("…", ".*") + r"\n")
    return "".join(lines)


def squeezed(text: str) -> str:
    """Text whose columns may be of any width."""
    return "\n".join(" ".join(line.split()) for line in text.rstrip("\n").split("\n"))


@pytest.fixture(scope="module")
def readers():
    """The reader of a page: one reader for each, from its first block on."""
    found: dict[pathlib.Path, Reader] = {}

    def reader(page: pathlib.Path) -> Reader:
        if page not in found:
            for earlier in found.values():
                earlier.close()
            found[page] = Reader()
        return found[page]

    yield reader
    for reader in found.values():
        reader.close()


class Reader:
    """A shell and an interpreter, in a directory of their own."""

    def __init__(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="farrow-pages-", dir=memory))
        (self.directory / "dev/shm").mkdir(parents=True)
        (self.directory / "tmp").mkdir()
        bin_dir = pathlib.Path(os.environ.get("FARROW_BIN_DIR", markdown.REPOSITORY / "target/release"))
        # Socket and state are where the pages say they are by default, but below the test's directory.
        config, socket = self.directory / "agent.toml", self.directory / "agent.sock"
        config.write_text(f'socket = "{socket}"\nstate-dir = "{self.directory / "state"}"\n')
        self.environment = {
            "FARROW_ADDRESS": str(socket),
            "FARROW_AGENT_CONFIG": str(config),
            "PATH": os.pathsep.join([str(bin_dir), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]),
            "NO_COLOR": "1",
            "RUST_LOG": "info",
        }
        self.outside = dict(os.environ)
        os.environ.update(self.environment)
        self.printed = open(self.directory / "printed", "w+")
        # A session of its own: what it leaves in the background ends with it.
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=self.printed,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.names = {"__name__": "__main__"}

    def sh(self, block: markdown.Block) -> str:
        before = os.stat(self.printed.name).st_size
        # Each command has to succeed, and the shell lives on.
        ended = f'trap - ERR; echo "{END} $failed"'
        script = f"failed=0; trap 'failed=$?' ERR\n{self.inside(block.text)}\n{ended}\n"
        self.shell.stdin.write(script)
        self.shell.stdin.flush()
        last = self.wait(lambda: re.search(rf"{END} (\d+)\n", self.said(before)), f"the end of {block.place}")
        starts_agent = re.search(r"^farrow-agent\b.*&$", block.text, re.MULTILINE)
        if starts_agent:
            # The next block is run by hand: by then the agent serves.
            self.wait(lambda: "serving" in self.said(before), f"the agent of {block.place}")
        said = re.sub(rf"{END} \d+\n", "", self.said(before))
        if not starts_agent:
            # Lines that the agent logs meanwhile, in the same terminal.
            said = re.sub(r"^\d{4}-\d\d-\d\dT\S+ +[A-Z]+ .*\n", "", said, flags=re.MULTILINE)
        assert last[1] == "0", f"{block.place}: exit {last[1]}: {said}"
        return self.outside_again(said)

    def python(self, block: markdown.Block) -> str:
        code = compile("\n" * block.line + self.inside(block.text), str(block.page), "exec")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, self.names)
        return self.outside_again(out.getvalue())

    def toml(self, block: markdown.Block) -> str:
        file = self.directory / "block.toml"
        # A block shows some of the settings; there is no agent without a region.
        region = "" if re.search(r"^region *=", block.text, re.MULTILINE) else 'region = "/dev/shm/farrow"\n'
        file.write_text(self.inside(region + block.text))
        checked = ["farrow-agent", "--config", str(file), "--check-config"]
        told = subprocess.run(checked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        # A page's host has other files and users than this one.
        elsewhere = r"No such file or directory|this host knows no|no \[\[tokens\]\] has a token"
        problems = [line for line in told.splitlines() if line and not re.search(elsewhere, line)]
        assert not problems, f"{block.place}: {told}"
        return ""

    def inside(self, text: str) -> str:
        return re.sub(r"/(dev/shm|tmp)/", rf"{self.directory}/\1/", text)

    def outside_again(self, text: str) -> str:
        return text.replace(f"{self.directory}/", "/")

    def said(self, start: int) -> str:
        with open(self.printed.name) as printed:
            printed.seek(start)
            return printed.read()

    def wait(self, condition, what: str):
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert self.shell.poll() is None, f"{what}: the shell has ended: {self.said(0)}"
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:.0f} s: {self.said(0)}"
            time.sleep(0.01)
        return value

    def close(self):
        if not self.printed.closed:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.shell.pid, signal.SIGKILL)
            self.shell.wait()
            self.shell.stdin.close()
            self.printed.close()
            self.names.clear()
            os.environ.clear()
            os.environ.update(self.outside)
            shutil.rmtree(self.directory)
