import json
import shutil

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.planning.plan import Plan, merge
from tests.orchestrator.bench import LONG, SAMPLE, Bench, keys

PRETRAINING = {"more": {"steps": 3}}
LONG_TASK = [{"task": "topic", "data": LONG}]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def num_stages(plan: Plan) -> dict[str, int]:
    kinds = [stage.kind for stage in plan.stages().values()]
    return {kind: kinds.count(kind) for kind in kinds}


def test_a_variant_is_prepared_trained_and_measured_beside_its_start(bench):
    (variant,) = bench.plan().variants
    assert list(variant.stages) == [
        "finetune",
        "probe",
        "probe/start",
        "depth",
        "cka/within",
        "cka/within/start",
        "cka/start",
        "blocks",
        "blocks/start",
    ]
    assert {role: parent.kind for role, parent in variant.stages["cka/start"].parents.items()} == {
        "states": "text_states",
        "other": "text_states",
    }
    tuned = variant.stages["cka/start"].parents["states"]
    assert tuned.parents["model"] is variant.stages["finetune"]


def test_parents_come_before_their_children(bench):
    seen: set[str] = set()
    for stage in bench.plan(pretraining=PRETRAINING, recipe={"pretraining": "more"}).stages().values():
        assert {parent.key for parent in stage.parents.values()} <= seen
        seen.add(stage.key)


def test_decay_factors_and_seeds_share_view_and_start(bench):
    plan = bench.plan(grid={"layer_decay": [1.0, 0.9, 0.8]}, seeds=[0, 1])
    # Six trainings with their states; one view, and one extraction, map and segmentation of the start.
    assert num_stages(plan) == {
        "prepare": 1,
        "finetune": 6,
        "text_states": 7,
        "probe": 7,
        "cka": 13,
        "blocks": 7,
        "depth": 6,
    }
    (view,) = keys(plan, "prepare")
    assert plan.num_variants_by_key()[view] == 6


def test_a_pretraining_is_computed_once_for_all_variants_of_a_task(bench):
    tasks = [{"task": "topic", "data": LONG}, {"task": "mood", "data": LONG | {"target": "sentiment"}}]
    plan = bench.plan(
        tasks=tasks,
        recipe={"max_length": 40},
        pretraining=PRETRAINING,
        grid={"truncation": ["head", "tail"], "layer_decay": [1.0, 0.9], "pretraining": ["none", "more"]},
        seeds=[0, 1],
    )
    assert len(plan.variants) == 32
    assert num_stages(plan)["pretrain"] == 2
    shared = plan.num_variants_by_key()
    assert [shared[key] for key in keys(plan, "pretrain")] == [8, 8]
    # Two cut views of each task, and its whole texts to train on further.
    assert num_stages(plan)["prepare"] == 6


def test_a_finetuning_does_not_enter_the_keys_of_what_it_rests_on(bench):
    changes = {"pretraining": PRETRAINING, "grid": {"pretraining": ["more"]}}
    before = bench.plan(recipe={"max_length": 40, "epochs": 1}, **changes)
    after = bench.plan(recipe={"max_length": 40, "epochs": 2, "learning_rate": 1e-3}, **changes)
    assert keys(before, "prepare", "pretrain") == keys(after, "prepare", "pretrain")
    assert not keys(before, "finetune") & keys(after, "finetune")


def test_truncations_of_short_texts_are_one_run(bench):
    plan = bench.plan(grid={"truncation": ["head", "tail", "head+tail"], "layer_decay": [1.0, 0.9]})
    assert [variant.num_cells for variant in plan.variants] == [3, 3]
    assert [variant.condition for variant in plan.variants] == [
        "layer_decay=1 truncation=whole",
        "layer_decay=0.9 truncation=whole",
    ]
    assert num_stages(plan)["finetune"] == 2


def test_truncations_of_long_texts_are_runs_of_their_own(bench):
    grid = {"truncation": ["head", "tail", "head+tail"], "layer_decay": [1.0, 0.9]}
    plan = bench.plan(tasks=LONG_TASK, recipe={"max_length": 40}, grid=grid)
    assert [variant.num_cells for variant in plan.variants] == [1] * 6
    assert (num_stages(plan)["prepare"], num_stages(plan)["finetune"]) == (3, 6)


