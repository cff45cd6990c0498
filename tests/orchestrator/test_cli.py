import json
import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from layerscope.orchestrator.cli import app
from tests.orchestrator.bench import Bench, finish_variant
from tests.tiny import look_at

COMMANDS = (
    "run",
    "analyze",
    "plan",
    "status",
    "report",
    "compare",
    "publish",
    "export",
    "ui",
    "validate",
    "schema",
)
EXPERIMENT = """\
experiment: mine
encoder: {folder: encoder}
tasks:
  - task: mood
    data: {source: files, train: train.jsonl, test: test.jsonl}
recipe: {max_length: 40, epochs: 1}
grid:
  layer_decay: [1.0, 0.9]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a sound experiment, its data and an encoder, in which one works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Bench(tmp_path).encoder()
    (tmp_path / "mine.yaml").write_text(EXPERIMENT)
    for name in ("train", "test"):
        rows = [{"text": f"text {number}", "label": ["good", "bad"][number % 2]} for number in range(8)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def say(*command: str):
    return CliRunner().invoke(app, command)


def refused(*command: str, code: int = 2) -> str:
    """The message of a command that is refused, after which no store is there."""
    result = say(*command)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not Path("runs").exists()
    return result.stderr


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_the_sound_experiment_is_planned_and_no_store_is_made(folder):
    result = say("plan", "mine.yaml")
    assert result.exit_code == 0
    assert "2 variants" in result.stdout
    assert "0 stored" in result.stdout
    assert not Path("runs").exists()


def test_a_wrong_key_is_told_with_its_place_and_what_was_meant(folder):
    edit(folder / "mine.yaml", "epochs: 1", "epoch: 1")
    message = refused("plan", "mine.yaml")
    assert message.startswith("error: mine.yaml:6:26: recipe.epoch: ")
    assert "did you mean 'epochs'?" in message


def test_a_wrong_type_is_told_with_what_would_be_right(folder):
    edit(folder / "mine.yaml", "epochs: 1", "epochs: many")
    message = refused("run", "mine.yaml")
    assert (
        "mine.yaml:6:34: recipe.epochs: must be a whole number of at least 1, not the text 'many'" in message
    )


def test_three_faults_of_one_file_are_told_at_once(folder):
    edit(folder / "mine.yaml", "epochs: 1", "epochs: 0, max_lenght: 3")
    edit(folder / "mine.yaml", "[1.0, 0.9]", "[1.0, 2.0]")
    message = refused("status", "mine.yaml")
    assert message.startswith("error:\n")
    assert [line.split(":")[1] for line in message.splitlines()[1:]] == ["6", "6", "8"]


def test_a_missing_experiment_is_told(folder):
    message = refused("plan", "mime.yaml")
    assert (
        message == "error: mime.yaml: the file does not exist (did you mean 'mine.yaml'?); . has mine.yaml\n"
    )


def test_a_missing_data_file_is_told_with_what_is_there(folder):
    (folder / "train.jsonl").unlink()
    message = refused("run", "mine.yaml", "--serial")
    assert "task mood: " in message
    assert "train.jsonl: no such file; in its folder are encoder, mine.yaml, test.jsonl" in message


def test_a_label_that_is_unknown_in_training_is_told_with_its_row(folder):
    with (folder / "test.jsonl").open("a") as file:
        file.write('{"text": "neither", "label": "so-so"}\n')
    message = refused("status", "mine.yaml")
    assert "test.jsonl:9: label 'so-so' does not occur in train.jsonl" in message
    assert "labels of train.jsonl: bad, good" in message


def test_bad_rows_are_told_with_file_and_row(folder):
    with (folder / "train.jsonl").open("ab") as file:
        file.write(b'{"text": "", "label": "good"}\n{"text": "no label"}\nno json\n{"text": "\xff"}\n')
    message = refused("compare", "mine.yaml")
    for row, reason in ((9, "empty text"), (10, "no label"), (11, ""), (12, "")):
        assert f"train.jsonl:{row}: {reason}" in message


def test_an_encoder_that_is_nowhere_is_a_missing_prerequisite(folder):
    edit(folder / "mine.yaml", "folder: encoder", "folder: elsewhere")
    message = refused("plan", "mine.yaml", code=4)
    assert "mine.yaml:2:10: encoder: the encoder elsewhere was not found; tried" in message


def test_layers_that_the_encoder_lacks_are_told_at_their_line(folder):
    (folder / "encoder/config.json").write_text('{"model_type": "bert", "num_hidden_layers": 6}')
    edit(folder / "mine.yaml", "epochs: 1", "frozen_layers: 7")
    assert refused("plan", "mine.yaml").startswith(
        "error: mine.yaml:6:41: recipe.frozen_layers: encoder has 6"
    )


def test_a_malformed_tracking_address_is_told_without_its_password(folder):
    message = refused("run", "mine.yaml", "--tracking-uri", "ftp://me:secret@server/x")
    assert "error: --tracking-uri: unsupported tracking address 'ftp://***@server/x'" in message
    assert "secret" not in message


def test_an_unknown_profile_is_told_with_those_there_are(folder):
    with (folder / "mine.yaml").open("a") as file:
        file.write("profiles: {small: {recipe.epochs: 1}}\n")
    message = refused("plan", "mine.yaml", "--profile", "smal")
    assert "smal" in message
    assert "did you mean 'small'?" in message


def test_a_wrong_override_is_told(folder):
    assert "recipe.epoch" in refused("plan", "mine.yaml", "recipe.epoch=2")
    assert say("plan", "mine.yaml", "recipe.epochs=2").exit_code == 0


def test_a_wrong_cluster_file_is_told(folder):
    (folder / "cluster.yaml").write_text("workers: none\n")
    for command in ("run", "plan", "status", "report", "compare"):
        assert "cluster.yaml:1:10: workers" in refused(command, "mine.yaml", "--cluster", "cluster.yaml")
        assert "gone.yaml: the file does not exist" in refused(command, "mine.yaml", "--cluster", "gone.yaml")


def test_a_sound_cluster_file_changes_no_plan(folder):
    (folder / "cluster.yaml").write_text("workers: 1\n")
    said = say("plan", "mine.yaml", "--cluster", "cluster.yaml")
    assert (said.exit_code, said.stdout) == (0, say("plan", "mine.yaml").stdout)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["plan"], "Missing argument 'EXPERIMENT'"),
        (["plan", "mine.yaml", "--frob"], "No such option: --frob"),
        (["compare", "mine.yaml", "--format", "xml"], "'xml' is not one of 'json', 'md'"),
        (["ui", "--port", "70000"], "less than or equal to 65535"),
    ],
)
def test_what_is_no_command_is_told(folder, command, told):
    assert told in refused(*command)


def test_pages_of_a_store_that_is_not_there_are_a_missing_prerequisite(folder):
    assert "run an experiment with --store runs first" in refused("ui", code=4)


@pytest.mark.parametrize("command", ["report", "publish"])
def test_what_is_written_from_a_store_wants_one_that_is_there(folder, command):
    message = refused(command, "mine.yaml", "--store", "rnus", code=4)
    assert message == f"error: there is no store {folder / 'rnus'}: name one with --store\n"
    assert not Path("rnus").exists()


def real(*command: str, **environ: str):
    """The command as a user starts it."""
    return subprocess.run(
        [sys.executable, "-c", "from layerscope.orchestrator.cli import main; main()", *command],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environ,
        check=False,
    )


def test_a_store_that_cannot_be_written_ends_the_run_with_four_and_a_sentence(folder, tiny_encoder):
    shutil.copytree(tiny_encoder, folder / "encoder", dirs_exist_ok=True)
    look_at(folder / "mine.yaml")
    done = real("run", "mine.yaml", "--serial", "--store", "mine.yaml/store")
    assert done.returncode == 4, done.stderr
    assert (
        "mine.yaml/store cannot be written: Not a directory; choose another folder with --store"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_a_file_is_no_store_for_any_command(folder):
    for command in ("plan", "status", "report", "compare"):
        message = refused(command, "mine.yaml", "--store", "mine.yaml", code=4)
        assert "mine.yaml is no folder; choose another with --store" in message


def test_a_refusal_reads_the_same_in_a_real_process(folder):
    edit(folder / "mine.yaml", "epochs: 1", "epoch: 1")
    done = real("plan", "mine.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: mine.yaml:6:26: recipe.epoch: ")
    assert not Path("runs").exists()


def test_help_names_every_command_and_what_the_exit_codes_mean():
    said = say("--help").stdout
    assert all(f" {command} " in said for command in COMMANDS)
    assert "3 finished with failures" in " ".join(said.replace("│", "").split())
    assert all(say(command, "--help").exit_code == 0 for command in COMMANDS)


def test_the_schema_is_json():
    assert "experiment" in json.loads(say("schema").stdout)["properties"]
    assert "claims" in json.loads(say("schema", "reference").stdout)["properties"]


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    """An experiment of two seeds, of which the first is trained and measured and the second failed."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    bench = Bench(tmp_path)
    workspace = bench.open(seeds=[0, 1])
    workspace.store.create()
    done, failed = workspace.schedule().plan.variants
    finish_variant(bench, done, test__accuracy=0.75, validation__accuracy=0.5)
    for role in ("probe", "depth"):
        bench.finish(done.stages[role], {}, *({"step": layer, "accuracy": layer / 4} for layer in range(3)))
    workspace.store.set_outcome(failed.stages["finetune"], "failed", "OSError: no space")
    return bench


