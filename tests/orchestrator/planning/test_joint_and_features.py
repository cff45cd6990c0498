import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.planning.plan import TRAINED_KINDS
from tests.orchestrator.bench import LONG, SAMPLE, Bench, keys

TASKS = [{"task": "topic", "data": SAMPLE}, {"task": "mood", "data": SAMPLE | {"target": "sentiment"}}]
JOINT = {"joint": {"steps": 5, "max_length": 400}}
SHORT = {"max_length": 400}


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.encoder(num_hidden_layers=4, hidden_size=8)
    return bench


def stages_of(plan, kind):
    return [stage for stage in plan.stages().values() if stage.kind == kind]


def refused(bench, **changes) -> str:
    with pytest.raises(ConfigurationError) as error:
        bench.open(**changes)
    return str(error.value)


def test_a_joint_training_is_one_stage_for_all_tasks_recipes_and_seeds(bench):
    grid = {"pretraining": ["none", "joint"], "layer_decay": [1.0, 0.9]}
    plan = bench.plan(tasks=TASKS, multi_task=JOINT, grid=grid, seeds=[0, 1])
    (joint,) = stages_of(plan, "multitask")
    assert sorted(joint.parents) == ["data/mood", "data/topic"]
    assert plan.num_variants_by_key()[joint.key] == 8
    started = [one for one in plan.variants if "multitask" in one.stages]
    assert all(one.stages["finetune"].parents["encoder"] == joint for one in started)
    assert all(one.stages["probe/start"].parents["states"].parents["model"] == joint for one in started)


def test_the_order_in_which_tasks_are_named_changes_nothing(bench):
    named = [
        keys(
            bench.plan(
                tasks=TASKS,
                multi_task={"joint": {"steps": 5, "tasks": tasks}},
                grid={"pretraining": ["joint"]},
            ),
            "multitask",
        )
        for tasks in (["topic", "mood"], ["mood", "topic"])
    ]
    assert named[0] == named[1]
    one_task = bench.plan(
        tasks=TASKS, multi_task={"joint": {"steps": 5, "tasks": ["mood"]}}, grid={"pretraining": ["joint"]}
    )
    assert named[0] != keys(one_task, "multitask")


def test_what_trains_jointly_is_in_its_key_and_a_recipe_is_not(bench):
    def key(recipe=None, **training):
        joint = {"joint": JOINT["joint"] | training}
        grid = {"pretraining": ["joint"]}
        return keys(
            bench.plan(tasks=TASKS, recipe=SHORT | (recipe or {}), multi_task=joint, grid=grid), "multitask"
        )

    assert key() == key(recipe={"learning_rate": 1e-3, "epochs": 9})
    others = {"steps": 6, "sampling": "uniform", "learning_rate": 1e-3, "seed": 1, "pooling": "mean"}
    found = [key(), *(key(**{name: value}) for name, value in others.items())]
    assert len(set().union(*found)) == len(found)


def test_a_joint_training_may_come_after_a_pretraining(bench):
    plan = bench.plan(
        tasks=TASKS,
        pretraining={"more": {"steps": 3}},
        multi_task={"joint": {"steps": 5, "tasks": ["mood"], "after": "more"}},
        recipe=SHORT | {"pretraining": "joint"},
    )
    (joint,), (pretraining,) = stages_of(plan, "multitask"), stages_of(plan, "pretrain")
    assert joint.parents["encoder"] is pretraining
    (mood,) = [
        stage for stage in stages_of(plan, "prepare") if stage.spec.data.target == "sentiment"
    ]  # short texts: the view of the task is its whole texts
    assert joint.parents["data/mood"] == pretraining.parents["corpus/0"] == mood


def test_an_unneeded_joint_training_is_not_computed_for_its_own_sake(bench):
    workspace = bench.open(
        tasks=TASKS[:1],
        multi_task=JOINT,
        recipe=SHORT | {"pretraining": "joint"},
        measures={"probe": False, "cka": False, "depth": False},
    )
    (variant,) = workspace.schedule().plan.variants
    bench.finish(variant.stages["finetune"], {})
    schedule = workspace.schedule()
    assert schedule.state(variant.stages["multitask"]) == "unneeded"


def test_heads_sizes_and_seeds_share_the_features_of_a_view(bench):
    grid = {"features": ["last"], "head": ["linear", "bilstm"], "train_size": [0.5, None]}
    plan = bench.plan(grid=grid, seeds=[0, 1])
    assert len(plan.variants) == 8
    (features,) = stages_of(plan, "features")
    assert features.spec.layers == (4,)
    assert plan.num_variants_by_key()[features.key] == 8
    assert len(stages_of(plan, "prepare")) == 1


def test_two_spellings_of_the_same_layers_are_one_run(bench):
    plan = bench.plan(grid={"features": ["last", "last-1", 4, "last-2"]})
    assert [variant.num_cells for variant in plan.variants] == [3, 1]
    assert [stage.spec.layers for stage in stages_of(plan, "features")] == [(4,), (3, 4)]


