"""Calls of jobs made in a process of their own."""

import sys

import pytest

from layerscope.orchestrator.errors import LayerscopeError
from layerscope.orchestrator.planning.fresh_process import call_apart

STEPS = "layerscope.jobs.training.snapshots:steps_of"


@pytest.fixture(params=["here", "apart"])
def somewhere(request, monkeypatch):
    """Torch is loaded in these tests; a driver that has not loaded it starts a process."""
    if request.param == "apart":
        monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.usefixtures("somewhere")
def test_the_result_comes_back():
    assert call_apart(STEPS, checkpoints=[], num_steps=5) == {}


@pytest.mark.usefixtures("somewhere")
def test_a_value_error_comes_back_as_one():
    with pytest.raises(ValueError, match="checkpoint 9 is never reached"):
        call_apart(STEPS, checkpoints=[9], num_steps=5)


def test_a_process_that_dies_is_an_error_with_its_last_lines(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(LayerscopeError, match="(?s)ended with 1.*no_such_function"):
        call_apart("layerscope.jobs.training.snapshots:no_such_function")
