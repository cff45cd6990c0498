import gc
import math

import optuna
import pytest
from optuna.trial import TrialState

from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.search.optuna_search import OptunaSearch, storage_url, stored_variants
from layerscope.orchestrator.workspace import Workspace
from tests.orchestrator.bench import LONG, Bench, finish_variant, write_curves

RATES = {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}
TWO = {"layer_decay": {"choices": [1.0, 0.9]}}


@pytest.fixture
def bench(tmp_path):
    yield Bench(tmp_path)
    gc.collect()  # SQLAlchemy closes its connections when they are collected: within the test.


def search(space=RATES, *, trials=6, **more):
    return {"space": space, "trials": trials, "startup_trials": 3, **more}


class Run:
    """A run of a search in which trainings end as they are told."""

    def __init__(self, bench: Bench, *, at_once: int = 1, **changes) -> None:
        self.bench = bench
        self.workspace: Workspace = bench.open(**changes)
        self.workspace.store.create()
        self.schedule: Schedule = self.workspace.schedule()
        self.said: list[str] = []
        self.search = OptunaSearch(
            self.workspace.experiment,
            self.schedule,
            self.workspace.plan,
            at_once=at_once,
            say=self.said.append,
        )

    def open(self):
        """Variants that are to be trained now."""
        return [
            variant
            for variant in self.schedule.plan.variants
            if self.schedule.state(variant.stages["finetune"]) == "todo"
        ]

    def finish(self, variant, **scores: float) -> None:
        finish_variant(self.bench, variant, **scores)
        self.schedule.finish(variant.stages["finetune"], scores)

    def finish_all(self, *, most: int = 100) -> list[str]:
        """Let every proposal score by its rate; returns the conditions in the order proposed."""
        conditions = []
        while self.search.refill() and len(conditions) < most:
            for variant in self.open():
                self.finish(variant, validation__accuracy=score(variant))
                if variant.condition not in conditions:
                    conditions.append(variant.condition)
        return conditions

    def trials(self, name: str = "bench topic"):
        return optuna.load_study(study_name=name, storage=storage_url(self.workspace.store)).trials


def score(variant) -> float:
    """Best at a rate of 1e-4."""
    return 1 / (1 + abs(math.log10(variant.recipe["learning_rate"]) + 4))


@pytest.mark.slow
def test_as_many_conditions_are_proposed_as_trials_were_asked_for(bench):
    run = Run(bench, search=search())
    assert len(set(run.finish_all())) == 6
    assert not run.search.refill()
    assert [trial.state for trial in run.trials()] == [TrialState.COMPLETE] * 6


def test_no_more_conditions_are_open_than_can_run_at_once(bench):
    run = Run(bench, at_once=2, search=search(), seeds=[0, 1])
    assert run.search.refill()
    assert len(run.open()) == 4
    first = run.open()[0]
    run.finish(first, validation__accuracy=0.5)
    run.search.refill()
    assert len(run.open()) == 3  # Its other seed is still to come.


def test_the_value_of_a_condition_is_the_mean_over_its_seeds(bench):
    run = Run(bench, search=search(trials=1), seeds=[0, 1])
    run.search.refill()
    one, other = run.open()
    assert (one.condition, one.seed, other.seed) == (other.condition, 0, 1)
    run.finish(one, validation__accuracy=0.25)
    run.finish(other, validation__accuracy=0.75)
    assert not run.search.refill()
    (trial,) = run.trials()
    assert trial.value == 0.5
    assert trial.params["learning_rate"] == one.recipe["learning_rate"]
    assert trial.user_attrs == {"condition": one.condition}


def test_each_task_and_cell_of_the_grid_has_a_study_of_its_own(bench):
    tasks = [
        {"task": name, "data": LONG | {"target": target}}
        for name, target in (("a", "topic"), ("b", "sentiment"))
    ]
    run = Run(bench, tasks=tasks, search=search(trials=2), grid={"layer_decay": [1.0, 0.9]})
    run.finish_all()
    names = optuna.get_all_study_names(storage_url(run.workspace.store))
    assert sorted(names) == [f"bench {task} layer_decay={decay}" for task in "ab" for decay in (0.9, 1.0)]
    assert {len(run.trials(name)) for name in names} == {2}
    assert {variant.recipe["layer_decay"] for variant in run.schedule.plan.variants} == {1.0, 0.9}


