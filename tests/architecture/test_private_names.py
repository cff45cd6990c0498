"""Tests and benchmarks use no private member of the product: what they hold is what others may rely on."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USERS = sorted(
    path
    for folder in ("tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
)
NAMED_IN_TEXT = re.compile(r"layerscope[\w.]*(?:[.:]| import (?:\w+, )*)_[A-Za-z]\w*")
PLANTED = """
class Product:
    _limit = 3

    def __init__(self):
        self._gang = None


def _helper(): ...
"""


def is_private(name: str) -> bool:
    return re.match(r"_[A-Za-z]", name) is not None


def private_names(source: str) -> Iterator[str]:
    """What a module defines or sets under a private name, at any depth."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names = [name]
            case _:
                continue
        yield from filter(is_private, names)


@cache
def private_names_of_the_product() -> frozenset[str]:
    paths = (path for folder in ("jobs", "orchestrator") for path in (ROOT / folder).rglob("*.py"))
    return frozenset(name for path in paths for name in private_names(path.read_text(encoding="utf-8")))


def uses(source: str, private: frozenset[str]) -> Iterator[str]:
    """Where private names are imported, asked of an object, or named in a text, as for monkeypatch.

    A class of a test may have private members, which it reaches through `self`.
    """
    tree = ast.parse(source)
    own = set(private_names(source))
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "layerscope":
                found = [f"{module}.{alias.name}" for alias in names if is_private(alias.name)]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if name in own:
                continue
            case ast.Attribute(attr=name) if name in private:
                found = [ast.unparse(node)]
            case ast.Constant(value=str(text)):
                found = [text] if text in private else NAMED_IN_TEXT.findall(text)
            case _:
                continue
        yield from (f"{node.lineno}: {one}" for one in found)


@pytest.mark.parametrize("path", USERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_test_uses_a_private_member_of_the_product(path):
    found = list(uses(path.read_text(encoding="utf-8"), private_names_of_the_product()))
    assert not found, "use a public name, or give one to what has a contract of its own"


def test_there_are_tests_and_private_names_to_look_at():
    assert len(USERS) > 100 and len(private_names_of_the_product()) > 100


@pytest.mark.parametrize(
    "line",
    [
        "from layerscope.jobs.product import _helper",
        "product._helper()",
        "Product()._gang.close()",
        "self._gang",
        "trial._gang = 1",
        "monkeypatch.setattr(product, '_limit', 1)",
        "monkeypatch.setattr('layerscope.jobs.product._limit', 1)",
        "run('from layerscope.jobs.product import Product, _helper')",
    ],
)
def test_a_use_is_found(line):
    (found,) = uses(line, frozenset(private_names(PLANTED)))
    assert found.startswith("1: ")


@pytest.mark.parametrize(
    "source",
    [
        "self._gang = 1\nself._gang.close()",
        "from mlflow.utils import _helper",
        "client._tracking_client",
        "inputs._replace(a=1)",
        "product.__name__",
        "run('from layerscope.jobs.product import Product')",
    ],
)
def test_what_is_of_tests_and_libraries_is_let_be(source):
    assert not list(uses(source, frozenset(private_names(PLANTED))))
