"""The recipes of CONTRIBUTING.md on a copy of the tree: they run, and touch as many files as they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import write_experiment

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(python|diff)\n(.*?)```", re.DOTALL)
RUN = """
import sys
from pathlib import Path
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.workspace import open_workspace
workspace = open_workspace(Path(sys.argv[1]), store=Path(sys.argv[2]))
workspace.store.create()
schedule = workspace.schedule()
run_serially(schedule)
study = workspace.study(schedule)
from layerscope.jobs.study_report import study_figures
from layerscope.jobs.artifacts.record import read_metrics
print(*study_figures(study), sep="\\n")
print(*(f"{role} {read_metrics(folder)}" for role, folder in study.variants[0].folders.items()), sep="\\n")
"""

LOSSES = """
for variant in study.variants:
    metrics = read_metrics(variant.folders["finetune"])
    print("loss", variant.recipe["confidence_penalty"], metrics["train/loss_last"])
"""
KEYS = """
import sys
from pathlib import Path
from layerscope.orchestrator.workspace import open_workspace
print(*open_workspace(Path(sys.argv[1]), store=Path(sys.argv[2])).schedule().plan.stages())
"""
NOTHING = {"probe": False, "cka": False, "depth": False}


def recipe(title: str) -> tuple[str, list[tuple[str, str]]]:
    """The whole heading that begins with a title, and the blocks below it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    heading, _, rest = re.search(rf"### ({title}[^\n]*)(\n)(.*?)(?=\n### |\n## )", text, re.DOTALL).groups()
    return heading, BLOCK.findall(rest)


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy of the tree that git knows of, with changes that are not committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("this copy of layerscope is no git checkout")
    copy = tmp_path / "tree"
    for name in listed.stdout.splitlines():
        source, target = ROOT / name, copy / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    return copy


def made(tree: Path, blocks: list[tuple[str, str]]) -> set[str]:
    """Files that the blocks wrote or changed."""
    touched = set()
    for language, block in blocks:
        if language == "python":
            name, _, code = block.removeprefix("# ").partition("\n")
            (tree / name).parent.mkdir(exist_ok=True)
            assert not (tree / name).exists()
            (tree / name).write_text(code, encoding="utf-8")
            touched.add(name)
        else:
            command = ["git", "apply", "--unidiff-zero", "-"]
            subprocess.run(command, cwd=tree, input=block, text=True, check=True)
            touched |= set(re.findall(r"^\+\+\+ b/(.*)$", block, re.MULTILINE))
    return touched


def run_in(tree: Path, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_measure_is_a_folder_and_three_lines(tree, tmp_path, tiny_encoder):
    heading, blocks = recipe("A measure")
    touched = made(tree, blocks)
    assert heading == "A measure: one folder, and 3 lines in one file"
    assert {Path(name).parent.name for name in touched} == {"norms", "measures"}
    assert [name for name in touched if "norms" not in name] == ["jobs/measures/__init__.py"]
    (changes,) = [block for language, block in blocks if language == "diff"]
    assert len(re.findall(r"^\+[^+]", changes, re.MULTILINE)) == 3
    path = write_experiment(tmp_path / "tiny.yaml", tiny_encoder, measures={"norms": True, "num_test": 40})
    told = run_in(tree, RUN, str(path), str(tmp_path / "runs"))
    assert "norms/topic/norm\n" in told
    assert "norms {'layers': 3.0}" in told and "norms/start {'layers': 3.0}" in told


@pytest.mark.slow
def test_a_metric_is_two_files(tree, tmp_path, tiny_encoder):
    heading, blocks = recipe("A metric")
    touched = made(tree, blocks)
    assert heading == "A metric: 2 files" and len(touched) == 2
    path = write_experiment(tmp_path / "tiny.yaml", tiny_encoder)
    text = path.read_text().replace('"task": "topic"', '"task": "topic", "metric": "balanced_accuracy"')
    path.write_text(text)
    told = run_in(tree, RUN, str(path), str(tmp_path / "runs"))
    assert "'test/balanced_accuracy': " in told
    assert "learning/topic/validation_balanced_accuracy\n" in told


@pytest.mark.slow
def test_a_factor_is_two_files_and_leaves_keys_as_they_are(tree, tmp_path, tiny_encoder):
    heading, blocks = recipe("A recipe factor")
    touched = made(tree, blocks)
    assert heading == "A recipe factor: 2 files" and len(touched) == 2
    path = write_experiment(
        tmp_path / "tiny.yaml", tiny_encoder, grid={"confidence_penalty": [0.0, 0.5]}, measures=NOTHING
    )
    told = run_in(tree, RUN + LOSSES, str(path), str(tmp_path / "runs"))
    losses = dict(
        line.removeprefix("loss ").split() for line in told.splitlines() if line.startswith("loss ")
    )
    assert losses["0.0"] != losses["0.5"]
    plain = write_experiment(tmp_path / "plain.yaml", tiny_encoder, measures=NOTHING)
    assert run_in(tree, KEYS, str(plain), str(tmp_path / "runs")) == run_in(
        ROOT, KEYS, str(plain), str(tmp_path / "runs")
    )


@pytest.mark.slow
def test_a_task_type_is_one_file_and_three_changed(tree, tmp_path, tiny_encoder):
    heading, blocks = recipe("A task type")
    touched = made(tree, blocks)
    assert heading == "A task type: one file, and 3 changed"
    assert len(touched) == 4 and "jobs/targets/count.py" in touched
    data = {"source": "files"}
    for name in ("train", "test"):
        rows = [{"text": "good " * (row % 5), "label": row % 5} for row in range(5, 65) if row % 5]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        data[name] = str(tmp_path / f"{name}.jsonl")
    task = {"task": "goods", "data": data, "predict": "count", "metric": "spearman"}
    path = write_experiment(tmp_path / "tiny.yaml", tiny_encoder, tasks=[task], measures={"num_test": 40})
    told = run_in(tree, RUN, str(path), str(tmp_path / "runs"))
    assert "learning/goods/validation_spearman\n" in told
    spearman = float(re.search(r"'test/spearman': ([-\d.]+)", told)[1])
    assert spearman > 0.5
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 1.5}\n')
    failed = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(tmp_path / "runs")],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    assert "train.jsonl:2: label is 1.5, not a count" in failed.stderr