def test_the_search_finds_what_was_planted_better_than_chance(bench):
    run = Run(bench, search=search(trials=16))
    run.finish_all()
    rates = [trial.params["learning_rate"] for trial in run.trials()]

    def distance(chosen):
        return sum(abs(math.log10(rate) + 4) for rate in chosen) / len(chosen)

    # Uniform on a logarithmic scale from 1e-5 to 1e-3 lies 0.5 away from 1e-4 on average.
    assert distance(rates[-8:]) < 0.35


def test_a_loss_is_minimised(bench):
    run = Run(bench, search=search(trials=2, objective="validation/loss"))
    run.search.refill()
    for value in (0.5, 0.25):
        run.finish(run.open()[0], validation__loss=value)
        run.search.refill()
    study = optuna.load_study(study_name="bench topic", storage=storage_url(run.workspace.store))
    assert study.best_value == 0.25


@pytest.mark.parametrize(
    "scores", [{"validation__accuracy": math.nan}, {"validation__accuracy": math.inf}, {}]
)
def test_what_is_not_finite_is_a_failed_trial_and_the_search_goes_on(bench, scores):
    run = Run(bench, search=search(trials=2), seeds=[0, 1])
    run.search.refill()
    one, other = run.open()
    run.finish(one, **scores)
    run.finish(other, validation__accuracy=0.5)
    assert len(run.finish_all()) == 1
    assert [(trial.state, trial.value is None) for trial in run.trials()] == [
        (TrialState.FAIL, True),
        (TrialState.COMPLETE, False),
    ]


def test_a_failed_variant_is_a_failed_trial_and_tried_again_by_the_next_run(bench):
    run = Run(bench, search=search(trials=3))
    run.search.refill()
    (failing,) = run.open()
    run.schedule.fail(failing.stages["finetune"], "no")
    run.finish_all()
    assert [trial.state for trial in run.trials()] == [TrialState.FAIL] + [TrialState.COMPLETE] * 2
    again = Run(bench, search=search(trials=3))
    assert again.finish_all() == [failing.condition]
    assert [trial.state for trial in again.trials()] == [TrialState.COMPLETE] * 3


def test_a_stopped_variant_is_pruned_in_the_mirror_with_the_best_it_had(bench):
    changes = {"search": search(trials=2), "early_stopping": {}}
    run = Run(bench, **changes)
    run.search.refill()
    (variant,) = run.open()
    stage = variant.stages["finetune"]
    values = (0.25, 0.75, math.nan, 0.5)
    curves = [{"step": step, "validation/accuracy": value} for step, value in enumerate(values)]
    write_curves(run.workspace.store, stage, *curves)
    run.schedule.stop(stage, "fell behind")
    run.finish_all()
    stopped, done = run.trials()
    assert (stopped.state, stopped.value, stopped.intermediate_values) == (TrialState.PRUNED, 0.75, {0: 0.75})
    assert done.state == TrialState.COMPLETE
    again = Run(bench, **changes)
    assert again.finish_all() == []
    assert sorted(trial.state for trial in again.trials()) == [TrialState.COMPLETE, TrialState.PRUNED]


def test_a_variant_stopped_before_it_had_a_score_is_a_failed_trial(bench):
    run = Run(bench, search=search(trials=1), early_stopping={})
    run.search.refill()
    run.schedule.stop(run.open()[0].stages["finetune"], "fell behind")
    assert not run.search.refill()
    assert [trial.state for trial in run.trials()] == [TrialState.FAIL]


def test_what_the_store_holds_opens_the_study_and_counts(bench):
    first = Run(bench, search=search(trials=4)).finish_all()
    run = Run(bench, search=search(trials=6))
    second = run.finish_all()
    assert (len(first), len(second), len(run.trials())) == (4, 2, 6)
    assert Run(bench, search=search(trials=6)).finish_all() == []


