import pytest

from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.store.artifacts import Store
from tests.orchestrator.bench import LONG, Bench, finish_variant, keys, write_curves


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def begin(schedule: Schedule):
    """Compute what comes before the only training, and start that."""
    while stage := next(one for one in schedule.ready()):
        schedule.start(stage)
        if stage.kind == "finetune":
            return stage
        schedule.finish(stage, {})
    raise AssertionError("there was no training")


def test_a_study_that_did_not_begin_says_what_was_asked(bench):
    task = {"task": "mood", "data": LONG, "metric": "macro_f1"}
    workspace = bench.open(description="Why?", tasks=[task], recipe={"max_length": 40})
    study = workspace.study(workspace.schedule())
    assert (study.experiment, study.description, study.encoder) == ("bench", "Why?", "encoder")
    assert study.metric_by_task == {"mood": "macro_f1"}
    assert "experiment: bench" in study.yaml
    assert study.notes == ()
    (variant,) = study.variants
    assert (variant.state, variant.reason, variant.folders) == ("todo", "", {})
    assert variant.recipe["truncation"] == "head"


def test_a_finished_variant_has_its_artifacts_by_role(bench):
    workspace = bench.open()
    (planned,) = workspace.schedule().plan.variants
    finish_variant(bench, planned, test__accuracy=0.5)
    bench.finish(planned.stages["probe"], {})
    (variant,) = workspace.study(workspace.schedule()).variants
    assert variant.state == "done"
    assert variant.folders == {
        "finetune": bench.store / "finetune" / planned.key,
        "probe": bench.store / "probe" / planned.stages["probe"].key,
    }


def test_a_variant_has_the_texts_that_it_was_tuned_on_and_not_those_of_its_pretraining(bench):
    workspace = bench.open(
        tasks=[{"task": "topic", "data": LONG}],
        recipe={"max_length": 40, "pretraining": "more"},
        pretraining={"more": {"steps": 3}},
    )
    (planned,) = workspace.schedule().plan.variants
    finetune = planned.stages["finetune"]
    corpus, view = finetune.parents["encoder"].parents["corpus/0"], finetune.parents["data"]
    bench.finish(corpus, {})
    (variant,) = workspace.study(workspace.schedule()).variants
    assert variant.folders == {}
    bench.finish(view, {})
    (variant,) = workspace.study(workspace.schedule()).variants
    assert variant.folders == {"view": bench.store / "prepare" / view.key}


def test_a_study_knows_its_paper_the_depth_of_its_encoder_and_whose_columns_its_tasks_are(bench):
    bench.encoder(num_hidden_layers=3)
    rows = [{"row": "head", "where": {"truncation": "head"}, "values": {"mood": 5.0, "news": 3.0}}]
    table = {"table": "T1", "title": "Long texts", "rows": rows}
    paper = {"paper": "known", "title": "What is known", "source": "nowhere", "tables": [table]}
    tasks = [
        {"task": name, "data": LONG | {"seed": seed}} for seed, name in enumerate(("mine", "news", "own"))
    ]
    reference = {"paper": paper, "tasks": {"mine": "mood"}}
    workspace = bench.open(tasks=tasks, recipe={"max_length": 40}, reference=reference)
    known = workspace.study(workspace.schedule()).reference
    assert known.paper_task_by_task == {"mine": "mood", "news": "news"}
    assert (known.encoders, known.num_layers) == ({"main": "encoder"}, 3)
    assert known.paper.tables[0].rows[0].values == {"mood": 5.0, "news": 3.0}
    assert bench.open().study(bench.open().schedule()).reference is None


def test_a_reference_changes_no_key(bench):
    paper = {"paper": "known", "title": "What is known", "source": "nowhere"}
    assert keys(bench.plan(reference={"paper": paper})) == keys(bench.plan())


def test_a_running_variant_shows_its_scratch(bench):
    workspace = bench.open()
    schedule = workspace.schedule()
    training = begin(schedule)
    (variant,) = workspace.study(schedule).variants
    assert variant.state == "running"
    assert variant.folders == {"finetune": Store(bench.store).scratch_path(training)}


def test_a_stopped_variant_keeps_its_curves_and_its_reason(bench):
    workspace = bench.open(early_stopping={})
    schedule = workspace.schedule()
    training = begin(schedule)
    write_curves(workspace.store, training, {"step": 1, "validation/accuracy": 0.5})
    schedule.stop(training, "fell behind")
    for at in (schedule, workspace.schedule()):
        (variant,) = workspace.study(at).variants
        assert (variant.state, variant.reason) == ("stopped", "fell behind")
        assert (variant.folders["finetune"] / "curves.jsonl").exists()


def test_what_failed_before_is_shown_as_failed_although_it_will_be_tried_again(bench):
    workspace = bench.open()
    schedule = workspace.schedule()
    schedule.fail(begin(schedule), "ValueError: no")
    for at in (schedule, workspace.schedule()):
        (variant,) = workspace.study(at).variants
        assert (variant.state, variant.reason) == ("failed", "ValueError: no")


def test_a_failed_pretraining_is_a_note_and_blocks_its_variants(bench):
    workspace = bench.open(
        pretraining={"more": {"steps": 3}}, recipe={"max_length": 400, "pretraining": "more"}
    )
    schedule = workspace.schedule()
    for kind in ("prepare", "pretrain"):
        (stage,) = [one for one in schedule.ready() if one.kind == kind]
        schedule.start(stage)
        schedule.finish(stage, {}) if kind == "prepare" else schedule.fail(stage, "no memory")
    study = workspace.study(schedule)
    assert study.notes == (f"pretrain {stage.key} failed: no memory",)
    (variant,) = study.variants
    assert (variant.state, variant.reason) == ("blocked", f"pretrain {stage.key} failed")


def test_cells_that_are_one_run_are_a_note(bench):
    workspace = bench.open(grid={"truncation": ["head", "tail", "head+tail"]}, seeds=[0, 1])
    study = workspace.study(workspace.schedule())
    assert [variant.num_cells for variant in study.variants] == [3, 3]
    assert study.notes[0].startswith(
        "6 grid cells are 2 runs, because cells with the same effective recipe are merged"
    )


def test_what_was_left_out_of_a_pretraining_and_cautions_are_notes(bench):
    workspace = bench.open(
        pretraining={"more": {"steps": 3}}, recipe={"max_length": 400, "pretraining": "more"}
    )
    (stage,) = (one for one in workspace.schedule().plan.stages().values() if one.kind == "pretrain")
    scores = {"train/overlap_removed": 2.0, "train/passes": 117.4, "train/next_sentence_share": 0.5}
    bench.finish(stage, {}, **scores)
    assert workspace.study(workspace.schedule()).notes == (
        f"pretrain {stage.key} (more of topic): 2 texts were excluded because they are also in a test set",
        f"pretrain {stage.key} (more of topic): 117 epochs over the corpus; more than 40 may hurt: "
        "use fewer steps or more texts",
    )


def test_a_pretraining_without_cautions_is_no_note(bench):
    workspace = bench.open(
        pretraining={"more": {"steps": 3}}, recipe={"max_length": 400, "pretraining": "more"}
    )
    (stage,) = (one for one in workspace.schedule().plan.stages().values() if one.kind == "pretrain")
    bench.finish(stage, {}, **{"train/overlap_removed": 0.0, "train/passes": 40.0})
    assert workspace.study(workspace.schedule()).notes == ()
