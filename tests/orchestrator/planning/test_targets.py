"""Tasks of numbers, choices and marked spans: what is planned and measured of them, and what is refused."""

import json

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from tests.orchestrator.bench import SAMPLE, Bench


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.encoder(num_hidden_layers=6)
    return bench


def task_of(bench, name, rows, **fields):
    data = {"source": "files"}
    for split in ("train", "test"):
        path = bench.root / f"{name}_{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        data[split] = str(path)
    return {"task": name, "data": data} | fields


def numbers(bench, **fields):
    rows = [{"text": f"text {number}", "label": number / 2} for number in range(20)]
    return task_of(bench, "score", rows, **{"predict": "number", "metric": "pearson"} | fields)


def choices(bench, **fields):
    rows = [
        {"text": "which", "choices": [f"one {number}", "two words more"], "label": number % 2}
        for number in range(20)
    ]
    return task_of(bench, "pick", rows, **{"columns": {"choices": "choices"}} | fields)


def cloze(bench, **fields):
    """Rows with differently many choices."""
    rows = [
        {
            "text": f"text {number}",
            "query": "who is @ ?",
            "entities": ["one", "two words", "three"][: 2 + number % 2],
            "answers": ["one"],
        }
        for number in range(20)
    ]
    columns = {"text_pair": "query", "choices": "entities", "answers": "answers", "placeholder": "@"}
    defaults = {"columns": columns, "metric": "exact_match"}
    return task_of(bench, "fill", rows, **defaults | fields)


def spans(bench, **fields):
    rows = [{"text": "a bank", "label": "xy"[number % 2], "from": 2, "to": 6} for number in range(20)]
    columns = {"spans": [{"start": "from", "end": "to"}]}
    return task_of(bench, "sense", rows, **{"columns": columns} | fields)


def faults(bench, **changes) -> str:
    with pytest.raises(ConfigurationError) as refused:
        bench.open(**changes)
    return str(refused.value)


@pytest.mark.parametrize(("make", "target"), [(numbers, "number"), (choices, "choice")])
def test_layers_of_numbers_and_choices_are_compared_probed_and_dropped(bench, make, target):
    topic = {"task": "topic", "data": SAMPLE}
    asked = {"checkpoints": [0.5], "refit": True, "geometry": True, "probe": ["linear", "mlp"]}
    (variant,) = bench.plan(tasks=[make(bench)], probing=[topic], measures=asked).variants
    own = {"probe", "probe/start", "probe/at-0.5", "cka/within", "cka/start", "depth", "depth/refit"}
    assert own <= set(variant.stages)
    for role in ("probe", "depth", "depth/refit"):
        assert variant.stages[role].spec.target == target
        assert variant.stages[role].parents["states"] == variant.stages["cka/within"].parents["states"]
    assert variant.stages["probe/topic"].spec.target == "label"
    assert "geometry/topic" in variant.stages and "mlp_probe/topic" in variant.stages
    assert not {"geometry", "mlp_probe"} & set(variant.stages)


def test_where_several_choices_may_be_right_layers_are_only_compared_and_it_is_said(bench):
    workspace = bench.open(tasks=[cloze(bench)], measures={"refit": True})
    schedule = workspace.schedule()
    (variant,) = schedule.plan.variants
    assert {"cka/within", "cka/start"} <= set(variant.stages)
    assert not {"probe", "depth", "depth/refit"} & set(variant.stages)
    assert not variant.stages["cka/within"].parents["states"].spec.choices_apart
    notes = " ".join(workspace.study(schedule).notes)
    assert "at most one correct choice per row" in notes
    assert "No labels are predicted in fill, so there is no linear probe." in notes


def test_each_choice_has_a_row_of_states(bench):
    (of_choices,) = bench.plan(tasks=[choices(bench)]).variants
    assert of_choices.stages["depth"].parents["states"].spec.choices_apart
    (of_labels,) = bench.plan(tasks=[{"task": "topic", "data": SAMPLE}]).variants
    assert not of_labels.stages["depth"].parents["states"].spec.choices_apart


def test_a_row_with_marked_spans_is_a_sentence_with_one_unit(bench):
    (variant,) = bench.plan(tasks=[spans(bench)]).variants
    data = variant.stages["finetune"].parents["data"]
    assert (data.kind, data.spec.data.source) == ("tokenise_annotations", "files")
    assert data.spec.columns.spans is not None
    assert variant.stages["probe"].parents["states"].kind == "span_states"
    assert "depth" in variant.stages


def test_a_text_with_a_choice_has_the_length_of_both(bench):
    long = task_of(
        bench,
        "long",
        [{"text": "which " * 5, "choices": ["a b", "c"], "label": number % 2} for number in range(8)],
        columns={"choices": "choices"},
    )
    # Five words and two, in the frame of a pair, which has three tokens.
    assert bench.plan(tasks=[long], recipe={"max_length": 10}).variants[0].recipe["truncation"] == "whole"
    assert bench.plan(tasks=[long], recipe={"max_length": 9}).variants[0].recipe["truncation"] == "head"


def test_the_texts_of_choices_are_trained_further_on_without_them(bench):
    plan = bench.plan(
        tasks=[choices(bench)], pretraining={"within": {"steps": 1}}, recipe={"pretraining": "within"}
    )
    corpus = plan.variants[0].stages["pretrain"].parents["corpus/0"]
    assert corpus.spec.columns.choices is None
    fill = bench.plan(
        tasks=[cloze(bench)], pretraining={"within": {"steps": 1}}, recipe={"pretraining": "within"}
    )
    corpus = fill.variants[0].stages["pretrain"].parents["corpus/0"]
    assert (corpus.spec.pairs, corpus.spec.columns.answers) == ("apart", "answers")