def of_bench(bench: Bench, *command: str):
    result = say(command[0], str(bench.root / "bench.yaml"), "--store", str(bench.store), *command[1:])
    assert result.exit_code == 0, result.output
    return result


def test_a_plan_as_json_has_its_agreed_shape(bench):
    plan = json.loads(of_bench(bench, "plan", "--json").stdout)
    assert plan["experiment"] == "bench"
    assert plan["variants"] == 2
    for stage in plan["stages"]:
        assert set(stage) == {"key", "kind", "state", "reason", "variants"}
        assert stage["state"] in ("stored", "todo", "blocked", "failed")
    told = {(stage["kind"], stage["state"]): stage for stage in plan["stages"]}
    assert told["finetune", "failed"]["reason"] == "will be retried: OSError: no space"
    assert told["finetune", "stored"] | {"key": ""} == {
        "key": "",
        "kind": "finetune",
        "state": "stored",
        "reason": "cached",
        "variants": 1,
    }
    assert told["prepare", "todo"]["variants"] == 2
    assert told["prepare", "todo"]["reason"] == "ready"


def test_a_plan_for_people_says_the_same(bench):
    said = of_bench(bench, "plan", "--all").stdout
    lines = {tuple(line.split()[:3:2]) for line in said.splitlines()}
    assert {("finetune", "stored"), ("finetune", "failed"), ("prepare", "todo"), ("probe", "stored")} <= lines
    assert "will be retried: OSError: no space" in said
    collapsed = of_bench(bench, "plan", "grid.truncation=[head,tail,head+tail]").stdout
    assert "6 cells, 2 runs" in collapsed
    assert len([line for line in collapsed.splitlines() if line.startswith("finetune")]) == 2