def test_a_grid_before_it_opens_the_study_of_a_search(bench):
    grid = bench.plan(grid={"learning_rate": [1e-5, 1e-4, 0.1]}, seeds=[0, 1])
    for variant in grid.variants:
        finish_variant(bench, variant, validation__accuracy=score(variant))
    run = Run(bench, search=search(trials=3), seeds=[0, 1])
    assert len(run.finish_all()) == 1  # 0.1 lies outside of the space.


def test_a_condition_with_one_seed_missing_is_completed_and_not_proposed_anew(bench):
    run = Run(bench, search=search(trials=1), seeds=[0, 1])
    run.search.refill()
    run.finish(run.open()[0], validation__accuracy=0.5)
    again = Run(bench, search=search(trials=1), seeds=[0, 1])
    again.search.refill()
    assert [variant.seed for variant in again.open()] == [1]


SPACES = {
    "numbers": RATES | {"epochs": {"low": 1, "high": 9}},
    "a truncation that cuts nothing": RATES | {"truncation": {"choices": ["tail", "head", "head+tail"]}},
    "a head that is not always kept": RATES
    | {"truncation": {"choices": ["head", "head+tail"]}, "head_tokens": {"low": 3, "high": 9}},
}


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("num_before", [1, 4])
def test_a_restart_proposes_what_an_undisturbed_run_would_have(tmp_path, space, num_before):
    changes = {"search": search(SPACES[space], trials=7, seed=2**32 - 1)}
    if space.startswith("a head"):
        changes |= {"tasks": [{"task": "topic", "data": LONG}], "recipe": {"max_length": 20}}

    def bench(name):
        (tmp_path / name).mkdir()
        return Bench(tmp_path / name)

    undisturbed = Run(bench("undisturbed"), **changes).finish_all()
    disturbed = bench("disturbed")
    before = Run(disturbed, **changes).finish_all(most=num_before)
    after = Run(disturbed, **changes).finish_all()
    assert before + after == undisturbed
    assert len(undisturbed) == 7


def test_a_space_without_anything_new_ends_the_search_in_words(bench):
    run = Run(bench, search=search(TWO, trials=6))
    assert sorted(run.finish_all()) == ["layer_decay=0.9", "layer_decay=1"]
    assert len(run.trials()) == 2
    told = "The search of topic has tried all 2 conditions that its space has; 6 were requested."
    assert run.said == [told]
    workspace = bench.open(search=search(TWO, trials=6))
    assert workspace.study(workspace.schedule()).notes[0] == told
    (progress,) = workspace.search_progress(workspace.schedule())
    assert (progress.tried, progress.trials, progress.is_used_up) == (2, 6, True)


TWELVE = {
    "layer_decay": {"choices": [1.0, 0.9, 0.8]},
    "epochs": {"choices": [1, 2]},
    "batch_size": {"low": 8, "high": 9},
}


@pytest.mark.parametrize("seed", range(3))
def test_every_condition_of_a_space_is_tried_before_it_is_used_up(bench, seed):
    run = Run(bench, search=search(TWELVE, trials=12, startup_trials=1, seed=seed))
    assert len(set(run.finish_all())) == 12
    assert run.said == []
    assert bench.open(search=search(TWELVE, trials=12)).search_progress(run.schedule)[0].sentence() == ""


@pytest.mark.slow
def test_a_restart_draws_what_an_undisturbed_run_would_have(tmp_path):
    changes = {"search": search(TWELVE, trials=14, startup_trials=1)}
    for name in ("undisturbed", "disturbed"):
        (tmp_path / name).mkdir()
    undisturbed = Run(Bench(tmp_path / "undisturbed"), **changes).finish_all()
    before = Run(Bench(tmp_path / "disturbed"), **changes).finish_all(most=8)
    run = Run(Bench(tmp_path / "disturbed"), **changes)
    assert before + run.finish_all() == undisturbed
    assert len(undisturbed) == 12
    assert "has tried all 12 conditions" in run.said[0]
    again = Run(Bench(tmp_path / "disturbed"), **changes)
    assert (again.finish_all(), len(again.said)) == ([], 1)