@pytest.mark.parametrize(
    ("make", "changes", "fault"),
    [
        (numbers, {"metric": "accuracy"}, "numbers are scored by pearson, spearman, pearson_spearman"),
        (choices, {"metric": "f1"}, "choices are scored by accuracy, not by f1"),
        (choices, {"positive": "0"}, "positive: is one of the two labels of texts"),
        (
            cloze,
            {"metric": "accuracy"},
            "choices with answers are scored by exact_match, token_f1, exact_match_",
        ),
        (
            cloze,
            {"columns": {"answers": "answers"}},
            "answers: is for rows with choices, and columns names none",
        ),
        (
            cloze,
            {"columns": {"choices": "entities", "answers": "answers", "placeholder": "@"}},
            "placeholder: is a placeholder in the second text, and columns has no text_pair",
        ),
        (spans, {"predict": "number", "metric": "pearson"}, "spans have labels, and this task has numbers"),
        (spans, {"columns": {"spans": [{"start": "from", "end": "till"}]}}, "till must be a whole number"),
    ],
)
def test_tasks_that_contradict_themselves_are_refused(bench, make, changes, fault):
    assert fault in faults(bench, tasks=[make(bench, **changes)])


def test_what_only_labelled_texts_have_is_refused_of_others(bench):
    windows = {"truncation": "windows"}
    for make in (choices, cloze):
        assert "truncation must not be windows" in faults(bench, tasks=[make(bench)], recipe=windows)
    nouns = ((numbers, "numbers"), (choices, "choices"), (cloze, "choices with answers"))
    for make, noun in (*nouns, (spans, "labelled spans")):
        assert f"here are {noun}: features must be null" in faults(
            bench, tasks=[make(bench)], recipe={"features": "last"}
        )
        joint = {"joint": {"epochs": 1}}
        assert f"has {noun}, and joint training is of texts with labels" in faults(
            bench, tasks=[make(bench)], multi_task=joint
        )
    assert "probing tasks have labels, and this one has numbers" in faults(bench, probing=[numbers(bench)])
    sample = {"task": "mood", "data": SAMPLE, "predict": "number", "metric": "pearson"}
    assert "these data have labels, no numbers" in faults(bench, tasks=[sample])


def test_an_objective_must_be_a_score_of_every_task(bench):
    search = {"trials": 2, "space": {"learning_rate": {"low": 1e-5, "high": 1e-4}}}
    topic = {"task": "topic", "data": SAMPLE}
    assert bench.open(tasks=[topic, numbers(bench)], search=search), "each task has its own by default"
    accuracy = search | {"objective": "validation/accuracy"}
    fault = faults(bench, tasks=[topic, numbers(bench)], search=accuracy)
    assert "search.objective: task score has no accuracy: must be one of validation/pearson" in fault
    pearson = search | {"objective": "validation/pearson"}
    assert "task topic has no pearson" in faults(bench, tasks=[topic, numbers(bench)], search=pearson)
    assert bench.open(tasks=[numbers(bench)], search=pearson)
    loss = search | {"objective": "validation/loss"}
    assert bench.open(tasks=[topic, numbers(bench)], search=loss)


def test_f1_is_of_two_labels(bench):
    rows = [{"text": f"text {number}", "label": "abc"[number % 3]} for number in range(12)]
    assert "f1 needs two labels, and there are 3" in faults(
        bench, tasks=[task_of(bench, "three", rows, metric="f1")]
    )
    two = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(12)]
    (variant,) = bench.plan(tasks=[task_of(bench, "two", two, metric="f1", positive="a")]).variants
    assert variant.stages["finetune"].parents["data"].spec.positive == "a"


def test_what_is_not_probed_is_said(bench, capsys):
    from layerscope.orchestrator.showing import print_plan

    topic = {"task": "topic", "data": SAMPLE}
    note = "no labels are predicted in score, pick, so there is no geometry, no spread"
    asked = {"geometry": True, "spread": True}
    workspace = bench.open(tasks=[topic, numbers(bench), choices(bench)], measures=asked)
    schedule = workspace.schedule()
    print_plan(workspace, schedule, all_stages=False)
    assert note in capsys.readouterr().out
    assert any(note in told.lower() for told in workspace.study(schedule).notes)
    alone = bench.open(tasks=[topic], measures=asked)
    print_plan(alone, alone.schedule(), all_stages=False)
    assert "no labels" not in capsys.readouterr().out
    unmeasured = bench.open(tasks=[numbers(bench)])
    assert not any("no labels" in told.lower() for told in unmeasured.study(unmeasured.schedule()).notes)


def test_the_metric_of_a_task_chooses_the_best_weights_where_it_is_not_the_usual_one(bench):
    rows = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(20)]
    chosen = {}
    for metric in ("accuracy", "matthews"):
        (variant,) = bench.plan(tasks=[task_of(bench, "two", rows, metric=metric)]).variants
        chosen[metric] = variant.stages["finetune"]
    assert chosen["accuracy"].spec.selected_by is None
    assert chosen["matthews"].spec.selected_by == "matthews"
    assert chosen["accuracy"].key != chosen["matthews"].key
    (numbers_variant,) = bench.plan(tasks=[numbers(bench, metric="pearson_spearman")]).variants
    assert numbers_variant.stages["finetune"].spec.selected_by is None
