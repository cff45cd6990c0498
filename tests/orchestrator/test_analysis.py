import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from layerscope.orchestrator.analysis import analysis, analysis_yaml
from layerscope.orchestrator.cli import app
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.running import Outcome
from tests.orchestrator.bench import SAMPLE, Bench
from tests.tiny import read_experiment


@pytest.fixture
def tasks(tmp_path) -> list[Path]:
    paths = []
    for name, data in (("topic", SAMPLE), ("words", {"source": "sample_annotations", "label": "upos"})):
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(json.dumps({"task": name, "data": data}))
    return paths


def sources(*models: str, tasks, store: Path) -> dict:
    return analysis("mine", models, tasks, store=store)["encoders"]


def test_a_model_is_found_by_what_it_looks_like(tasks, tmp_path):
    stored = tmp_path / "store/finetune/0123456789abcdef"
    stored.mkdir(parents=True)
    (stored / "config.json").write_text("{}")
    (tmp_path / "mine").mkdir()
    found = sources(
        "0123456", "bert-base-uncased", "google/electra", "package:some-model", "models:/best/1",
        str(tmp_path / "mine"), "abcdef", tasks=tasks, store=tmp_path / "store",
    )  # fmt: skip
    assert found == {
        "0123456": {"folder": str(stored)},
        "bert-base-uncased": {"hub": "bert-base-uncased"},
        "electra": {"hub": "google/electra"},
        "some-model": {"package": "some-model"},
        "best-1": {"mlflow": "models:/best/1"},
        "mine": {"folder": str(tmp_path / "mine")},
        "abcdef": {"hub": "abcdef"},
    }


def test_code_is_allowed_of_models_in_folders_and_on_the_hub(tasks, tmp_path):
    (tmp_path / "mine").mkdir()
    models = [f"google/electra@{'a' * 40}", str(tmp_path / "mine"), "package:some-model"]
    written = analysis("mine", models, tasks, store=tmp_path, trust_remote_code=True)
    assert written["encoders"] == {
        "electra": {"hub": "google/electra", "revision": "a" * 40, "trust_remote_code": True},
        "mine": {"folder": str(tmp_path / "mine"), "trust_remote_code": True},
        "some-model": {"package": "some-model"},
    }
    assert YAML(typ="safe").load(analysis_yaml(written)) == written


def test_two_models_of_one_name_are_told_apart(tasks, tmp_path):
    found = sources("a/bert", "b/bert", "c/main", tasks=tasks, store=tmp_path)
    assert {name: source["hub"] for name, source in found.items()} == {
        "bert": "a/bert",
        "bert-2": "b/bert",
        "main-2": "c/main",
    }


def test_a_key_with_two_meanings_and_a_missing_folder_are_refused(tasks, tmp_path):
    for name in ("abcdef0000000000", "abcdef1111111111"):
        (tmp_path / "finetune" / name).mkdir(parents=True)
        (tmp_path / "finetune" / name / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="several keys: abcdef0000000000, abcdef1111111111"):
        sources("abcdef", tasks=tasks, store=tmp_path)
    with pytest.raises(ConfigurationError, match=r"no folder \./nowhere"):
        sources("./nowhere", tasks=tasks, store=tmp_path)


def test_annotated_tasks_are_probed_beside_one_of_texts(tasks, tmp_path):
    written = analysis("mine", ["bert"], tasks, store=tmp_path)
    assert (written["tasks"], written["probing"]) == ([str(tasks[0])], [str(tasks[1])])
    assert YAML(typ="safe").load(analysis_yaml(written)) == written
    with pytest.raises(ConfigurationError, match="at least one task of texts"):
        analysis("mine", ["bert"], tasks[1:], store=tmp_path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, r"task\.yaml: the file does not exist"),
        ("a: [", r"task\.yaml:1:5: cannot be read as YAML"),
        ("a: 1", r"task\.yaml:1:1: task: is missing"),
    ],
)
def test_a_task_that_cannot_be_read_is_named(text, fault, tmp_path):
    path = tmp_path / "task.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=fault):
        analysis("mine", ["bert"], [path], store=tmp_path)


def test_the_experiment_that_is_kept_holds_the_overrides(tasks, tmp_path, monkeypatch):
    outcome = Outcome({"failed": 0, "blocked": 0}, {"failed": 0}, tmp_path / "report.html", num_unpublished=0)
    monkeypatch.setattr("layerscope.orchestrator.running.run_experiment", lambda *_, **__: outcome)
    encoder = Bench(tmp_path).encoder(num_hidden_layers=2, hidden_size=8)
    command = ["analyze", str(encoder), "--task", str(tasks[0]), "--store", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, [*command, "--name", "mine", "--json", "--set", "measures.num_train=77"])
    assert result.exit_code == 0, result.output
    kept = read_experiment(tmp_path / "runs/analyses/mine.yaml")
    assert (kept.experiment, kept.measures.num_train) == ("mine", 77)


def test_a_name_that_is_no_name_is_refused(tasks, tmp_path):
    encoder = Bench(tmp_path).encoder(num_hidden_layers=2, hidden_size=8)
    command = ["analyze", str(encoder), "--task", str(tasks[0]), "--store", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, [*command, "--name", "../mine"])
    assert (result.exit_code, (tmp_path / "runs").exists()) == (2, False)
    assert result.stderr.startswith("error: --name: must be letters") and "'../mine'" in result.stderr


def test_what_is_wrong_in_an_override_leaves_no_store(tasks, tmp_path):
    encoder = Bench(tmp_path).encoder()
    command = ["analyze", str(encoder), "--task", str(tasks[0]), "--store", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, [*command, "--set", "measures.ckq=false"])
    assert result.exit_code == 2
    assert "did you mean 'cka'" in result.stderr
    assert not (tmp_path / "runs").exists()
