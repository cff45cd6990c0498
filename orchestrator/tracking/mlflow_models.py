"""Encoders logged as MLflow models, fetched once into a local folder."""

from pathlib import Path

from orchestrator.errors import PrerequisiteMissing
from orchestrator.planning.fingerprint import fingerprint
from orchestrator.tracking.tracker import redacted


def fetch_model(uri: str, *, tracking_uri: str, folder: Path) -> Path:
    """Download a model's artifacts unless they are there already; returns their folder.

    Args:
        uri: As `models:/name/1` or `runs:/id/model`.
        folder: Where fetched models are kept, each under the digest of its address.

    Raises:
        PrerequisiteMissing: MLflow does not answer, or knows no such model.
    """
    target = folder / fingerprint({"uri": uri, "tracking_uri": tracking_uri})
    if (target / "complete").exists():
        return target
    import mlflow

    target.mkdir(parents=True, exist_ok=True)
    try:
        mlflow.artifacts.download_artifacts(uri, dst_path=str(target), tracking_uri=tracking_uri)
    except Exception as error:  # MLflow raises what its store or HTTP library raises
        reason = str(error).strip().splitlines()[0]
        raise PrerequisiteMissing(f"{redacted(tracking_uri)} has no {uri}: {reason}") from error
    (target / "complete").touch()
    return target
