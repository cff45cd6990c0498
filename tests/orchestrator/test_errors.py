import pytest

from layerscope.orchestrator.errors import PrerequisiteMissing, first_line
from layerscope.orchestrator.planning.sources.hub_data import resolve_revision
from layerscope.orchestrator.tracking.mlflow_models import fetch_model


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one\n"), "one"),
        (TimeoutError(), "TimeoutError"),
        (OSError(" \n"), "OSError"),
    ],
)
def test_an_error_without_a_message_is_called_by_its_type(error, line):
    assert first_line(error) == line


def test_a_hub_that_fails_without_a_message_is_reported(monkeypatch):
    def fail(*_, **__):
        raise TimeoutError

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fail)
    with pytest.raises(ValueError, match="from the Hub: TimeoutError"):
        resolve_revision("some/data", "main")


def test_an_mlflow_that_fails_without_a_message_is_reported(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise TimeoutError

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fail)
    with pytest.raises(PrerequisiteMissing, match="http://there has no models:/a/1: TimeoutError"):
        fetch_model("models:/a/1", tracking_uri="http://there", folder=tmp_path)
