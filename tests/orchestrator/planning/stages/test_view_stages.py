"""Views in plans: middle, windows and pairs."""

import json

import pytest

from layerscope.jobs.specs.stages import PrepareSpec
from layerscope.orchestrator.errors import ConfigurationError
from tests.orchestrator.bench import LONG, Bench, keys

LONG_TASK = {"tasks": [{"task": "topic", "data": LONG}]}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def pair_task(bench, *, first: int, second: int, num_rows: int = 12) -> dict:
    """A task of pairs of so many words each."""
    row = {"text_a": "a " * first, "text_b": "a " * second}
    rows = [row | {"label": "yn"[number % 2]} for number in range(num_rows)]
    data = {}
    for split in ("train", "test"):
        path = bench.root / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        data[split] = str(path)
    columns = {"text": "text_a", "text_pair": "text_b"}
    return {"tasks": [{"task": "pairs", "data": {"source": "files"} | data, "columns": columns}]}


def views(plan) -> list[PrepareSpec]:
    return [stage.spec for stage in plan.stages().values() if stage.kind == "prepare"]


def test_the_middle_is_planned_as_both_ends_of_half_the_budget(bench):
    plan = bench.plan(
        recipe={"max_length": 41, "head_tokens": 20},
        grid={"truncation": ["middle", "head+tail", "head"]},
        **LONG_TASK,
    )
    assert [(variant.condition, variant.num_cells) for variant in plan.variants] == [
        ("truncation=middle", 2),
        ("truncation=head", 1),
    ]
    assert [(view.truncation, view.head_tokens) for view in views(plan)] == [
        ("head+tail", 20),
        ("head", None),
    ]
    assert plan.variants[0].recipe["head_tokens"] is None


def test_overlap_and_number_of_windows_matter_only_under_windows(bench):
    grid = {"truncation": ["head", "windows"], "window_overlap": [0, 5], "max_windows": [2, 4]}
    plan = bench.plan(recipe={"max_length": 40}, grid=grid, **LONG_TASK)
    assert [variant.num_cells for variant in plan.variants] == [4, 1, 1, 1, 1]
    assert [(view.window_overlap, view.max_windows) for view in views(plan)] == [
        (None, None),
        (0, 2),
        (0, 4),
        (5, 2),
        (5, 4),
    ]
    assert plan.variants[0].condition == "truncation=head window_overlap=None max_windows=None"


def test_short_texts_in_windows_are_whole(bench):
    plan = bench.plan(grid={"truncation": ["head", "middle", "windows"]})
    assert [(variant.num_cells, variant.condition) for variant in plan.variants] == [(3, "truncation=whole")]


def test_an_overlap_that_leaves_nothing_new_is_refused(bench):
    recipe = {"max_length": 40, "truncation": "windows"}
    with pytest.raises(ConfigurationError) as refused:
        bench.open(recipe=recipe | {"window_overlap": 38}, **LONG_TASK)
    assert str(refused.value) == (
        "window_overlap: in task topic a window of 40 tokens has 2 special ones, and 38 shared ones leave "
        "nothing new: at most 37"
    )
    bench.open(recipe=recipe | {"window_overlap": 37}, **LONG_TASK)
    bench.open(recipe={"max_length": 40, "window_overlap": 50}, **LONG_TASK)


def test_pairs_exceed_a_limit_together(bench):
    task = pair_task(bench, first=10, second=10)
    # 20 words and 3 special tokens.
    (whole,), (cut,) = (views(bench.plan(recipe={"max_length": limit}, **task)) for limit in (23, 22))
    assert (whole.truncation, whole.pairs) == ("whole", "joined")
    assert cut.truncation == "head"


def test_the_middle_of_pairs_is_cut_of_each(bench):
    task = pair_task(bench, first=10, second=10)
    (view,) = views(bench.plan(recipe={"max_length": 16, "truncation": "middle"}, **task))
    assert (view.truncation, view.head_tokens) == ("middle", None)


def test_further_pretraining_reads_the_texts_of_pairs_apart(bench):
    task = pair_task(bench, first=10, second=10)
    plan = bench.plan(pretraining={"more": {"steps": 2}}, recipe={"pretraining": "more"}, **task)
    assert sorted(view.pairs for view in views(plan)) == ["apart", "joined"]
    (corpus,) = (
        stage.parents["corpus/0"].spec for stage in plan.stages().values() if stage.kind == "pretrain"
    )
    assert corpus.pairs == "apart"


def test_a_first_text_that_fills_the_windows_is_refused_with_its_row(bench):
    recipe = {"max_length": 21, "truncation": "windows"}
    # 18 tokens besides the special ones: 8 new ones are left beside 10, but not beside 11, nor with overlap.
    assert bench.plan(recipe=recipe, **pair_task(bench, first=10, second=30)).variants
    with pytest.raises(ConfigurationError) as refused:
        bench.open(recipe=recipe, **pair_task(bench, first=11, second=30))
    assert str(refused.value) == (
        "truncation: in task pairs a window of 21 tokens has room for less than 8 new ones of the second "
        "text beside the first text of train.jsonl:1: use a larger max_length, less overlap, or another "
        "truncation"
    )
    with pytest.raises(ConfigurationError, match="beside the first text of train.jsonl:1"):
        bench.open(recipe=recipe | {"window_overlap": 1}, **pair_task(bench, first=10, second=30))
    assert bench.plan(recipe=recipe, **pair_task(bench, first=15, second=3)).variants


def test_a_second_text_is_part_of_a_views_identity(bench):
    pairs = pair_task(bench, first=4, second=4)
    (task,) = pairs["tasks"]
    single = {"tasks": [task | {"columns": {"text": "text_a"}}]}
    assert not keys(bench.plan(**pairs), "prepare") & keys(bench.plan(**single), "prepare")


def test_a_row_without_its_second_text_is_refused(bench):
    task = pair_task(bench, first=4, second=4)
    (bench.root / "test.jsonl").write_text('{"text_a": "a", "text_b": " ", "label": "y"}\n')
    with pytest.raises(ConfigurationError, match=r"task pairs: test.jsonl:1: empty second text"):
        bench.open(**task)
