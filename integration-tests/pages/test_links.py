"""Every link leads somewhere, and what is named is there."""

from __future__ import annotations

import functools
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import markdown
import pytest

PAGES = markdown.pages()
PATHS = [str(path.relative_to(markdown.REPOSITORY)) for path in PAGES]

# A path of this repository in inline code: with a directory, and the name of a source file.
SOURCE = re.compile(r"[\w.@-]+(?:/[\w.@-]+)+\.(?:rs|py|toml|proto|md|sh|service)")

read = functools.cache(markdown.read)


each_page = pytest.mark.parametrize("path", PAGES, ids=PATHS)


@each_page
def test_links_lead_somewhere(path: pathlib.Path):
    wrong = [f"{link.place}: {problem}" for link in read(path).links if (problem := problem_of(link))]
    assert not wrong, "\n".join(wrong)


def problem_of(link: markdown.Link) -> str | None:
    """Returns what is wrong with a link, if anything is. Other sites are not asked."""
    if re.match(r"[a-z]+:", link.target):
        return None if link.target.startswith("https://") else f"{link.target}: https:// is expected"
    name, _, anchor = link.target.partition("#")
    target = (link.page.parent / name).resolve() if name else link.page
    if not target.is_relative_to(markdown.REPOSITORY):
        return f"{link.target} is outside the repository"
    if not target.exists():
        return f"{link.target} is not there"
    if anchor and anchor not in read(target).anchors:
        return f"{link.target}: no such heading; there are {', '.join(sorted(read(target).anchors))}"
    if target.suffix == ".svg":
        ElementTree.parse(target)
    # A test, function or type by its name: it is in the file that the link leads to.
    word = re.fullmatch(r"`(?:\w+(?:::|\.))*(\w+)(?:\(\))?`", link.words)
    if word and not link.words.endswith(f"{target.name}`") and target.suffix in (".rs", ".py", ".sh") and not re.search(rf"\b{word[1]}\b", target.read_text()):
        return f"{link.words} is not in {link.target}"
    return None


@each_page
def test_files_that_are_named_are_there(path: pathlib.Path):
    root = markdown.REPOSITORY
    places = [root, root / "crates", root / "integration-tests/tests/it", path.parent, path.parent / "src"]
    wrong = [
        f"{path.relative_to(root)}:{line}: {code} is in none of {', '.join(str(place.relative_to(root)) for place in places)}"
        for line, code in read(path).code
        if SOURCE.fullmatch(code) and not any((place / code).exists() for place in places)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_page_is_found_from_the_first():
    """Who begins at README.md and follows links comes to every page."""
    found, open_pages = set(), [markdown.REPOSITORY / "README.md"]
    while open_pages:
        page = open_pages.pop()
        if page in found:
            continue
        found.add(page)
        for link in read(page).links:
            target = (page.parent / link.target.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists():
                open_pages.append(target)
            elif (target / "README.md").exists():
                open_pages.append(target / "README.md")
    lost = [str(page.relative_to(markdown.REPOSITORY)) for page in PAGES if page not in found]
    assert not lost, f"no link leads to {', '.join(lost)}"


def test_versions_are_those_of_the_packages():
    readme = (markdown.REPOSITORY / "README.md").read_text()
    rust = re.search(r"^rust-version = \"([\d.]+)\"", (markdown.REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)
    package = (markdown.REPOSITORY / "crates/farrow-python/pyproject.toml").read_text()
    python = re.search(r"^requires-python = \">=([\d.]+)\"", package, re.MULTILINE)
    pyarrow = re.search(r"\"pyarrow>=([\d.]+)", package)
    assert f"| Rust | {rust[1]} or newer" in readme
    assert f"| Python | {python[1]} or newer, pyarrow {pyarrow[1]} or newer |" in readme
