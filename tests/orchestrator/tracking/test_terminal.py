import io
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.planning.plan import Stage
from layerscope.orchestrator.tracking.terminal import make_reporter
from layerscope.orchestrator.workspace import open_workspace
from tests.tiny import write_experiment


class Scene:
    """A schedule whose stages end at a word, shown by a reporter."""

    def __init__(self, folder: Path, encoder: Path, console: Console, **changes: Any) -> None:
        path = write_experiment(folder / "tiny.yaml", encoder, seeds=[1, 2], **changes)
        workspace = open_workspace(path, store=folder / "runs")
        workspace.store.create()
        self.reporter = make_reporter(as_json=False, console=console)
        self.schedule: Schedule = workspace.schedule(self.reporter)
        self.reporter.watch(self.schedule)

    def stage(self, kind: str) -> Stage:
        return next(one for one in self.schedule.plan.stages().values() if one.kind == kind)

    def compute(self, kind: str, *, seconds: float, **metrics: float) -> None:
        stage, store = self.stage(kind), self.schedule.store
        self.schedule.start(stage)
        with store.writing(stage) as aside:
            started = {"started": "2026-01-01T00:00:00+00:00", "seconds": seconds}
            store.commit(stage, aside, metrics=metrics, provenance=started)
        self.schedule.finish(stage, metrics)

    def evaluate(self, evaluations: int) -> None:
        self.reporter(evaluation(self.stage("finetune"), evaluations))


def evaluation(stage: Stage, evaluations: int) -> Mapping[str, Any]:
    counts = {"step": 5 * evaluations, "evaluations": evaluations, "num_evaluations": 4}
    scores = {"validation/loss": 1.25, "validation/accuracy": 0.5}
    return {"event": "trial_result", "kind": stage.kind, "key": stage.key} | counts | scores


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def test_in_a_pipe_every_end_is_one_line_however_long(tmp_path, tiny_encoder, output):
    scene = Scene(tmp_path, tiny_encoder, Console(file=output, width=40))
    scene.compute("prepare", seconds=1.5)
    scene.schedule.start(scene.stage("finetune"))
    scene.evaluate(1)
    scene.schedule.fail(scene.stage("finetune"), "ValueError: " + "a long story " * 20)
    scene.reporter.close()
    lines = output.getvalue().splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"00:0\d prepare {14}[0-9a-f]{16} done in 1\.5 s", lines[0])
    assert re.fullmatch(r"00:0\d finetune {13}[0-9a-f]{16} FAILED  topic .*seed=1", lines[1])
    assert lines[2].strip().startswith("ValueError: a long story")


def test_on_a_terminal_a_running_training_shows_step_scores_and_what_is_left(tmp_path, tiny_encoder, output):
    scene = Scene(tmp_path, tiny_encoder, Console(file=output, force_terminal=True, width=120))
    scene.compute("prepare", seconds=1.5)
    scene.schedule.start(scene.stage("finetune"))
    # It goes on from a checkpoint: the third evaluation is the first that it tells.
    scene.evaluate(3)
    deadline = time.monotonic() + 20
    while "left" not in output.getvalue() or "step 15" not in output.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())
    assert re.search(r"topic .*seed=1 +\S+ +3/4 +step 15 loss 1\.250 accuracy 0\.500 +00:0\d left", shown)
    scene.compute("finetune", seconds=2.0, **{"validation/accuracy": 0.5, "test/accuracy": 0.25})
    scene.reporter.close()
    assert "validation/accuracy 0.5000  test/accuracy 0.2500" in output.getvalue()


def test_scores_are_those_of_the_metric_of_the_task(tmp_path, tiny_encoder, output):
    task = {"task": "topic", "data": {"source": "sample", "target": "topic"}, "metric": "macro_f1"}
    scene = Scene(tmp_path, tiny_encoder, Console(file=output, width=200), tasks=[task])
    scores = {"validation/accuracy": 0.5, "validation/macro_f1": 0.25, "test/accuracy": 0.5}
    scene.compute("finetune", seconds=2.0, **scores, **{"test/macro_f1": 0.125})
    scene.reporter.close()
    assert "validation/macro_f1 0.2500  test/macro_f1 0.1250" in output.getvalue()


def test_as_json_every_event_is_a_line_with_its_time(capsys):
    reporter = make_reporter(as_json=True, console=Console())
    reporter({"event": "message", "text": "one\ntwo"})
    print("what a library has to say")
    reporter.close()
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line).keys() == {"time", "event", "text"}
