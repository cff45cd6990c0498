"""Code of a model's own: refused unless it may be run, run as it was planned, and carried along."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from layerscope.jobs.encoders.checked_loading import read_config
from layerscope.jobs.encoders.facts import encoder_facts
from layerscope.jobs.encoders.loading import (
    load_encoder,
    load_for_pretraining,
    save_encoder,
    save_pretrained_further,
)
from layerscope.jobs.own_code import allow_code, code_digest, code_of, how_to_allow, missing_code, with_code
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer, tokenizer_digest
from tests.own_models import AUTO_MAP, MODELING, change_json, make_own_encoder, modules_under

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch) -> Path:
    """An empty folder for what transformers imports; nobody is asked anything."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    with modules_under(tmp_path / "modules"):
        yield tmp_path / "modules"


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_own_encoder(tmp_path / "encoder")


def states(encoder) -> torch.Tensor:
    with torch.no_grad():
        return encoder(input_ids=torch.tensor([[7, 8, 9]])).last_hidden_state


def test_a_digest_says_which_code_may_be_run():
    assert code_of(with_code("0" * 16, "a" * 64)) == "a" * 64
    assert code_of(with_code("0" * 16, None)) is None


def test_code_runs_where_its_digest_is_given(folder):
    code = code_digest(folder)
    encoder = load_encoder(folder, code=code)
    theirs = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert torch.equal(states(encoder), states(theirs))
    facts = encoder_facts(str(folder), code)
    assert (facts["num_layers"], facts["has_masked_head"], facts["is_causal"]) == (2, True, False)


def test_weights_of_half_precision_are_computed_with_in_float32(folder):
    path = folder / "model.safetensors"
    halves = {name: value.half() for name, value in load_file(path).items()}
    save_file(halves, path, metadata={"format": "pt"})
    change_json(folder / "config.json", dtype="float16")
    encoder = load_encoder(folder, code=code_digest(folder))
    assert {value.dtype for value in encoder.state_dict().values()} == {torch.float32}


def test_decoders_that_are_code_keep_no_keys_and_values(folder):
    with (folder / "configuration_mine.py").open("a", encoding="utf-8") as file:
        file.write("        self.use_cache = True\n")
    assert load_encoder(folder, code=code_digest(folder)).config.use_cache is False


def test_weights_that_do_not_fit_the_code_are_refused(folder):
    path = folder / "model.safetensors"
    others = {name.replace("query", "asks"): value for name, value in load_file(path).items()}
    save_file(others, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="4 are missing from the file .layers.0.query.bias"):
        load_encoder(folder, code=code_digest(folder))


def test_without_it_nothing_runs_and_the_message_says_what_to_write(folder, tmp_path):
    (folder / "configuration_mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    for look in (read_config, load_encoder):
        with pytest.raises(
            ValueError,
            match=rf"write {{folder: {folder}, trust_remote_code: true}} as the encoder .*or use a model",
        ):
            look(folder)
    assert not (tmp_path / "ran").exists()


def test_of_the_hubs_cache_the_message_names_repository_and_commit(tmp_path):
    snapshot = tmp_path / "models--maker--tiny" / "snapshots" / ("a" * 40)
    written = f"{{hub: maker/tiny, revision: {'a' * 40}, trust_remote_code: true}}"
    assert written in how_to_allow(snapshot)


def test_other_code_than_was_planned_is_not_run(folder, tmp_path):
    code = code_digest(folder)
    (folder / "modeling_mine.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\n{MODELING}", encoding="utf-8"
    )
    for look in (read_config, load_encoder, load_for_pretraining):
        options = {"next_sentence": False} if look is load_for_pretraining else {}
        with pytest.raises(ValueError, match="is not what was planned"):
            look(folder, code=code, **options)
    assert not (tmp_path / "ran").exists()


def test_the_digest_follows_every_python_file_and_no_other(folder):
    digests = {code_digest(folder)}
    (folder / "README.md").write_text("nothing", encoding="utf-8")
    assert digests == {code_digest(folder)}
    (folder / "helping.py").write_text("A = 1", encoding="utf-8")
    digests.add(code_digest(folder))
    (folder / "helping.py").rename(folder / "helped.py")
    digests.add(code_digest(folder))
    assert len(digests) == 3
    config = json.loads((folder / "config.json").read_text())
    del config["auto_map"]
    (folder / "config.json").write_text(json.dumps(config))
    assert code_digest(folder) is None


def test_edited_code_is_what_runs_next(folder):
    before = states(load_encoder(folder, code=code_digest(folder)))
    (folder / "modeling_mine.py").write_text(MODELING.replace("SCALE = 1.0", "SCALE = 2.0"), encoding="utf-8")
    assert not torch.equal(states(load_encoder(folder, code=code_digest(folder))), before)


@pytest.mark.parametrize(
    ("auto_map", "message"),
    [
        (
            AUTO_MAP | {"AutoModel": "other/repo--modeling_mine.MineModel"},
            r"another repository \(other/repo\)",
        ),
        (AUTO_MAP | {"AutoModel": "gone.MineModel"}, "lacks gone.py"),
        (AUTO_MAP | {"AutoModel": "../modeling_mine.MineModel"}, "must name a class as module.Class"),
    ],
)
def test_classes_that_are_elsewhere_are_refused_by_name(auto_map, message, folder):
    change_json(folder / "config.json", auto_map=auto_map)
    with pytest.raises(ValueError, match=message):
        code_digest(folder)
    with pytest.raises(ValueError, match=message):
        load_encoder(folder, code="a" * 64)


def test_files_that_are_missing_are_named(folder):
    (folder / "modeling_mine.py").unlink()
    assert missing_code(folder) == ["modeling_mine.py"]


def test_code_that_fails_is_told_in_words(folder):
    def written(text: str) -> str:
        (folder / "modeling_mine.py").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError) as told:
            encoder_facts(str(folder), code_digest(folder))
        return str(told.value)

    assert "requires the following packages" in written("import package_that_is_not_there")
    assert "cannot be run: invalid syntax" in written("def")
    assert re.search("1 / 0|division by zero", written(f"{MODELING}\n1 / 0"))
    assert "names no AutoModel" in _without_model(folder)


