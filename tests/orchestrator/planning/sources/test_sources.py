import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from layerscope.jobs.specs.stages import HubData
from layerscope.orchestrator.errors import ConfigurationError, PrerequisiteMissing
from tests.orchestrator.bench import LONG, Bench, keys

COMMIT = "c" * 40


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows(*labels: str):
    return [{"text": f"text {number}", "label": label} for number, label in enumerate(labels)]


def files_task(bench, name: str, train, test) -> dict:
    data = {
        "source": "files",
        "train": write_rows(bench.root / f"{name}_train.jsonl", train),
        "test": write_rows(bench.root / f"{name}_test.jsonl", test),
    }
    return {"task": name, "data": data}


def faults(bench, *tasks, **changes) -> str:
    with pytest.raises(ConfigurationError) as refused:
        bench.open(tasks=list(tasks), **changes)
    return str(refused.value)


def test_faults_of_all_tasks_are_told_at_once(bench):
    good = rows(*"ynynyn")
    missing = {"task": "gone", "data": {"source": "files", "train": "nowhere.jsonl", "test": "nowhere.jsonl"}}
    message = faults(
        bench,
        files_task(bench, "sound", good, good),
        missing,
        files_task(bench, "unknown", good, rows("y", "maybe")),
        files_task(bench, "empty", [*good, {"text": " ", "label": "y"}], good),
    )
    told = message.splitlines()
    assert [line.split(":")[0] for line in told if line.startswith("task")] == [
        "task gone",
        "task unknown",
        "task empty",
    ]
    assert "nowhere.jsonl: no such file" in message
    assert "unknown_test.jsonl:2: label 'maybe' does not occur in unknown_train.jsonl" in message
    assert "empty_train.jsonl:7: empty text" in message


def test_a_file_that_may_not_be_read_is_a_fault_and_no_crash(bench, monkeypatch):
    task = files_task(bench, "locked", rows(*"ynyn"), rows("y"))

    def refuse(path, *columns, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("layerscope.orchestrator.planning.sources.task_data.noted_rows", refuse)
    assert "task locked: [Errno 13] Permission denied" in faults(bench, task)


def test_nothing_is_written_for_an_experiment_that_is_refused(bench):
    faults(bench, files_task(bench, "unknown", rows(*"ynyn"), rows("maybe")))
    assert not bench.store.exists()
    bench.open()
    assert not bench.store.exists()


def test_a_missing_encoder_is_told_before_the_data_is_read(bench):
    with pytest.raises(PrerequisiteMissing, match="nowhere: no such folder"):
        bench.open(encoder={"folder": str(bench.root / "nowhere")}, tasks=[{"task": "x", "data": LONG}])


def hub_task(**changes) -> dict:
    return {"task": "hub", "data": {"source": "hub", "name": "maker/texts"} | changes}


def planned_data(plan) -> HubData:
    (data,) = {stage.spec.data for stage in plan.stages().values() if stage.kind == "prepare"}
    return data


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache, and a Hub that must not be asked."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def refuse(self, name, **options):
        raise ConnectionError(f"no way to {name}\nand more")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", refuse)
    return cache


def test_a_commit_of_the_hub_is_taken_as_it_is(bench, hub_cache):
    assert planned_data(bench.plan(tasks=[hub_task(revision=COMMIT)])).revision == COMMIT


def test_a_branch_is_the_commit_that_the_cache_says(bench, hub_cache):
    references = hub_cache / "datasets--maker--texts" / "refs"
    references.mkdir(parents=True)
    (references / "main").write_text(f"{COMMIT}\n")
    by_branch = bench.plan(tasks=[hub_task()])
    assert planned_data(by_branch).revision == COMMIT
    assert keys(by_branch) == keys(bench.plan(tasks=[hub_task(revision=COMMIT)]))


def in_cache(cache: Path, *columns: str, subset: str = "default") -> None:
    """What `datasets` leaves of a data set that it has read."""
    folder = cache / "maker___texts" / subset / "0.0.0" / COMMIT
    folder.mkdir(parents=True)
    features = {name: {"dtype": "string", "_type": "Value"} for name in columns}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}), encoding="utf-8")


@pytest.fixture
def datasets_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def test_columns_that_a_cached_data_set_lacks_are_refused_with_those_it_has(bench, datasets_cache):
    in_cache(datasets_cache, "sentence", "Label")
    with pytest.raises(ConfigurationError) as refused:
        bench.open(tasks=[hub_task(revision=COMMIT)])
    place = f"maker/texts at {COMMIT}: there is no column"
    assert str(refused.value).split("\n  ") == [
        f"task hub: {place} 'text' among sentence, Label",
        f"{place} 'label' among sentence, Label; did you mean 'Label'?",
    ]
    bench.open(tasks=[hub_task(revision=COMMIT) | {"columns": {"text": "sentence", "label": "Label"}}])


