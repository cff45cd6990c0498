"""What the tests on a GPU train: an encoder without dropout, and a task that it can learn."""

import pytest

from tests.jobs.tiny import NO_DROPOUT, planted, write_pooler, write_rows


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_pooler(tmp_path_factory.mktemp("encoder") / "bert", initializer_range=0.1, **NO_DROPOUT)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("task") / "task", *planted(200), num_held_out=40)
