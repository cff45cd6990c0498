"""Encoders logged as MLflow models, fetched once into a local folder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerscope.orchestrator.errors import PrerequisiteMissing, first_line
from layerscope.orchestrator.planning.fingerprint import fingerprint
from layerscope.orchestrator.tracking.tracker import redacted

COMPLETE = "complete"
TRACKING_URI = "MLFLOW_TRACKING_URI"
"""The environment variable that MLflow reads."""


def fetch_model(uri: str, *, tracking_uri: str, folder: Path) -> Path:
    """Download a model's artifacts unless already there; returns their folder.

    MLflow's transformers flavour stores weights and tokenizer in separate folders; the tokenizer's files are
    copied next to the weights.

    Args:
        uri: As `models:/name/1` or `runs:/id/model`.
        folder: Parent of downloaded models, each named by the digest of its address.

    Raises:
        PrerequisiteMissing: MLflow does not answer, or has no such model.
    """
    target = folder / fingerprint({"uri": uri, "tracking_uri": tracking_uri})
    if (target / COMPLETE).exists():
        return target
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    target.mkdir(parents=True, exist_ok=True)
    try:
        with _tracking_at(tracking_uri):
            mlflow.artifacts.download_artifacts(uri, dst_path=str(target))
    except Exception as error:  # MLflow raises what its store or HTTP library raises
        reason = redacted(first_line(error))
        raise PrerequisiteMissing(f"{redacted(tracking_uri)} has no {uri}: {reason}") from error
    _lay_tokenizer_beside_weights(target)
    (target / COMPLETE).touch()
    return target


@contextmanager
def _tracking_at(uri: str) -> Iterator[None]:
    """Sets MLflow's global address within a block: its functions look up models only there."""
    import mlflow

    before = os.environ.get(TRACKING_URI)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # it takes None for the default
        if before is not None:
            os.environ[TRACKING_URI] = before


def _lay_tokenizer_beside_weights(target: Path) -> None:
    for config in target.rglob("model/config.json"):
        for path in (config.parent.parent / "components" / "tokenizer").glob("*"):
            if not (config.parent / path.name).exists():
                shutil.copyfile(path, config.parent / path.name)