def test_a_corpus_of_the_hub_needs_its_texts_alone(bench, datasets_cache):
    in_cache(datasets_cache, "text", subset="a")
    further = {"corpus": "cross-domain", "steps": 4, "batch_size": 4, "block_length": 32}
    corpus = {"task": "more", "data": {"source": "hub", "name": "maker/texts", "subset": "a"}}
    corpus["data"]["revision"] = COMMIT
    asked = {"pretraining": {"further": further}, "grid": {"pretraining": ["none", "further"]}}
    bench.open(corpora=[corpus], **asked)
    with pytest.raises(ConfigurationError, match=r"corpus more: maker/texts \(a\) at .* no column 'body'"):
        bench.open(corpora=[corpus | {"columns": {"text": "body"}}], **asked)


def test_a_subset_that_is_not_in_the_cache_is_left_to_its_reading(bench, datasets_cache):
    in_cache(datasets_cache, "other", subset="another")
    bench.open(tasks=[hub_task(revision=COMMIT)])


def test_a_branch_that_is_in_no_cache_is_asked_for_at_the_hub(bench, hub_cache, monkeypatch):
    monkeypatch.setattr(
        "huggingface_hub.HfApi.dataset_info", lambda self, name, **options: SimpleNamespace(sha=COMMIT)
    )
    assert planned_data(bench.plan(tasks=[hub_task(revision="tag")])).revision == COMMIT


def test_a_data_set_that_nobody_has_is_a_fault_that_says_where_was_looked(bench, hub_cache):
    message = faults(bench, hub_task())
    assert message == (
        f"task hub: data set 'maker/texts' at 'main' is neither in {hub_cache} nor to be had from the Hub: "
        "no way to maker/texts"
    )


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"model_type": "bert", "max_position_embeddings": 20}, 20),
        ({"max_position_embeddings": 22, "facts": {"positions": 20}}, 20),
    ],
)
def test_texts_longer_than_the_encoders_positions_are_refused(bench, config, positions):
    bench.encoder(**config)
    task = {"task": "topic", "data": LONG}
    told = f"encoder has positions for {positions} tokens, not for"
    expected = f"max_length: {told} {positions + 1}, and task topic has longer texts"
    assert faults(bench, task, recipe={"max_length": positions + 1}) == expected
    assert faults(bench, task, recipe=None, grid={"max_length": [8, positions + 1]}) == expected
    bench.open(tasks=[task], recipe={"max_length": positions})


def test_a_limit_above_the_positions_is_no_fault_where_no_text_is_that_long(bench):
    bench.encoder(max_position_embeddings=200)
    assert len(bench.plan(recipe={"max_length": 400}).variants) == 1


@pytest.mark.parametrize("config", [{"max_position_embeddings": 20, "facts": {"positions": None}}, {}])
def test_an_encoder_whose_positions_do_not_end_takes_any_length(bench, config):
    bench.encoder(**config)
    bench.open(tasks=[{"task": "topic", "data": LONG}], recipe={"max_length": 21})


def test_blocks_longer_than_the_encoders_positions_are_refused(bench):
    bench.encoder(max_position_embeddings=100)
    message = faults(
        bench, {"task": "topic", "data": LONG}, recipe={"max_length": 50}, pretraining={"more": {}}
    )
    assert message == "pretraining.more.block_length: encoder has positions for 100 tokens, not for 128"


def test_a_sample_of_more_rows_than_there_are_is_refused(bench):
    task = {"task": "topic", "data": LONG, "sample": {"train": 1000}}
    told = "tasks.0.sample.train: must be at most "
    assert faults(bench, task).startswith(told)
    words = {"source": "sample_annotations", "label": "upos", "num_train": 30, "num_test": 20}
    task = {"task": "tags", "data": words, "sample": {"test": 21}}
    assert faults(bench, task) == (
        "tasks.0.sample.test: must be at most 20, which is all that there are, not 21"
    )


def test_a_head_that_leaves_nothing_for_the_tail_is_refused(bench):
    task = {"task": "topic", "data": LONG}
    recipe = {"max_length": 20, "truncation": "head+tail"}
    assert faults(bench, task, recipe=recipe | {"head_tokens": 18}) == (
        "head_tokens: 18 leaves nothing for the tail of 20 tokens, of which 2 are special ones: at most 17"
    )
    bench.open(tasks=[task], recipe=recipe | {"head_tokens": 17})
    bench.open(tasks=[task], recipe={"max_length": 20, "head_tokens": 18})


def test_lengths_that_a_search_may_reach_are_checked_before_it_begins(bench):
    bench.encoder(max_position_embeddings=20)
    search = {"trials": 2, "space": {"max_length": {"low": 8, "high": 30}}}
    assert "not for 30" in faults(bench, {"task": "topic", "data": LONG}, search=search)
