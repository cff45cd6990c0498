"""Texts cut and learning rates, from the artifacts of a study."""

from dataclasses import replace

from layerscope.jobs.artifacts.parameter_groups import ParameterGroup, write_parameter_groups
from layerscope.jobs.artifacts.record import write_record
from layerscope.jobs.report.recipe_tables import cuts, parameter_groups, rates
from tests.jobs.report.studies import make_study, make_variant

HEAD = ParameterGroup("head", 20, 1e-3, 0.01)
BOTTOM = ParameterGroup("layer 1", 300, 5e-4, 0.0)


def with_view(variant, folder, **lost):
    """The variant with prepared texts of which each split lost so many tokens."""
    folder.mkdir(exist_ok=True)
    metrics = {
        f"{split}/{name}": value
        for split, num in lost.items()
        for name, value in {"num_texts": 10, "num_cut": 4, "tokens": 75, "tokens_lost": num}.items()
    }
    write_record(folder, {"metrics": metrics})
    return replace(variant, folders={**variant.folders, "view": folder})


def with_groups(variant, *groups, parameters=()):
    named = [replace(group, parameters=parameters) for group in groups]
    write_parameter_groups(variant.folders["finetune"], named)
    return variant


def test_each_view_is_there_once_for_each_split(tmp_path):
    views = {name: tmp_path / name for name in ("head", "both")}
    recipes = {
        "head": {"truncation": "head", "max_length": 32, "head_tokens": None},
        "both": {"truncation": "head+tail", "max_length": 32, "head_tokens": 8},
    }
    study = make_study(
        *(
            with_view(make_variant(tmp_path, seed=seed, **recipes[name]), views[name], train=25, test=0)
            for name in views
            for seed in (0, 1)
        )
    )
    found = cuts(study)
    assert [(cut.view, cut.split, cut.tokens_lost) for cut in found] == [
        ("head to 32 tokens", "train", 25),
        ("head to 32 tokens", "test", 0),
        ("head+tail to 32 tokens, 8 from the head", "train", 25),
        ("head+tail to 32 tokens, 8 from the head", "test", 0),
    ]
    assert [cut.share_lost for cut in found[:2]] == [0.25, 0.0]
    assert (found[0].task, found[0].num_texts, found[0].num_cut) == ("topic", 10, 4)


def test_a_study_without_prepared_texts_has_no_cuts(tmp_path):
    assert cuts(make_study(make_variant(tmp_path))) == []


def test_conditions_with_the_same_groups_stand_together(tmp_path):
    study = make_study(
        with_groups(make_variant(tmp_path, truncation="head"), HEAD, BOTTOM, parameters=("a",)),
        with_groups(make_variant(tmp_path, truncation="tail"), HEAD, BOTTOM),
        with_groups(make_variant(tmp_path, truncation="both"), HEAD),
        make_variant(tmp_path, truncation="old"),
    )
    first, second = rates(study)
    assert (first.conditions, first.groups) == (("truncation=head", "truncation=tail"), (HEAD, BOTTOM))
    assert (second.conditions, second.groups) == (("truncation=both",), (HEAD,))


def test_of_several_tasks_conditions_name_theirs(tmp_path):
    study = make_study(
        *(with_groups(make_variant(tmp_path, task=task, decay=1.0), HEAD) for task in ("topic", "mood"))
    )
    assert rates(study)[0].conditions == ("topic: decay=1.0", "mood: decay=1.0")


def test_a_running_variant_has_no_groups_yet(tmp_path):
    variant = with_groups(make_variant(tmp_path), HEAD)
    assert parameter_groups(variant) == (HEAD,)
    assert parameter_groups(replace(variant, state="running")) == ()
    assert parameter_groups(replace(variant, folders={})) == ()