def test_conditions_that_a_grid_has_tried_are_not_drawn_again_and_count(bench):
    grid = bench.plan(grid={"layer_decay": [1.0, 0.9], "epochs": [1, 2], "batch_size": [8]})
    for variant in grid.variants:
        finish_variant(bench, variant, validation__accuracy=0.5)
    run = Run(bench, search=search(TWELVE, trials=20))
    assert len(run.finish_all()) == 12 - 4
    assert "has tried all 12 conditions" in run.said[0]


def test_each_cell_of_a_grid_that_is_not_excluded_has_a_space_of_its_own(bench):
    changes = {
        "search": search(TWO, trials=3),
        "grid": {"epochs": [1, 2], "batch_size": [8, 16]},
        "exclude": [{"epochs": [2], "batch_size": [16]}],
    }
    run = Run(bench, **changes)
    assert len(run.finish_all()) == 3 * 2
    assert [one.partition(" has ")[0] for one in run.said] == [
        f"The search of topic epochs={epochs} batch_size={size}" for epochs, size in ((1, 8), (1, 16), (2, 8))
    ]


def test_cells_that_collapse_are_counted_once_and_named_as_used_up(bench):
    space = {"truncation": {"choices": ["head", "tail"]}, **TWO}
    run = Run(bench, search=search(space, trials=4))
    assert len(run.finish_all()) == 2  # No text is cut, so both truncations are one.
    assert "has tried all 2 conditions that its space has; 4 were requested" in run.said[0]


def test_a_space_in_which_a_choice_lets_another_factor_do_nothing_does_not_end_early(bench):
    """Where all is frozen, layer_decay changes nothing."""
    space = {
        "frozen_layers": {"choices": ["all", 0]},
        "layer_decay": {"low": 0.5, "high": 0.95},
    }
    run = Run(bench, search=search(space, trials=12, startup_trials=1))
    conditions = []
    while run.search.refill():
        for variant in run.open():
            # The more is frozen the better: Optuna would like nothing else any more.
            run.finish(variant, validation__accuracy=float(variant.recipe["frozen_layers"] == "all"))
            conditions.append(variant.key)
    assert len(set(conditions)) == 12
    assert run.said == []


def test_a_large_space_is_not_enumerated(bench, monkeypatch):
    monkeypatch.setattr("layerscope.orchestrator.search.untried.MOST_DRAWS", 20)
    monkeypatch.setattr("layerscope.orchestrator.search.cells.MOST_DRAWS", 20)
    space = {"head_tokens": {"low": 1, "high": 100_000_000}, **TWO}
    run = Run(bench, search=search(space, trials=4), recipe={"max_length": 200_000_000})
    assert len(run.finish_all()) == 2  # No text is cut, so nothing is kept of its head.
    (said,) = run.said
    assert said.startswith("The search of topic has tried 2 of 4 conditions.")
    assert said.endswith("draws from its space brought nothing new.")


def test_texts_to_learn_from_are_searched_in_whole_numbers(bench):
    run = Run(bench, search=search({"train_size": {"low": 4, "high": 14}}, trials=3))
    run.finish_all()
    assert {type(one.recipe["train_size"]) for one in run.schedule.plan.variants} == {int}


def test_the_objective_is_the_metric_of_the_task_where_none_is_named(bench):
    tasks = [{"task": "topic", "data": LONG, "metric": "macro_f1"}]
    run = Run(bench, search=search(trials=1), tasks=tasks)
    run.search.refill()
    run.finish(run.open()[0], validation__accuracy=0.9, validation__macro_f1=0.4)
    assert not run.search.refill()
    assert run.trials()[0].value == 0.4


def test_a_plan_says_how_many_conditions_there_are_to_try(bench, capsys):
    from layerscope.orchestrator.showing import print_plan

    for space, told in (
        (TWELVE, "20 conditions while it runs; the search space has at most 12"),
        (RATES, "20 cond"),
    ):
        workspace = bench.open(search=search(space, trials=20))
        print_plan(workspace, workspace.schedule(), all_stages=False)
        assert told in (shown := capsys.readouterr().out)
        assert ("at most" in shown) == (space == TWELVE)


