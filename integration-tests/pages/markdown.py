"""Pages as their tests see them: fenced blocks, headings and links."""

from __future__ import annotations

import os
import pathlib
import re
from dataclasses import dataclass, field
from typing import Optional

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"(`{3,}|~{3,})\s*([\w,-]*)\s*$")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*\s*$")
_REMARK = re.compile(r"<!--\s*([\w ]+?)(?::\s*(.*?))?\s*-->\s*$")
_INLINE_CODE = re.compile(r"(`+)(.+?)\1")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(<?([^()\s<>]+)>?\)")
_ATTRIBUTE = re.compile(r"\b(?:src|srcset|href)=\"([^\"]+)\"")


@dataclass
class Block:
    """A fenced block, the remarks in comments right above it, and the `text` block right below it: its output."""

    page: pathlib.Path
    line: int
    language: str
    text: str
    remarks: dict[str, str] = field(default_factory=dict)
    output: Optional[Block] = None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


@dataclass
class Link:
    """Returns what is linked, under which words."""

    page: pathlib.Path
    line: int
    words: str
    target: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


@dataclass
class Page:
    """A page, read once."""

    path: pathlib.Path
    blocks: list[Block]
    links: list[Link]
    anchors: set[str]
    """Returns what `#…` can lead to, as GitHub names headings."""
    code: list[tuple[int, str]]
    """Inline code, with its line."""


def pages() -> list[pathlib.Path]:
    """All pages of the repository."""
    found: list[pathlib.Path] = []
    for directory, directories, files in os.walk(REPOSITORY):
        # What was built or fetched is not ours.
        directories[:] = [name for name in directories if name != "target" and not name.startswith(".")]
        found += [pathlib.Path(directory, name) for name in files if name.endswith(".md")]
    return sorted(found)


def read(path: pathlib.Path) -> Page:
    """Reads a page. Fences must be closed."""
    page = Page(path, [], [], set(), [])
    fence: Optional[str] = None
    block: Optional[Block] = None
    remarks: dict[str, str] = {}
    last: Optional[Block] = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if fence is not None and block is not None:
            if line.strip() == fence:
                fence = None
                if block.language == "text" and last is not None:
                    last.output = block
                page.blocks.append(block)
                last = None if block.language == "text" else block
            else:
                block.text += line + "\n"
            continue
        if match := _FENCE.match(line):
            fence = match[1]
            block = Block(path, number, match[2].split(",")[0], "", remarks)
            remarks = {}
            continue
        if not line.strip():
            continue
        if match := _REMARK.match(line):
            remarks[match[1]] = match[2] or ""
            continue
        remarks, last = {}, None
        _read_line(page, number, line)
    assert fence is None, f"{path.relative_to(REPOSITORY)}: a block without an end, from line {block and block.line} on"
    return page


def _read_line(page: Page, number: int, line: str) -> None:
    if match := _HEADING.match(line):
        page.anchors.add(_anchor(match[1], page.anchors))
    for match in _LINK.finditer(line):
        page.links.append(Link(page.path, number, match[1], match[2]))
    for match in _ATTRIBUTE.finditer(line):
        page.links.append(Link(page.path, number, "", match[1]))
    # What a link shows is where the link leads.
    page.code += [(number, match[2]) for match in _INLINE_CODE.finditer(_LINK.sub("", line))]


def _anchor(heading: str, taken: set[str]) -> str:
    """The name that GitHub gives a heading: lower case, no punctuation, a number behind one that is taken."""
    words = _LINK.sub(r"\1", heading).replace("`", "").strip().lower()
    name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
    if name not in taken:
        return name
    return next(f"{name}-{count}" for count in range(1, 1000) if f"{name}-{count}" not in taken)
