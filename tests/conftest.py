"""What many tests share: a tiny encoder, and one Ray of two CPUs for a whole session."""

import gc
import os
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch  # noqa: F401 - so that what a plan calls apart is called here: starting a process takes seconds

from tests.tiny import look_at, make_encoder, write_experiment

NO_FOLDER_FOR_RAY = "/dev/null/a-test-that-starts-a-Ray-is-marked-ray"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use the session's Ray are marked."""
    for item in items:
        if "ray_of_two_cpus" in item.fixturenames:
            item.add_marker("ray")


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """No Ray starts in a test without the mark, nor in its processes: they cannot write its folder."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("ray") is None:
            patch.setenv("RAY_TMPDIR", NO_FOLDER_FOR_RAY)
        return (yield)


@pytest.fixture(autouse=True, scope="session")
def cache_of_these_tests(tmp_path_factory) -> Iterator[None]:
    """What is remembered of tokenizers and encoders does not come from, or stay in, the cache of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """Without dropout: what is trained does not depend on how many processes share the batch."""
    folder = tmp_path_factory.mktemp("tiny")
    encoder = make_encoder(folder / "encoder", dropout=0.0)
    look_at(write_experiment(folder / "tiny.yaml", encoder))
    return encoder


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory) -> Path:
    """A database of MLflow without runs: making one takes seconds, copying it nothing."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        from mlflow import MlflowClient

        path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        MlflowClient(f"sqlite:///{path}")._tracking_client.store.engine.dispose()
    return path


@pytest.fixture(scope="session")
def ray_of_two_cpus() -> Iterator[None]:
    """A Ray that processes of two cores fit into, and that counts two GPUs which are not there."""
    import ray

    from layerscope.orchestrator.execution.ray_cluster import connected
    from layerscope.orchestrator.experiment.cluster import Cluster

    root = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    os.environ["OMP_NUM_THREADS"] = "1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "init", partial(ray.init, num_gpus=2))
        with connected(Cluster(num_cpus=2)):
            yield