def test_the_status_says_how_far_a_search_is(bench, capsys):
    from layerscope.orchestrator.showing import print_status, status_object

    Run(bench, search=search(trials=6)).finish_all(most=2)
    workspace = bench.open(search=search(trials=6))
    schedule = workspace.schedule()
    study, progress = workspace.study(schedule), workspace.search_progress(schedule)
    print_status(study, progress)
    assert "The search of topic has tried 2 of 6 conditions." in capsys.readouterr().out
    assert status_object(study, progress)["search"] == [
        {"study": "topic", "tried": 2, "trials": 6, "is_used_up": False}
    ]


def test_a_choice_that_gained_a_value_is_no_error(bench):
    Run(bench, search=search(TWO, trials=2)).finish_all()
    wider = {"layer_decay": {"choices": [1.0, 0.9, 0.8]}}
    run = Run(bench, search=search(wider, trials=3))
    assert run.finish_all() == ["layer_decay=0.8"]
    assert len(run.trials()) == 3


def test_a_factor_that_joins_the_space_keeps_what_was_tried(bench):
    Run(bench, search=search(trials=2)).finish_all()
    both = RATES | {"epochs": {"low": 1, "high": 5}}
    assert len(Run(bench, search=search(both, trials=3)).finish_all()) == 1


def test_cells_are_not_counted_twice_when_a_search_is_opened_again(bench):
    Run(bench, search=search(trials=2)).finish_all()
    run = Run(bench, search=search(trials=3))
    run.finish_all()
    assert [variant.num_cells for variant in run.schedule.plan.variants] == [1, 1, 1]


def test_a_search_in_each_cell_of_a_grid_that_collapses_trains_only_once(bench):
    changes = {"search": search(trials=2), "grid": {"truncation": ["head", "tail"]}}
    run = Run(bench, **changes)
    run.finish_all()
    assert len(run.schedule.plan.variants) == 2
    assert [len(run.trials(f"bench topic truncation={name}")) for name in ("head", "tail")] == [2, 2]


def test_the_commands_see_what_a_search_has_tried(bench):
    run = Run(bench, search=search(trials=3))
    conditions = run.finish_all()
    workspace = bench.open(search=search(trials=3))
    found = stored_variants(workspace.experiment, workspace.plan, workspace.store)
    assert [variant.condition for variant in found] == conditions
    study = workspace.study(workspace.schedule())
    assert [variant.state for variant in study.variants] == ["done"] * 3


def test_a_search_that_did_not_begin_has_no_variants(bench):
    assert bench.open(search=search()).schedule().plan.variants == ()


def test_the_dashboard_reads_the_mirror(bench):
    wsgi = pytest.importorskip("optuna_dashboard", reason="the extra `dashboard` is not installed").wsgi
    import json

    run = Run(bench, search=search(trials=2))
    run.finish_all()
    answers = []
    application = wsgi(storage_url(run.workspace.store))
    request = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/studies",
        "SERVER_NAME": "here",
        "SERVER_PORT": "80",
    }
    request |= {"wsgi.url_scheme": "http", "QUERY_STRING": ""}
    body = b"".join(application(request, lambda status, headers, *rest: answers.append(status)))
    assert answers == ["200 OK"]
    assert [study["study_name"] for study in json.loads(body)["study_summaries"]] == ["bench topic"]


def test_a_number_that_may_be_null_is_searched_as_the_number_it_is(bench):
    space = {
        "head_learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "frozen_layers": {"low": 0, "high": 2},
    }
    run = Run(bench, search=search(space, trials=4), recipe={"learning_rate": 1e-4})
    proposed = []
    while run.search.refill():
        for variant in run.open():
            proposed.append(variant.recipe)
            run.finish(variant, validation__accuracy=0.5)
    assert all(1e-4 <= recipe["head_learning_rate"] <= 1e-2 for recipe in proposed)
    assert len({recipe["head_learning_rate"] for recipe in proposed}) == 4
    assert {type(recipe["frozen_layers"]) for recipe in proposed} == {int}