def test_what_concerns_the_encoder_alone_changes_nothing_of_a_frozen_one(bench):
    plan = bench.plan(
        recipe=SHORT | {"features": "last"}, grid={"layer_decay": [1.0, 0.9], "head_hidden": [8, 16]}
    )
    (variant,) = plan.variants
    assert (variant.num_cells, variant.condition) == (4, "layer_decay=None head_hidden=None")
    plan = bench.plan(
        recipe=SHORT | {"features": "last", "head": "bilstm"},
        grid={"pooling": ["cls", "mean"], "head_hidden": [8, 16]},
    )
    assert [(one.num_cells, one.condition) for one in plan.variants] == [
        (2, "pooling=None head_hidden=8"),
        (2, "pooling=None head_hidden=16"),
    ]


def test_of_a_frozen_encoder_the_start_is_measured_and_a_note_says_so(bench):
    workspace = bench.open(grid={"features": [None, "last"]})
    schedule = workspace.schedule()
    trained, frozen = schedule.plan.variants
    assert list(frozen.stages) == ["finetune", "probe", "cka/within", "blocks"]
    assert frozen.stages["probe"] == trained.stages["probe/start"]


def test_geometry_and_spread_of_a_frozen_encoder_are_not_set_against_anything(bench):
    measures = {"probe": False, "cka": False, "geometry": True, "spread": True}
    (frozen,) = bench.plan(recipe=SHORT | {"features": "last"}, measures=measures).variants
    assert list(frozen.stages) == ["finetune", "geometry", "spread"]


def test_the_note_of_frozen_encoders(bench):
    workspace = bench.open(grid={"features": [None, "last"]})
    schedule = workspace.schedule()
    _, frozen = schedule.plan.variants
    assert frozen.stages["finetune"].kind == "feature_head"
    assert "Heads on frozen features are trained in 1 run (1 cell): " in workspace.study(schedule).notes[0]


def test_features_start_where_a_joint_training_ended(bench):
    plan = bench.plan(tasks=TASKS, multi_task=JOINT, recipe=SHORT | {"pretraining": "joint", "features": 0})
    (joint,) = stages_of(plan, "multitask")
    assert [stage.parents["encoder"] for stage in stages_of(plan, "features")] == [joint, joint]


def test_the_budget_is_in_no_key_and_reaches_the_stage(bench):
    plans = [
        bench.plan(recipe=SHORT | {"features": "last"}, feature_budget_gb=budget) for budget in (1.0, 2.0)
    ]
    assert keys(plans[0]) == keys(plans[1])
    assert [stages_of(plan, "features")[0].limits for plan in plans] == [
        {"feature_budget_gb": 1.0},
        {"feature_budget_gb": 2.0},
    ]


def test_the_kinds_that_train_are_those_with_a_training(bench):
    plan = bench.plan(
        tasks=TASKS,
        pretraining={"more": {"steps": 3}},
        multi_task=JOINT,
        grid={"pretraining": ["more", "joint"], "features": [None, "last"]},
    )
    trained = {stage.kind for stage in plan.stages().values() if hasattr(stage.spec, "training")}
    assert trained == set(TRAINED_KINDS)


@pytest.mark.parametrize(
    ("features", "fault"),
    [
        (5, "layer 5 does not exist: the encoder has layers 0 to 4"),
        ("last-6", "last-6 are too many: the encoder has layers 0 to 4"),
    ],
)
def test_layers_that_the_encoder_lacks_are_refused(bench, features, fault):
    assert fault in refused(bench, recipe=SHORT | {"features": features})


def test_features_over_the_budget_are_refused_with_both_numbers(bench):
    long = {"tasks": [{"task": "topic", "data": LONG}], "recipe": {"max_length": 40, "features": "last-2"}}
    # 30 documents, each cut to 40 tokens of 2 x 8 numbers of two bytes.
    message = refused(bench, **long, feature_budget_gb=3.8e-5)
    assert "features: task topic takes up to 3.84e-05 GB at 40 tokens and 2 x 8 numbers each" in message
    assert "over feature_budget_gb 3.8e-05: use a shorter max_length, fewer layers" in message
    bench.open(**long, feature_budget_gb=3.85e-5)


def test_a_budget_that_only_the_bound_exceeds_is_kept(bench):
    # A word of the bench's encoder is one token and its bound a token a byte, so that only counting tells.
    task = {"tasks": [{"task": "topic", "data": SAMPLE}], "recipe": {"max_length": 400, "features": "last"}}
    (features,) = stages_of(bench.plan(**task), "features")
    assert features.limits == {"feature_budget_gb": 5.0}
    bench.open(**task, feature_budget_gb=30 * 30 * 16 / 1e9)
    assert "features: task topic takes up to" in refused(bench, **task, feature_budget_gb=30 * 3 * 16 / 1e9)


def test_a_training_size_above_the_split_is_refused(bench):
    # Of 20 training documents one of each of six topics validates.
    message = refused(bench, grid={"train_size": [5, 15, None]})
    assert "train_size: task topic has 14 training texts, not 15: at most 14, or a share below 1" in message
    assert len(bench.plan(grid={"train_size": [5, 14, 0.4, None]}).variants) == 4


def test_training_sizes_share_the_view(bench):
    plan = bench.plan(grid={"train_size": [5, 0.5, None]}, measures={"probe": False})
    assert len(stages_of(plan, "prepare")) == 1
    assert len(keys(plan, "finetune")) == 3
