"""README.md is short, and its tree has the folders of the product."""

import re
from collections import Counter
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
MOST_LINES = 200
PRODUCT = ("jobs", "orchestrator", "configs", "benchmarks")


def test_the_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < MOST_LINES


def test_every_path_in_the_tree_is_there():
    assert [path for path in tree() if not (ROOT / path).exists()] == []


def test_folders_and_no_files_end_with_a_slash():
    assert [path for path in tree() if (ROOT / path).is_dir() != path.endswith("/")] == []


def test_no_path_stands_in_the_tree_twice():
    assert [path for path, times in Counter(tree()).items() if times > 1] == []


def test_every_folder_of_the_product_is_in_the_tree_or_under_a_listed_one():
    """Top folders do not count as listed for what is in them, where the tree goes deeper."""
    listed = {PurePosixPath(path) for path in tree()}
    deeper = {path.parent for path in listed}
    covering = listed - deeper
    files = [path for top in PRODUCT for path in (ROOT / top).rglob("*") if path.is_file()]
    folders = {
        PurePosixPath(path.parent.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts
    }
    assert len(folders) > 10
    missing = [folder for folder in folders - listed if not covering & {folder, *folder.parents}]
    assert sorted(map(str, missing)) == []


def tree() -> list[str]:
    """Paths from the root; a folder ends with a slash."""
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
