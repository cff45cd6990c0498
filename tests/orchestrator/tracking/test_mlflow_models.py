"""Encoders that were logged as MLflow models."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.experiment.experiment import EncoderSource
from layerscope.orchestrator.planning.sources.encoder_folders import locate_encoder
from layerscope.orchestrator.tracking.mlflow_models import fetch_model

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow.*"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def logged(tmp_path_factory, empty_mlflow) -> Iterator[tuple[str, str, str]]:
    """Tracking URI of a small BERT logged with its tokenizer, its own URI and that in the registry."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
        from tokenizers import BertWordPieceTokenizer
        from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

        folder = tmp_path_factory.mktemp("mlflow")
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
        (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
        wordpiece = BertWordPieceTokenizer(str(folder / "vocab.txt"))
        tokenizer = BertTokenizerFast(tokenizer_object=wordpiece._tokenizer)
        config = BertConfig(
            vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
        uri = f"sqlite:///{shutil.copy(empty_mlflow, folder / 'mlflow.db')}"
        mlflow.set_tracking_uri(uri)
        mlflow.create_experiment("encoders", artifact_location=str(folder / "artifacts"))
        mlflow.set_experiment("encoders")
        with mlflow.start_run():
            model = mlflow.transformers.log_model(
                {"model": BertForSequenceClassification(config), "tokenizer": tokenizer},
                name="encoder",
                task="text-classification",
                pip_requirements=[],
            )
        registered = mlflow.register_model(model.model_uri, "ours")
        mlflow.set_tracking_uri(None)  # It is in the environment too; what is fetched is told the address.
        yield uri, model.model_uri, f"models:/ours/{registered.version}"


def test_a_logged_model_is_an_encoder_with_its_tokenizer(logged, tmp_path):
    uri, model, _ = logged

    def fetch(address: str) -> Path:
        return fetch_model(address, tracking_uri=uri, folder=tmp_path)

    located = locate_encoder(EncoderSource(mlflow=model), fetch_mlflow=fetch)
    assert (located.folder / "model.safetensors").is_file()
    assert (located.folder / "tokenizer.json").is_file()
    again = locate_encoder(EncoderSource(mlflow=model), fetch_mlflow=fetch)
    assert again == located


def test_a_registered_model_is_fetched_from_the_address_that_is_given(logged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri, _, registered = logged
    folder = fetch_model(registered, tracking_uri=uri, folder=tmp_path / "fetched")
    assert list(folder.rglob("model.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["fetched"]


def test_a_fetched_model_is_not_asked_for_again(logged, tmp_path):
    uri, model, _ = logged
    folder = fetch_model(model, tracking_uri=uri, folder=tmp_path)
    written = (folder / "complete").stat().st_mtime_ns
    assert fetch_model(model, tracking_uri=uri, folder=tmp_path) == folder
    assert (folder / "complete").stat().st_mtime_ns == written


def test_an_unknown_model_is_named_in_the_message(logged, tmp_path):
    with pytest.raises(PrerequisiteMissing, match=r"models:/nowhere/1"):
        fetch_model("models:/nowhere/1", tracking_uri=logged[0], folder=tmp_path)
