import json

import pytest
import torch
from torch import nn

from layerscope.jobs.artifacts.curves import CURVES, cut_curves
from layerscope.jobs.processes import alone
from layerscope.jobs.training.checkpoints import PROGRESS, load_checkpoint, save_checkpoint


@pytest.fixture
def accelerator():
    return alone()


def saved(accelerator, scratch, number):
    save_checkpoint(
        accelerator, scratch, progress={"step": number}, tensors={"best": torch.full((2,), float(number))}
    )


def test_the_newest_checkpoint_is_loaded_with_weights_and_random_state(accelerator, tmp_path):
    model = accelerator.prepare(nn.Linear(3, 2))
    assert load_checkpoint(accelerator, tmp_path) is None
    saved(accelerator, tmp_path, 1)
    with torch.no_grad():
        model.weight.fill_(7)
    saved(accelerator, tmp_path, 2)
    expected = torch.rand(3)
    with torch.no_grad():
        model.weight.zero_()
    progress, tensors = load_checkpoint(accelerator, tmp_path)
    assert progress == {"step": 2}
    assert tensors["best"].tolist() == [2, 2]
    assert torch.equal(model.weight, torch.full((2, 3), 7.0))
    assert torch.equal(torch.rand(3), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_kill_between_the_two_renames_leaves_the_previous_checkpoint(accelerator, tmp_path):
    saved(accelerator, tmp_path, 1)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint-previous")
    assert load_checkpoint(accelerator, tmp_path)[0] == {"step": 1}
    saved(accelerator, tmp_path, 2)
    assert load_checkpoint(accelerator, tmp_path)[0] == {"step": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_that_was_not_finished_does_not_count(accelerator, tmp_path):
    aside = tmp_path / "checkpoint-aside"
    aside.mkdir()
    (aside / PROGRESS).write_text('{"step": 3}')
    (aside / "left over").write_text("")
    assert load_checkpoint(accelerator, tmp_path) is None
    saved(accelerator, tmp_path, 4)
    assert load_checkpoint(accelerator, tmp_path)[0] == {"step": 4}
    assert not (tmp_path / "checkpoint" / "left over").exists()


def test_a_checkpoint_of_the_format_before_does_not_count(accelerator, tmp_path):
    saved(accelerator, tmp_path, 1)
    (tmp_path / "checkpoint" / PROGRESS).rename(tmp_path / "checkpoint" / "progress.json")
    assert load_checkpoint(accelerator, tmp_path) is None
    saved(accelerator, tmp_path, 2)
    assert load_checkpoint(accelerator, tmp_path)[0] == {"step": 2}


def test_curves_are_cut_after_a_step_and_a_torn_line_is_dropped(tmp_path):
    cut_curves(tmp_path, last_step=3)
    lines = [json.dumps({"step": step, "values": {}}) + "\n" for step in (1, 3, 4)]
    (tmp_path / CURVES).write_text("".join(lines) + '{"step": 5, "va')
    cut_curves(tmp_path, last_step=3)
    assert (tmp_path / CURVES).read_text() == "".join(lines[:2])
