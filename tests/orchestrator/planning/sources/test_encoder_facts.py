"""Facts of encoders: found once, remembered by digest, and faults told with the place in the experiment."""

import json
import shutil

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.planning.sources.encoder_facts import facts_of
from tests.orchestrator.bench import Bench

TARGET_FACTS = "layerscope.orchestrator.planning.sources.encoder_facts"


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    facts_of.cache_clear()
    yield tmp_path / "cache"
    facts_of.cache_clear()


@pytest.fixture
def calls(monkeypatch):
    from layerscope.orchestrator.planning.sources.fresh_process import call_apart

    made = []

    def counted(target, **arguments):
        made.append(arguments)
        return call_apart(target, **arguments)

    monkeypatch.setattr(f"{TARGET_FACTS}.call_apart", counted)
    return made


def test_an_encoder_is_loaded_once_for_its_digests(tiny_encoder, calls, cache_home):
    digests = {"digest": "a", "tokenizer_digest": "b"}
    facts = facts_of(tiny_encoder, **digests)
    assert (facts.num_layers, facts.width, facts.positions, facts.is_causal) == (2, 32, 64, False)
    facts_of.cache_clear()  # As in another process.
    assert facts_of(tiny_encoder, **digests) == facts
    assert len(calls) == 1
    facts_of(tiny_encoder, **digests | {"digest": "c"})
    assert len(calls) == 2


def test_a_damaged_memory_is_found_anew(tiny_encoder, calls, cache_home):
    digests = {"digest": "a", "tokenizer_digest": "b"}
    facts = facts_of(tiny_encoder, **digests)
    for path in (cache_home / "layerscope" / "encoder_facts").iterdir():
        path.write_text("{")
    facts_of.cache_clear()
    assert facts_of(tiny_encoder, **digests) == facts
    assert len(calls) == 2


def test_without_a_place_to_remember_facts_are_found_each_time(tiny_encoder, calls, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert facts_of(tiny_encoder, digest="a", tokenizer_digest="b").num_layers == 2


def test_an_encoder_that_cannot_be_used_is_refused_where_the_experiment_names_it(tmp_path, tiny_encoder):
    bench = Bench(tmp_path)
    folder = tmp_path / "deeper"
    folder.mkdir()
    for path in tiny_encoder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match=r"^encoder: the weights in .*16 are missing from the file"):
        bench.open(encoder={"folder": str(folder)})


def test_an_adapter_is_refused_whatever_is_remembered(tmp_path, tiny_encoder):
    folder = shutil.copytree(tiny_encoder, tmp_path / "with_adapter")
    assert Bench(tmp_path).open(encoder={"folder": str(folder)}).sources.encoders["main"].facts
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"^encoder: .*with_adapter has a PEFT adapter"):
        Bench(tmp_path).open(encoder={"folder": str(folder)})
