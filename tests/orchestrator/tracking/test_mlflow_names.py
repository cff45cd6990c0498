"""Names are changed only where MLflow would refuse them, and never so that two become one."""

import pytest

from layerscope.orchestrator.tracking.mlflow_names import (
    MAX_NAME,
    accepted_name,
    accepted_path,
    accepted_value,
    shortened,
)

HOSTILE = [
    "layer_decay=0.9",
    "layer_decay_0.9",
    "",
    ".",
    "..",
    "/",
    "a//b",
    "a/b/",
    "a/./b",
    "../a",
    ".hidden",
    "..a",
    "a\n",
    "a\x00b",
    "\ud800",
    "100 %",
    "x" * 251,
    "x" * 252,
    "é" * 300,
]


@pytest.mark.parametrize("name", ["test/accuracy", "probe/part of speech/f1", "cka/start:0", "größe-1.5_b"])
def test_a_name_that_mlflow_takes_stays_as_it_is(name):
    assert accepted_name(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_becomes_one_that_mlflow_takes(name):
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name

    for validate in (_validate_metric_name, _validate_param_name, _validate_tag_name):
        validate(accepted_name(name))
    assert len(accepted_name(name)) <= MAX_NAME


def test_no_two_names_become_one():
    assert len({accepted_name(name) for name in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_accepted_name_is_accepted_again(name):
    assert accepted_name(accepted_name(name)) == accepted_name(name)


def test_an_artifact_keeps_its_ending():
    assert accepted_path("figures/layers.png") == "figures/layers.png"
    changed = accepted_path("figures/layer_decay=0.9.png")
    assert changed.startswith("figures/layer_decay_0.9-")
    assert changed.endswith(".png")


@pytest.mark.parametrize("path", ["../../outside.txt", "/etc/passwd", "..", ".png", "a/../../b.html", ""])
def test_no_artifact_leaves_its_folder(path):
    from mlflow.store.artifact.artifact_repo import verify_artifact_path

    accepted = accepted_path(path)
    verify_artifact_path(accepted)
    assert ".." not in accepted.split("/")


def test_long_values_end_in_an_ellipsis():
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"


def test_a_value_has_nothing_that_a_database_refuses():
    assert accepted_value("a\ud800b\0c", 10) == "a?b?c"
    assert accepted_value("größe 名", 10) == "größe 名"
    assert accepted_value("abcd", 3) == "ab…"