def test_limits_that_no_text_reaches_are_one_run_too(bench):
    plan = bench.plan(grid={"max_length": [400, 500]})
    assert [variant.num_cells for variant in plan.variants] == [2]


def test_head_tokens_matter_only_where_both_ends_are_kept(bench):
    def runs(**changes):
        changes = {"tasks": LONG_TASK, "recipe": {"max_length": 40}} | changes
        return [(one.num_cells, one.condition) for one in bench.plan(**changes).variants]

    grid = {"truncation": ["head", "head+tail"], "head_tokens": [4, 8]}
    assert runs(grid=grid) == [
        (2, "truncation=head head_tokens=None"),
        (1, "truncation=head+tail head_tokens=4"),
        (1, "truncation=head+tail head_tokens=8"),
    ]
    assert runs(grid=grid, tasks=[{"task": "topic", "data": SAMPLE}], recipe={"max_length": 400}) == [
        (4, "truncation=whole head_tokens=None")
    ]


def test_two_names_for_one_pretraining_are_one_run(bench):
    plan = bench.plan(
        pretraining={"one": {"steps": 3}, "same": {"steps": 3}, "longer": {"steps": 4}},
        grid={"pretraining": ["one", "same", "longer"]},
    )
    assert [variant.num_cells for variant in plan.variants] == [2, 1]


def test_names_places_and_descriptions_are_in_no_key(bench, tmp_path):
    here = bench.plan(grid={"layer_decay": [1.0, 0.9]})
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "encoder", moved)
    there = bench.plan(
        experiment="another",
        description="another",
        encoder={"folder": str(moved)},
        tasks=[{"task": "renamed", "data": SAMPLE}],
        grid={"layer_decay": [0.9, 1.0]},
    )
    assert keys(here) == keys(there)


def test_measures_can_be_left_out(bench):
    plan = bench.plan(measures={"probe": False, "cka": False, "depth": False})
    assert set(num_stages(plan)) == {"prepare", "finetune"}
    assert set(num_stages(bench.plan(measures={"probe": False, "cka": False}))) == {
        "prepare",
        "finetune",
        "text_states",
        "depth",
    }


def test_what_is_measured_does_not_change_what_is_trained(bench):
    few, many = bench.plan(measures={"num_train": 5, "num_test": 5}), bench.plan()
    assert keys(few, "prepare", "finetune") == keys(many, "prepare", "finetune")
    assert not keys(few, "text_states", "probe", "cka", "depth") & keys(many)


def test_everything_a_stage_trains_with_is_in_its_key(bench):
    factors = {
        "learning_rate": 1e-3,
        "layer_decay": 0.5,
        "epochs": 7,
        "batch_size": 4,
        "warmup": 0.2,
        "weight_decay": 0.5,
        "max_grad_norm": 2.0,
        "evaluations_per_epoch": 2,
        "pooling": "mean",
        "train_size": 0.5,
    }
    plans = [bench.plan(), bench.plan(seeds=[7])]
    plans += [bench.plan(recipe={"max_length": 400, name: value}) for name, value in factors.items()]
    found = [keys(plan, "finetune") for plan in plans]
    assert len(set().union(*found)) == len(found) == 12


def test_other_weights_are_other_work(bench):
    before = bench.plan()
    (bench.root / "encoder" / "model.safetensors").write_bytes(b"others")
    after = bench.plan()
    assert keys(before, "prepare") == keys(after, "prepare")
    assert not keys(before, "finetune", "text_states") & keys(after)


def test_another_tokenizer_is_another_view(bench):
    before = bench.plan()
    vocabulary = bench.root / "encoder" / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text().replace('"a":', '"b":').replace('"a"', '"b"'))
    assert not keys(before) & keys(bench.plan())


