"""The Markdown documents that a reader opens, and what stands in them: headings, links, fenced blocks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docker/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    """Empty where the fence names none."""
    text: str


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks() -> Iterator[Block]:
    """All fenced blocks of all pages."""
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            yield Block(name_of(page), language, text)


def relative_links(page: Path) -> list[str]:
    """Targets of links that lead to a file or heading of this tree."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [
        link
        for link in re.findall(r"\]\(([^)\s]+)\)", prose)
        if not re.match(r"[a-z]+:", link, re.IGNORECASE)
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub derives them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands() -> Iterator[tuple[str, str]]:
    """Pages, and the lines of their blocks that call layerscope, each with the lines it goes on in."""
    for block in blocks():
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.startswith("layerscope "):
                yield block.page, line
