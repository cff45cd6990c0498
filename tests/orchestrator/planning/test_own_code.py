"""What a plan asks of an encoder that is code of its own, and what of it is in the keys."""

import json
from pathlib import Path

import pytest

from layerscope.orchestrator.errors import ConfigurationError, PrerequisiteMissing
from layerscope.orchestrator.experiment.experiment import EncoderSource
from layerscope.orchestrator.planning.sources.encoder_folders import locate_encoder
from layerscope.orchestrator.workspace import open_workspace
from tests.own_models import MODELING, change_json, in_hub_cache, make_own_encoder, modules_under
from tests.tiny import make_encoder, write_experiment

HUB, COMMIT = "maker/mine", "c" * 40


@pytest.fixture(autouse=True)
def hub_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the Hub and of modules, no way to the Hub, and nobody to ask."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    with modules_under(tmp_path / "modules"):
        yield tmp_path / "hub"


def refused(folder: Path, /, **encoder: object) -> str:
    """What a plan says, whose experiment has the encoder in its third line."""
    written = json.loads(write_experiment(folder / "mine.yaml", folder).read_text(encoding="utf-8"))
    del written["encoder"]
    lines = ["encoder:", *(f"  {name}: {json.dumps(value)}" for name, value in encoder.items())]
    rest = [f"{name}: {json.dumps(value)}" for name, value in written.items()]
    (folder / "mine.yaml").write_text("\n".join([*rest[:1], *lines, *rest[1:]]) + "\n", encoding="utf-8")
    with pytest.raises((ConfigurationError, PrerequisiteMissing)) as told:
        open_workspace(folder / "mine.yaml", store=folder / "runs")
    return str(told.value)


def test_a_repository_whose_code_is_not_asked_for_is_refused_with_what_to_write(hub_cache, tmp_path):
    in_hub_cache(hub_cache, HUB, COMMIT, make_own_encoder(tmp_path / "encoder"))
    message = refused(tmp_path, hub=HUB)
    assert message.startswith(f"{tmp_path}/mine.yaml:3:")
    assert f"write {{hub: {HUB}, revision: {COMMIT}, trust_remote_code: true}} as the encoder" in message


def test_a_revision_that_is_no_commit_is_refused_with_the_commit_that_it_is_now(hub_cache, tmp_path):
    in_hub_cache(hub_cache, HUB, COMMIT, make_own_encoder(tmp_path / "encoder"))
    message = refused(tmp_path, hub=HUB, revision="main", trust_remote_code=True)
    assert message.startswith(f"{tmp_path}/mine.yaml:4:13: encoder.revision: must be a commit")
    assert message.endswith(f"not 'main'; now that is {COMMIT}")
    assert refused(tmp_path, hub=HUB, trust_remote_code=True).startswith(f"{tmp_path}/mine.yaml:3:")
    unknown = refused(tmp_path, hub=HUB, revision="v1", trust_remote_code=True)
    assert unknown.endswith("not 'v1'")


@pytest.mark.parametrize(
    "source", [{"package": "some-model"}, {"mlflow": "models:/mine/1"}, {"folder": "mine", "package": "mine"}]
)
def test_code_of_other_places_is_refused(source, tmp_path):
    message = refused(tmp_path, **source, trust_remote_code=True)
    assert "encoder.trust_remote_code: code is run of a folder or of a repository on the Hub, and" in message
    assert f"leave out {list(source)[-1]}" in message


def test_code_of_another_repository_is_refused_by_name(tmp_path):
    folder = make_own_encoder(tmp_path / "encoder")
    change_json(folder / "config.json", auto_map={"AutoConfig": "other/repo--configuration_mine.MineConfig"})
    message = refused(tmp_path, folder=str(folder), trust_remote_code=True)
    assert "names other/repo--configuration_mine.MineConfig, which is code of another repository" in message


def test_a_cached_repository_without_its_code_is_not_there(hub_cache, tmp_path):
    snapshot = in_hub_cache(hub_cache, HUB, COMMIT, make_own_encoder(tmp_path / "encoder"))
    (snapshot / "modeling_mine.py").unlink()
    message = refused(tmp_path, hub=HUB, revision=COMMIT, trust_remote_code=True)
    assert f"Hub cache of {HUB}: {snapshot} lacks modeling_mine.py" in message


def test_the_hub_is_asked_for_python_files_only_where_code_may_be_run(hub_cache, tmp_path, monkeypatch):
    from types import SimpleNamespace

    asked = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        "huggingface_hub.HfApi.model_info", lambda self, name, **options: SimpleNamespace(sha=COMMIT)
    )
    encoder = make_own_encoder(tmp_path / "encoder")

    def download(name, *, revision, allow_patterns, **_):
        asked.append((revision, "*.py" in allow_patterns))
        return str(encoder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    locate_encoder(EncoderSource(hub=HUB))
    locate_encoder(EncoderSource(hub=HUB, revision=COMMIT, trust_remote_code=True))
    assert asked == [(COMMIT, False), (COMMIT, True)]


def test_the_code_is_in_the_digest_only_where_it_is_run(tmp_path):
    folder = make_own_encoder(tmp_path / "encoder")

    def located(**fields):
        return locate_encoder(EncoderSource(folder=str(folder), **fields))

    plain, trusted = located(), located(trust_remote_code=True)
    assert (plain.code, trusted.digest) == (None, f"{plain.digest}+{trusted.code}")
    assert trusted.tokenizer_digest == plain.tokenizer_digest
    (folder / "modeling_mine.py").write_text(f"{MODELING}\n# Edited.\n", encoding="utf-8")
    assert located() == plain
    assert located(trust_remote_code=True).digest != trusted.digest


def test_an_encoder_without_code_keeps_its_digest(tmp_path):
    folder = str(make_encoder(tmp_path / "encoder"))
    trusted = locate_encoder(EncoderSource(folder=folder, trust_remote_code=True))
    assert trusted == locate_encoder(EncoderSource(folder=folder))


def test_an_edit_of_the_code_changes_the_keys_of_what_rests_on_it_alone(tmp_path):
    folder = make_own_encoder(tmp_path / "encoder")
    encoder = {"folder": str(folder), "trust_remote_code": True}
    path = write_experiment(tmp_path / "mine.yaml", folder, encoder=encoder)

    def keys() -> dict[str, set[str]]:
        by_kind: dict[str, set[str]] = {}
        for key, stage in open_workspace(path, store=tmp_path / "runs").schedule().plan.stages().items():
            by_kind.setdefault(stage.kind, set()).add(key)
        return by_kind

    before = keys()
    (folder / "modeling_mine.py").write_text(f"{MODELING}\n# Edited.\n", encoding="utf-8")
    after = keys()
    assert before["prepare"] == after["prepare"]
    assert {kind for kind in before if before[kind] & after[kind]} == {"prepare"}


def test_a_tokenizer_that_is_code_is_in_the_keys_of_the_texts(tmp_path):
    folder = make_own_encoder(tmp_path / "encoder", tokenizer_is_code=True)
    located = locate_encoder(EncoderSource(folder=str(folder), trust_remote_code=True))
    assert located.tokenizer_digest.endswith(f"+{located.code}")
    assert located.tokenizer.encode("a!").ids == located.tokenizer.encode("a").ids
