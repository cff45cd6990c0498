"""The tree in README.md names every file of the product, and each once."""

import re
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPLETE = ("orchestrator", "jobs", "configs", "benchmarks")
"""Folders of which no file may be missing in the tree; tests mirror them."""


def test_every_path_in_the_tree_is_there():
    assert [path for path in tree() if not list(ROOT.glob(path.rstrip("/")))] == []


def test_no_path_stands_in_the_tree_twice():
    assert [path for path, times in Counter(tree()).items() if times > 1] == []


def test_every_file_of_the_product_is_in_the_tree():
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in COMPLETE
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".jinja", ".yaml", ".json") and path.name != "__init__.py"
    ]
    assert len(files) > 200
    paths = tree()
    full = [path for path in paths if not any(other != path and other.startswith(path) for other in paths)]
    assert sorted(file for file in files if not any(_covers(path, file) for path in full)) == []


def tree() -> list[str]:
    """Paths from the root; a folder ends with a slash, and covers its files where none of them is named."""
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("## The tree")[1].split("```")[1]
    paths, above = [], {0: ""}
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        if not line or indent > 4:
            continue
        for name in re.match(r"[^\s,]+(?:, [^\s,]+)*", line.strip())[0].split(", "):
            paths.append(above[indent] + name)
            above[indent + 2] = above[indent] + name if name.endswith("/") else above[indent]
    return paths


def _covers(path: str, file: str) -> bool:
    return file.startswith(path) if path.endswith("/") else fnmatch(file, path)
