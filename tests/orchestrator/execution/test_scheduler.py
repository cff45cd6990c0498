import pytest

from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.planning.plan import labels_of
from layerscope.orchestrator.store.artifacts import Store
from tests.orchestrator.bench import Bench

GROWN = {"pretraining": {"more": {"steps": 3}}, "grid": {"pretraining": ["none", "more"]}}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def make(bench):
    """A schedule of what the changes ask for, over the one store, and the events it told."""

    def make(honour_stops: bool = False, **changes):
        events = []
        schedule = Schedule(Store(bench.store), events.append, honour_stops=honour_stops)
        schedule.add(bench.plan(**changes).variants)
        return schedule, events

    return make


def stages(schedule: Schedule, kind: str):
    return [stage for stage in schedule.plan.stages().values() if stage.kind == kind]


def waiting(schedule: Schedule, kind: str):
    return [stage for stage in stages(schedule, kind) if schedule.state(stage) == "todo"]


def states(schedule: Schedule, kind: str) -> list[str]:
    return [schedule.state(stage) for stage in stages(schedule, kind)]


def work(bench, schedule: Schedule, *, until: str = "nothing") -> None:
    """Finish whatever can start, one after the other, up to a kind."""
    while ready := [stage for stage in schedule.ready() if stage.kind != until]:
        schedule.start(ready[0])
        bench.finish(ready[0], schedule.labels(ready[0]))
        schedule.finish(ready[0], {})


def test_only_what_rests_on_nothing_missing_is_ready(bench, make):
    schedule, _ = make(**GROWN)
    assert [stage.kind for stage in schedule.ready()] == ["prepare"]
    (view,) = stages(schedule, "prepare")
    schedule.start(view)
    assert schedule.ready() == []
    assert schedule.state(view) == "running"
    schedule.finish(view, {})
    # One training waits for the pretraining; the start's states need nothing more.
    assert [stage.kind for stage in schedule.ready()] == ["finetune", "text_states", "pretrain"]
    assert schedule.num_waiting(["finetune"]) == 2


def test_it_is_over_when_everything_is_computed(bench, make):
    schedule, events = make(**GROWN)
    assert not schedule.is_over
    work(bench, schedule)
    assert schedule.is_over
    num_stages = len(schedule.plan.stages())
    assert schedule.counts() == {"computed": num_stages}
    assert [event["event"] for event in events] == ["stage_started", "stage_finished"] * num_stages


def test_what_is_stored_is_not_done_again(bench, make):
    work(bench, make()[0])
    schedule, _ = make()
    assert schedule.is_over
    assert set(schedule.counts()) == {"stored"}


def test_a_grid_that_grows_does_only_what_is_new(bench, make):
    work(bench, make(grid={"layer_decay": [1.0, 0.9]})[0])
    schedule, _ = make(grid={"layer_decay": [1.0, 0.9, 0.8]})
    assert [stage.kind for stage in waiting(schedule, "finetune") + schedule.ready()] == ["finetune"] * 2
    assert schedule.counts()["todo"] == 7  # A training, its states and its five measures.


def test_growth_keeps_states_and_counts_no_cell_twice(bench, make):
    schedule, _ = make()
    work(bench, schedule, until="finetune")
    (training,) = schedule.ready()
    schedule.start(training)
    schedule.add(bench.plan(seeds=[0, 1]).variants)
    assert states(schedule, "finetune") == ["running", "todo"]
    assert states(schedule, "prepare") == ["computed"]
    assert [variant.num_cells for variant in schedule.plan.variants] == [1, 1]


def test_one_failure_blocks_only_what_rests_on_it(bench, make):
    schedule, events = make(grid={"layer_decay": [1.0, 0.9]})
    work(bench, schedule, until="finetune")
    failing, other = schedule.ready()
    schedule.start(failing)
    schedule.fail(failing, "ValueError: no")
    assert events[-1]["event"] == "stage_failed"
    assert events[-1]["reason"] == schedule.reason(failing) == "ValueError: no"
    work(bench, schedule)
    assert schedule.is_over
    # The failed training's states and its five measures.
    assert schedule.counts()["blocked"] == 6
    assert schedule.state(other) == "computed"
    blocked = [stage for stage in stages(schedule, "probe") if schedule.state(stage) == "blocked"]
    assert [schedule.reason(stage) for stage in blocked] == [f"finetune {failing.key} failed"]