def _without_model(folder: Path) -> str:
    (folder / "modeling_mine.py").write_text(MODELING, encoding="utf-8")
    change_json(folder / "config.json", auto_map={"AutoConfig": AUTO_MAP["AutoConfig"]})
    with pytest.raises(ValueError) as told:
        load_encoder(folder, code=code_digest(folder))
    return str(told.value)


def test_a_model_whose_padding_counts_is_refused_like_any_other(folder):
    blind = MODELING.replace('scores.masked_fill(~seen[:, None], float("-inf"))', "scores")
    assert blind != MODELING
    (folder / "modeling_mine.py").write_text(blind, encoding="utf-8")
    with pytest.raises(ValueError, match="MineModel gives different states for a padded text"):
        encoder_facts(str(folder), code_digest(folder))


def test_what_is_saved_carries_the_code_and_keeps_its_digest(folder, tmp_path):
    (folder / "unused.py").write_text("A = 1", encoding="utf-8")
    code = code_digest(folder)
    encoder = load_encoder(folder, code=code)
    save_encoder(encoder, tmp_path / "tuned", tokenizer_from=folder)
    assert code_digest(tmp_path / "tuned") == code
    assert torch.equal(states(load_encoder(tmp_path / "tuned", code=code)), states(encoder))
    model = load_for_pretraining(folder, next_sentence=False, code=code)
    save_pretrained_further(model, tmp_path / "further", start=folder, code=code)
    assert code_digest(tmp_path / "further") == code
    again = load_encoder(tmp_path / "further", code=code)
    assert torch.equal(states(again), states(model.base_model))


def test_a_tokenizer_that_is_code_is_read_by_it_and_remembered_by_its_digest(tmp_path):
    folder = make_own_encoder(tmp_path / "encoder", tokenizer_is_code=True)
    with pytest.raises(ValueError, match="names tokenization_mine.MineTokenizer.*trust_remote_code: true"):
        load_tokenizer(folder)
    code = code_digest(folder)
    word = (folder / "vocab.txt").read_text().splitlines()[-1]
    theirs = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ids = load_tokenizer(folder, code=code).encode(f"{word}!").ids
    assert ids == theirs(f"{word}!")["input_ids"] == theirs(word)["input_ids"]
    assert tokenizer_digest(folder, runs_code=True) == with_code(tokenizer_digest(folder), code)
    tokenization = folder / "tokenization_mine.py"
    tokenization.write_text(tokenization.read_text().replace('" "', f'" {word} "'), encoding="utf-8")
    assert (
        load_tokenizer(folder, code=code_digest(folder)).encode(f"{word}!").ids
        == theirs(f"{word} {word}")["input_ids"]
    )


def test_a_tokenizer_of_transformers_beside_code_has_the_digest_it_had(folder):
    assert tokenizer_digest(folder, runs_code=True) == tokenizer_digest(folder)
    assert load_tokenizer(folder, code=code_digest(folder)).encode("a").ids


SEVERAL = """
import sys
from pathlib import Path
from layerscope.jobs.own_code import allow_code, code_digest
from layerscope.jobs.encoders.loading import load_encoder
folders = [Path(name) for name in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.readline()
for folder in folders:
    load_encoder(folder, code=code_digest(folder))
"""


@pytest.mark.slow
def test_two_processes_place_the_same_code_at_once(tmp_path):
    folders = [make_own_encoder(tmp_path / f"encoder-{number}") for number in range(6)]
    for number, folder in enumerate(folders):
        long = "\n".join(f"# {line} of {number}" for line in range(20_000))
        (folder / "modeling_mine.py").write_text(f"{long}\n{MODELING}", encoding="utf-8")
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "shared"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SEVERAL, *map(str, folders)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_a_process_waits_for_another_that_places_code(folder, modules):
    """While the lock is held nothing is written; half a file that was left is written again."""
    import fcntl
    import threading

    modules.mkdir()
    code = code_digest(folder)
    with (modules / ".layerscope.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread = threading.Thread(target=allow_code, args=(folder, code))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert not list(modules.rglob("modeling_mine.py"))
    thread.join()
    placed = next(modules.rglob("modeling_mine.py"))
    placed.write_text(MODELING[:100], encoding="utf-8")
    assert allow_code(folder, code)
    assert placed.read_text(encoding="utf-8") == MODELING