def test_a_plan_tells_of_which_model_states_are(bench):
    said = of_bench(bench, "plan", "--all", "measures.random_encoder=true").stdout
    told = [line for line in said.splitlines() if line.startswith("text_states")]
    for model in ("tuned", "start", "random init"):
        assert any(f": {model};" in line for line in told)


def test_a_status_as_json_has_its_agreed_shape(bench):
    status = json.loads(of_bench(bench, "status", "--json").stdout)
    assert status["experiment"] == "bench"
    done, failed = status["variants"]
    assert set(done) >= {"task", "condition", "seed", "key", "state", "reason"}
    assert (done["task"], done["seed"], done["state"], done["reason"]) == ("topic", 0, "done", "")
    assert (failed["seed"], failed["state"], failed["reason"]) == (1, "failed", "OSError: no space")


def test_a_status_for_people_says_the_same(bench):
    said = of_bench(bench, "status").stdout
    assert "2 variants: 1 done, 1 failed" in said
    assert "OSError: no space" in said


def test_a_comparison_as_json_has_a_row_for_every_score(bench):
    rows = json.loads(of_bench(bench, "compare", "--format", "json").stdout)
    assert rows == json.loads(of_bench(bench, "compare", "--json").stdout)
    assert {tuple(row) for row in rows} == {
        ("condition", "seed", "task", "measure", "layer", "metric", "value")
    }
    scores = [(row["measure"], row["layer"], row["metric"], row["value"]) for row in rows]
    assert scores == [
        ("test", None, "accuracy", 0.75),
        ("validation", None, "accuracy", 0.5),
        *(("probe", layer, "accuracy", layer / 4) for layer in range(3)),
        *(("depth", layer, "accuracy", layer / 4) for layer in range(3)),
    ]


def test_a_comparison_as_parquet_holds_the_same_rows(bench):
    from pyarrow import parquet

    table = parquet.read_table(BytesIO(of_bench(bench, "compare", "--format", "parquet").stdout_bytes))
    assert table.to_pylist() == json.loads(of_bench(bench, "compare", "--format", "json").stdout)