def test_a_failed_pretraining_blocks_its_variants_and_spares_the_others(bench, make):
    schedule, _ = make(seeds=[0, 1], **GROWN)
    work(bench, schedule, until="pretrain")
    (pretraining,) = schedule.ready()
    schedule.start(pretraining)
    schedule.fail(pretraining, "no")
    assert schedule.is_over
    assert sorted(states(schedule, "finetune")) == ["blocked", "blocked", "computed", "computed"]
    blocked = next(one for one in stages(schedule, "finetune") if schedule.state(one) == "blocked")
    assert schedule.reason(blocked) == f"pretrain {pretraining.key} failed"


def test_a_view_that_only_blocked_variants_need_is_not_made(bench, make):
    tasks = [
        {"task": "topic", "data": {"source": "sample", "target": "topic", "length": "long", "num_train": 20}}
    ]
    schedule, _ = make(
        tasks=tasks,
        recipe={"max_length": 40, "pretraining": "more"},
        pretraining={"more": {"steps": 3}},
    )
    view, corpus = sorted(stages(schedule, "prepare"), key=lambda one: one.spec.truncation == "whole")
    schedule.start(corpus)
    schedule.finish(corpus, {})
    (pretraining,) = stages(schedule, "pretrain")
    schedule.start(pretraining)
    schedule.fail(pretraining, "no")
    assert schedule.state(view) == "unneeded"
    assert schedule.is_over


def test_a_stage_that_failed_is_tried_again_by_the_next_schedule(bench, make):
    schedule, _ = make()
    work(bench, schedule, until="finetune")
    (training,) = schedule.ready()
    schedule.start(training)
    schedule.fail(training, "no")
    again, _ = make()
    assert [stage.key for stage in again.ready()] == [training.key]
    work(bench, again)
    assert Store(bench.store).outcome(training) is None


def test_a_stopped_training_needs_no_measures_and_its_outcome_names_its_variant(bench, make):
    schedule, events = make(grid={"layer_decay": [1.0, 0.9]})
    work(bench, schedule, until="finetune")
    stopped, _ = schedule.ready()
    schedule.start(stopped)
    schedule.stop(stopped, "fell behind")
    work(bench, schedule)
    assert schedule.counts()["stopped"] == 7
    assert not {"todo", "blocked", "failed"} & set(schedule.counts())
    (entry,) = Store(bench.store).outcomes()
    assert entry["variant"] == labels_of(schedule.plan.variants[0])
    assert entry["variant"]["recipe"]["layer_decay"] == 1.0


@pytest.mark.parametrize(("honour_stops", "expected"), [(True, "stopped"), (False, "todo")])
def test_a_stop_lasts_only_as_long_as_early_stopping_is_asked_for(bench, make, honour_stops, expected):
    schedule, _ = make()
    work(bench, schedule, until="finetune")
    (training,) = schedule.ready()
    schedule.start(training)
    schedule.stop(training, "fell behind")
    again, _ = make(honour_stops)
    assert states(again, "finetune") == [expected]
    assert again.is_over == honour_stops


def test_parents_whose_children_are_stored_are_not_needed(bench, make):
    schedule, _ = make()
    for stage in schedule.plan.stages().values():
        if stage.kind not in ("prepare", "text_states"):
            bench.finish(stage, {})
    again, _ = make()
    assert again.is_over
    assert states(again, "prepare") == ["unneeded"]
    assert states(again, "text_states") == ["unneeded"] * 2


def test_one_missing_measure_brings_back_only_its_own_line(bench, make):
    schedule, _ = make()
    (depth,) = stages(schedule, "depth")
    for stage in schedule.plan.stages().values():
        if stage.kind in ("finetune", "probe", "cka"):
            bench.finish(stage, {})
    again, _ = make()
    assert len(waiting(again, "prepare")) == 1
    assert [stage.key for stage in waiting(again, "text_states")] == [depth.parents["states"].key]


def test_labels_are_those_of_the_variant_that_a_training_computes(bench, make):
    schedule, _ = make(seeds=[5])
    (training,), (view,) = stages(schedule, "finetune"), stages(schedule, "prepare")
    assert schedule.labels(training)["seed"] == 5
    assert schedule.labels(training)["recipe"]["truncation"] == "whole"
    assert schedule.labels(view) == {}
