"""Calls of jobs made in a process of their own."""

import sys

import pytest

from layerscope.orchestrator.errors import LayerscopeError
from layerscope.orchestrator.planning.sources.fresh_process import call_apart

LAYERS = "layerscope.jobs.specs.layers:layers_read"
"""What these tests call: its module loads fast."""


@pytest.fixture(params=["here", "apart"])
def somewhere(request, monkeypatch):
    """Torch is loaded in these tests; a driver that has not loaded it starts a process."""
    if request.param == "apart":
        monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.usefixtures("somewhere")
def test_the_result_comes_back():
    assert list(call_apart(LAYERS, layers="last", num_layers=5)) == [5]


@pytest.mark.usefixtures("somewhere")
def test_a_value_error_comes_back_as_one():
    with pytest.raises(ValueError, match="layer 9"):
        call_apart(LAYERS, layers=9, num_layers=5)


def test_a_process_that_dies_is_an_error_with_its_last_lines(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(LayerscopeError, match="(?s)ended with 1.*no_such_function"):
        call_apart("layerscope.jobs.specs.layers:no_such_function")
