"""Encoders with random weights are built around a tokenizer, once, and found like any other folder."""

import json

import pytest
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.experiment.experiment import EncoderSource, Scratch
from layerscope.orchestrator.planning.sources.encoder_folders import locate_encoder
from tests.jobs.tiny import write_tokenizer
from tests.orchestrator.bench import Bench, keys


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "layerscope" / "encoders"


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    write_tokenizer(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def located(tokenizer, **changes):
    given = {"architecture": "roberta", "layers": 2, "width": 16, "heads": 2, "positions": 30}
    scratch = Scratch(**given | {"tokenizer": str(tokenizer)} | changes)
    return locate_encoder(EncoderSource(scratch=scratch))


@pytest.mark.parametrize("architecture", ["bert", "roberta", "albert"])
def test_an_encoder_has_the_shape_that_was_asked_for_and_takes_its_tokenizers_texts(tokenizer, architecture):
    found = located(tokenizer, architecture=architecture)
    assert found.name == f"{architecture} of 2 x 16 from scratch"
    assert found.facts.shares_layers == (architecture == "albert")
    encoder, tokens = AutoModel.from_pretrained(found.folder), AutoTokenizer.from_pretrained(found.folder)
    assert (encoder.config.num_hidden_layers, encoder.config.hidden_size) == (2, 16)
    assert encoder.config.intermediate_size == 64
    assert encoder.config.pad_token_id == tokens.pad_token_id
    assert encoder.config.vocab_size == len(tokens)
    _, told = AutoModelForMaskedLM.from_pretrained(found.folder, output_loading_info=True)
    assert not told["missing_keys"]
    whole = tokens(["a " * 40], truncation=True, max_length=30, return_tensors="pt")
    assert encoder(**whole).last_hidden_state.shape == (1, 30, 16)


def test_the_same_numbers_are_built_once(tokenizer, cache):
    first = located(tokenizer)
    (weights,) = cache.glob("*/model.safetensors")
    written = weights.stat().st_mtime_ns
    assert located(tokenizer) == first
    assert weights.stat().st_mtime_ns == written
    assert located(tokenizer, seed=1).digest != first.digest
    assert len(list(cache.iterdir())) == 2


def test_another_tokenizer_is_another_encoder(tokenizer):
    first = located(tokenizer)
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    content["truncation"] = None
    (tokenizer / "tokenizer.json").write_text(json.dumps(content, indent=3))
    assert located(tokenizer).folder != first.folder


def test_an_experiment_starts_from_random_weights_and_reads_the_environment_in_their_path(
    tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setenv("TOKENIZERS", str(tokenizer.parent))
    scratch = {"architecture": "bert", "layers": 2, "width": 16, "heads": 2}
    scratch["tokenizer"] = "${TOKENIZERS}/tokenizer"
    bench = Bench(tmp_path)
    pretraining = {"own": {"steps": 3}}
    plan = bench.plan(
        encoder={"scratch": scratch},
        pretraining=pretraining,
        recipe={"max_length": 40, "pretraining": "own"},
    )
    (pretrain,) = keys(plan, "pretrain")
    assert plan.stages()[pretrain].files["encoder"].startswith(str(tmp_path / "cache"))


def test_what_cannot_be_built_is_a_missing_prerequisite_and_leaves_nothing(tokenizer, cache, tmp_path):
    with pytest.raises(PrerequisiteMissing, match="a width of 15 cannot be shared by 2 heads"):
        located(tokenizer, width=15)
    assert list(cache.iterdir()) == []
    with pytest.raises(PrerequisiteMissing, match="no tokenizer in"):
        located(tmp_path / "elsewhere")
