"""A paper's table beside our own runs: which are the same recipe, and what is not run."""

import math
from dataclasses import replace

import pytest

from layerscope.jobs.report.paper.paper_tables import beside_tables, smaller_setting
from tests.jobs.report.papers import reference, study, variants

ROWS = [
    {"row": "the head", "where": {"truncation": "head"}, "values": {"topic": 5.63, "mood": 2.0}},
    {"row": "the tail", "where": {"truncation": "tail"}, "values": {"topic": 5.44}},
    {"row": "CNN", "values": {"topic": 9.0}},
]
TABLE = {"table": "T2", "title": "Long texts", "rows": ROWS, "otherwise": {"layer_decay": 1.0}}


def tables(known, *groups):
    return beside_tables(study(known, *groups))


def test_a_row_stands_beside_the_condition_with_its_recipe(tmp_path):
    head = variants(tmp_path, 90, seeds=[0], truncation="head") + variants(
        tmp_path, 94, seeds=[1], truncation="head"
    )
    (found,) = tables(reference(tables=[TABLE]), head)
    (task,) = found.tasks
    (cell,) = task.cells
    assert (cell.row, cell.condition, cell.paper, cell.num_seeds) == ("the head", "truncation=head", 5.63, 2)
    assert cell.ours.mean == pytest.approx(8)
    # 8 % of error and 92 %: on the logit scale t(0.975, 1) * s / sqrt(2) = 12.7062 * 0.02 / (0.08 * 0.92).
    half = math.log(cell.ours.high / (100 - cell.ours.high)) - math.log(8 / 92)
    assert half == pytest.approx(12.7062 * 0.02 / (0.08 * 0.92), rel=1e-4)
    assert cell.difference == pytest.approx(2.37)
    assert cell.is_inside is True
    assert task.not_run == ("the tail 5.44",)
    assert task.elsewhere == ("CNN 9.00",)
    assert found.without_task == ("mood",)


def test_the_paper_may_lie_outside_and_one_seed_cannot_tell(tmp_path):
    (found,) = tables(
        reference(tables=[TABLE]),
        variants(tmp_path, 50, seeds=[0], truncation="head")
        + variants(tmp_path, 51, seeds=[1], truncation="head"),
        variants(tmp_path, 50, seeds=[0], truncation="tail"),
    )
    assert [cell.is_inside for cell in found.tasks[0].cells] == [False, None]


def test_equal_seeds_cannot_tell(tmp_path):
    (found,) = tables(reference(tables=[TABLE]), variants(tmp_path, 50, truncation="head"))
    assert [cell.is_inside for cell in found.tasks[0].cells] == [None]


def test_of_several_conditions_those_like_the_rest_of_the_table_are_shown(tmp_path):
    groups = [
        variants(tmp_path, num, truncation="head", layer_decay=decay, epochs=epochs)
        for num, decay, epochs in [(90, 1.0, 2), (80, 0.9, 2), (70, 1.0, 3)]
    ]
    (found,) = tables(reference(tables=[TABLE]), *groups)
    shown = [cell.condition for cell in found.tasks[0].cells]
    assert shown == ["truncation=head layer_decay=1.0 epochs=2", "truncation=head layer_decay=1.0 epochs=3"]
    (found,) = tables(reference(tables=[TABLE]), groups[1])
    assert [cell.condition for cell in found.tasks[0].cells] == ["truncation=head layer_decay=0.9 epochs=2"]


def test_a_task_has_the_column_that_it_is_said_to_have(tmp_path):
    known = reference(tables=[TABLE], tasks={"feelings": "mood"})
    (found,) = tables(known, variants(tmp_path, 98, task="feelings", truncation="head"))
    (task,) = found.tasks
    assert (task.task, task.paper_task) == ("feelings", "mood")
    assert [cell.paper for cell in task.cells] == [2.0]


def test_unfinished_runs_are_not_run(tmp_path):
    running = [replace(variant, state="running") for variant in variants(tmp_path, 90, truncation="head")]
    (found,) = tables(reference(tables=[TABLE]), running)
    assert found.tasks[0].cells == ()
    assert found.tasks[0].not_run == ("the head 5.63", "the tail 5.44")


def test_another_measure_has_no_cells_of_ours(tmp_path):
    known = reference(tables=[TABLE | {"measure": "correlation"}])
    (found,) = tables(known, variants(tmp_path, 90, truncation="head"))
    assert not found.is_of_test_errors
    assert found.tasks[0].cells == ()


def test_reductions_are_over_the_tasks_that_both_have(tmp_path):
    rows = [
        {"row": name, "where": {"pretraining": name}, "values": values}
        for name, values in {
            "none": {"topic": 10.0, "mood": 4.0, "kind": 2.0},
            "own": {"topic": 8.0, "mood": 3.0, "kind": 2.0},
        }.items()
    ]
    known = reference(
        tables=[{"table": "T6", "title": "Starts", "rows": rows}],
        tasks={name: name for name in ("topic", "mood", "kind")},
    )
    groups = [
        variants(tmp_path, num, task=task, pretraining=name)
        for task, name, num in [
            ("topic", "none", 80),
            ("topic", "own", 90),
            ("mood", "none", 60),
            ("mood", "own", 70),
            ("kind", "own", 70),
        ]
    ]
    (found,) = tables(known, *groups)
    (reduction,) = found.reductions
    assert (reduction.row, reduction.tasks) == ("own", ("topic", "mood"))
    assert reduction.paper == pytest.approx((20 + 25) / 2)
    assert reduction.ours == pytest.approx((50 + 25) / 2)
    assert tables(known, *groups[:2])[0].reductions == ()


def test_a_smaller_setting_is_told(tmp_path):
    known = reference(
        setting={"encoder": "bert-base-uncased", "num_layers": 12, "max_length": 512},
        data={
            "topic": {
                "num_classes": 2,
                "kind": "topic",
                "average_length": 9,
                "longest": 99,
                "percent_exceeding": 0.0,
                "num_train": 25000,
                "num_test": 500,
            }
        },
    )
    group = variants(tmp_path, 50, max_length=128)
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "record.json").write_text('{"metrics": {"train/num_texts": 1800.0}}')
    group = [replace(v, folders={**v.folders, "view": tmp_path / "view"}) for v in group]
    assert smaller_setting(study(known, group)) == (
        "Our setting differs from the paper's: encoder tiny of 4 layers instead of bert-base-uncased of 12; "
        "texts of at most 128 tokens instead of 512; topic with 1,800 training texts instead of 25,000."
    )
    assert smaller_setting(study(None, group)) == ""
    assert beside_tables(study(None, group)) == []