def test_a_comparison_as_markdown_or_latex_is_a_summary(bench):
    assert "| recipe | topic | 1 | 0.7500 |" in of_bench(bench, "compare").stdout
    assert of_bench(bench, "compare", "--format", "md").stdout == of_bench(bench, "compare").stdout
    said = of_bench(bench, "compare", "--format", "latex").stdout
    assert said.startswith(r"\begin{tabular}{llrr}")
    assert r"recipe & topic & 1 & 0.7500 \\" in said


@pytest.mark.parametrize("form", ["md", "json"])
def test_a_comparison_of_nothing_says_so_beside_its_empty_table(folder, form):
    result = say("compare", "mine.yaml", "--format", form)
    assert result.exit_code == 0
    assert result.stderr.startswith("nothing is finished yet: start it with `layerscope run`")
    assert form != "json" or json.loads(result.stdout) == []


def test_a_comparison_of_something_says_nothing_beside_it(bench):
    assert of_bench(bench, "compare").stderr == ""


def test_one_of_anything_is_told_in_the_singular(bench):
    bench.write(seeds=[0])
    said = of_bench(bench, "plan").stdout
    assert "\n1 variant\n" in said
    assert "  1 stage  " in said
    assert "\n1 variant: 1 done\n" in of_bench(bench, "status").stdout
    one_run = of_bench(bench, "plan", "grid.truncation=[head,tail]").stdout
    assert "2 cells, 1 run\n" in one_run


def test_claims_stand_below_the_markdown_table(bench):
    check = {"kind": "diverges", "where": {"truncation": "whole"}}
    claim = {"claim": "a", "says": "It fails.", "source": "table 1", "check": check}
    table = {"table": "T1", "title": "All", "rows": [{"row": "all", "values": {"topic": 5.0}}]}
    paper = {"paper": "known", "title": "K", "source": "nowhere", "tables": [table], "claims": [claim]}
    bench.write(seeds=[0, 1], reference={"paper": paper})
    said = of_bench(bench, "compare").stdout
    assert "| recipe | topic | 1 | 0.7500 |" in said
    assert "| a: It fails. (table 1) | not held | topic: 0 of 1 runs with truncation=whole" in said
    assert "It fails" not in of_bench(bench, "compare", "--format", "latex").stdout
    assert "It fails" not in of_bench(bench, "compare", "--json").stdout


def test_looking_at_a_store_changes_nothing_in_it(bench):
    def files():
        return sorted(path for path in bench.store.rglob("*") if not path.name.startswith(".digests"))

    before = files()
    for command in (["plan"], ["status"], ["compare"], ["plan", "--json"]):
        of_bench(bench, *command)
    assert files() == before


def test_a_report_of_what_there_is_is_written_into_the_store(bench):
    said = json.loads(of_bench(bench, "report", "--json").stdout)
    assert Path(said["report"]) == bench.store / "reports" / "bench" / "report.html"
    assert "OSError: no space" in Path(said["report"]).read_text()


def test_validate_counts_what_is_there_and_tells_bad_rows(folder):
    task = folder / "mood.yaml"
    task.write_text("task: mood\ndata: {source: files, train: train.jsonl, test: test.jsonl}\n")
    sound = say("validate", "mood.yaml")
    assert (sound.exit_code, sound.stderr) == (0, "")
    assert sound.stdout.startswith(
        "mood: 8 rows in train, 8 rows in test\n  labels in train: bad 4, good 4\n"
    )
    assert json.loads(say("validate", "mood.yaml", "--json").stdout)["num_rows"] == {"train": 8, "test": 8}
    (folder / "test.jsonl").write_text('{"text": "x", "label": "fair"}\n')
    message = refused("validate", "mood.yaml")
    assert "task mood: test.jsonl:1: label 'fair' does not occur in train.jsonl" in message
    edit(task, "files", "flies")
    assert "did you mean 'files'?" in refused("validate", "mood.yaml")
    experiment = refused("validate", "mine.yaml")
    assert experiment == (
        "error: mine.yaml:1:1: experiment: this is an experiment file, not a task's: "
        "`layerscope plan mine.yaml` checks it\n"
    )
    both = say("validate", "mood.yaml", "gone.yaml")
    assert both.exit_code == 2
    assert "gone.yaml: the file does not exist" in both.stderr
    assert "mood.yaml:2" in both.stderr