def write_rows(path, *, text: str = "a b"):
    rows = [{"text": f"{text} {number}", "label": "yn"[number % 2]} for number in range(12)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_same_file_at_another_place_has_the_same_keys_and_a_changed_one_has_others(bench, tmp_path):
    def plan(folder, **texts):
        data = {name: write_rows(tmp_path / folder / f"{name}.jsonl", **texts) for name in ("train", "test")}
        return bench.plan(tasks=[{"task": "files", "data": {"source": "files"} | data}])

    here, there = plan("here"), plan("there")
    assert keys(here) == keys(there)
    (stage,) = (one for one in there.stages().values() if one.kind == "prepare")
    assert stage.files["train"] == str(tmp_path / "there" / "train.jsonl")
    assert not keys(here) & keys(plan("here", text="a c"))


def test_merging_keeps_the_first_of_each_and_counts_cells(bench):
    one, other = bench.plan(seeds=[0, 1]).variants
    plan = merge([one, other, one, one])
    assert [(variant.seed, variant.num_cells) for variant in plan.variants] == [(0, 3), (1, 1)]


def test_encoders_are_a_factor_like_any_other(bench):
    other = shutil.copytree(bench.encoder(), bench.root / "other")
    (other / "model.safetensors").write_bytes(b"other weights")
    plan = bench.plan(encoders={"other": str(other)}, grid={"encoder": ["main", "other"]})
    main, second = plan.variants
    assert (main.condition, second.condition) == ("encoder=main", "encoder=other")
    assert main.stages["finetune"].files["encoder"] != second.stages["finetune"].files["encoder"]
    # Both read their texts with the same tokenizer: one view.
    assert num_stages(plan)["prepare"] == 1 and num_stages(plan)["finetune"] == 2


def test_an_encoder_that_no_recipe_names_need_not_be_there(bench):
    assert len(bench.plan(encoders={"absent": "./nowhere"}).variants) == 1


def test_excluded_cells_of_the_grid_are_not_planned(bench):
    grid = {"layer_decay": [1.0, 0.9], "epochs": [1, 2]}
    plan = bench.plan(grid=grid, exclude=[{"layer_decay": [0.9], "epochs": [1]}])
    assert [variant.condition for variant in plan.variants] == [
        "layer_decay=1 epochs=1",
        "layer_decay=1 epochs=2",
        "layer_decay=0.9 epochs=2",
    ]


WORDS = {
    "task": "pos",
    "data": {"source": "sample_annotations", "label": "upos", "num_train": 9, "num_test": 9},
}


def test_probing_tasks_are_probed_at_every_layer_before_and_after_tuning(bench):
    text = {"task": "mood", "data": SAMPLE | {"target": "sentiment"}}
    plan = bench.plan(probing=[WORDS, text], grid={"layer_decay": [1.0, 0.9]})
    first, second = plan.variants
    roles = [role for role in first.stages if role.startswith("probe/")]
    assert roles == ["probe/start", "probe/pos", "probe/pos/start", "probe/mood", "probe/mood/start"]
    kinds = {role: first.stages[role].parents["states"].kind for role in roles}
    assert kinds["probe/pos"] == kinds["probe/pos/start"] == "span_states"
    assert kinds["probe/mood"] == kinds["probe/mood/start"] == "text_states"
    # The encoder before tuning is looked at once for all recipes.
    assert first.stages["probe/pos/start"] == second.stages["probe/pos/start"]
    assert first.stages["probe/pos"] != second.stages["probe/pos"]
    assert num_stages(plan)["tokenise_annotations"] == 1


def test_probes_of_both_kinds_are_controlled_and_set_against_fresh_weights(bench):
    measures = {
        "probe": ["linear", "mlp"],
        "control": True,
        "description_length": True,
        "random_encoder": True,
        "networks": {"sizes": [[8, 8]]},
    }
    plan = bench.plan(probing=[WORDS], measures=measures, grid={"layer_decay": [1.0, 0.9]})
    first, second = plan.variants
    kinds = {"probe": "probe", "mlp_probe": "mlp_probe", "description_length": "description_length"}
    kinds |= {"probe_control": "control_probe", "mlp_probe_control": "control_probe"}
    for measure, kind in kinds.items():
        of = [role for role in first.stages if role.split("/")[0] == measure]
        # Labels are drawn for words: the texts of the task have none.
        own = [] if "control" in measure else [measure, f"{measure}/start", f"{measure}/random"]
        assert of == [*own, f"{measure}/pos", f"{measure}/pos/start", f"{measure}/pos/random"]
        assert {first.stages[role].kind for role in of} == {kind}
        for role in of:
            assert (first.stages[role] == second.stages[role]) == role.endswith(("/start", "/random"))
    assert first.stages["mlp_probe"].spec.networks.sizes == ((8, 8),)
    control = first.stages["mlp_probe_control/pos"]
    assert control.parents["probe"] is first.stages["mlp_probe/pos"]
    assert control.spec.probe == first.stages["mlp_probe/pos"].spec
    fresh = first.stages["probe/random"].parents["states"].parents["model"]
    assert (fresh.kind, num_stages(plan)["random_encoder"]) == ("random_encoder", 1)
    assert keys(bench.plan(probing=[WORDS], grid={"layer_decay": [1.0, 0.9]})) < keys(plan)


def test_a_kind_of_probe_can_stand_alone(bench):
    for written, expected in (
        (True, {"probe"}),
        ("linear", {"probe"}),
        ("mlp", {"mlp_probe"}),
        (False, set()),
    ):
        kinds = set(num_stages(bench.plan(measures={"probe": written})))
        assert kinds & {"probe", "mlp_probe"} == expected


def test_geometry_is_measured_of_every_task_before_and_after_tuning(bench):
    plan = bench.plan(probing=[WORDS], measures={"geometry": True, "permutations": 3})
    (variant,) = plan.variants
    roles = [role for role in variant.stages if role.startswith("geometry")]
    assert roles == ["geometry", "geometry/start", "geometry/pos", "geometry/pos/start"]
    for role in roles:
        assert variant.stages[role].spec.permutations == 3
        probed = variant.stages[role.replace("geometry", "probe")]
        assert variant.stages[role].parents["states"] == probed.parents["states"]
        assert variant.stages[role].parents["data"].kind == (
            "tokenise_annotations" if "pos" in role else "prepare"
        )
    shift = variant.stages["shift/pos"]
    assert shift.parents["geometry"] is variant.stages["geometry/pos"]
    assert shift.parents["other_geometry"] is variant.stages["geometry/pos/start"]
    assert shift.parents["other"] == variant.stages["probe/pos/start"].parents["states"]
    # The other measures keep their keys.
    assert keys(bench.plan(probing=[WORDS])) < keys(plan)


def test_a_frozen_encoder_has_a_geometry_and_nothing_that_it_moved_from(bench):
    measures = {"geometry": True, "spread": True, "random_encoder": True}
    recipe = {"max_length": 400, "features": "last"}
    bench.encoder(num_hidden_layers=2, hidden_size=8)
    (variant,) = bench.plan(recipe=recipe, probing=[WORDS], measures=measures).variants
    assert [role for role in variant.stages if role.split("/")[0] not in ("cka", "blocks")] == [
        "finetune",
        "probe",
        "probe/random",
        "probe/pos",
        "probe/pos/random",
        "geometry",
        "geometry/pos",
        "spread",
        "spread/pos",
    ]


def test_spread_is_measured_of_every_task_before_and_after_tuning(bench):
    (variant,) = bench.plan(probing=[WORDS], measures={"spread": True}).variants
    roles = [role for role in variant.stages if role.startswith("spread")]
    assert roles == ["spread", "spread/start", "spread/pos", "spread/pos/start"]
    assert all(
        variant.stages[role].parents == variant.stages[role.replace("spread", "probe")].parents
        for role in roles
    )


def test_a_bad_annotation_is_told_with_its_file_and_line(bench):
    files = {}
    for name in ("train", "test"):
        path = bench.root / f"{name}.conllu"
        path.write_text("1\tWe\n\n")
        files[name] = str(path)
    task = {"task": "pos", "data": {"source": "annotated", "label": "upos"} | files}
    with pytest.raises(ConfigurationError, match="task pos: train.conllu:1: 2 fields between tabs, not 10"):
        bench.plan(probing=[task])
