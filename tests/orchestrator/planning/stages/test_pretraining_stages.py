import json

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from layerscope.orchestrator.errors import ConfigurationError
from tests.orchestrator.bench import SAMPLE, Bench, keys

TOPIC = {"task": "topic", "data": SAMPLE, "domain": "a"}
MOOD = {"task": "mood", "data": SAMPLE | {"target": "sentiment"}, "domain": "b"}
OTHER = {"task": "other", "data": SAMPLE | {"seed": 5}, "domain": "a"}
QUIET = {"probe": False, "cka": False, "depth": False}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def plan_of(bench, pretraining, *, tasks=(TOPIC, MOOD, OTHER), starts=None, **changes):
    grid = {"pretraining": starts or list(pretraining)}
    return bench.plan(tasks=list(tasks), pretraining=pretraining, grid=grid, **{"measures": QUIET} | changes)


def pretrainings(plan, start):
    """Keys by task."""
    return {
        variant.task: variant.stages["pretrain"].key
        for variant in plan.variants
        if variant.recipe["pretraining"] == start
    }


def roles(plan, start, task):
    (variant,) = (v for v in plan.variants if (v.recipe["pretraining"], v.task) == (start, task))
    return {role: parent.key for role, parent in variant.stages["pretrain"].parents.items()}


def write_corpus(bench, *, name="corpus", text="one text"):
    path = bench.root / f"{name}.jsonl"
    path.write_text(json.dumps({"text": text}) + "\n" + json.dumps({"text": "two"}) + "\n")
    return {"task": name, "data": {"source": "files", "train": str(path)}}


def test_the_same_texts_are_one_stage_whatever_the_task_and_the_order(bench):
    pretraining = {"own": {}, "domain": {"corpus": "in-domain"}, "cross": {"corpus": "cross-domain"}}
    plan = plan_of(bench, pretraining)
    assert len(set(pretrainings(plan, "own").values())) == 3
    domain, cross = pretrainings(plan, "domain"), pretrainings(plan, "cross")
    assert domain["topic"] == domain["other"] != pretrainings(plan, "own")["topic"]
    assert len(set(cross.values())) == 1
    # The only task of its domain is its domain.
    (mood,) = (v for v in plan.variants if (v.task, v.recipe["pretraining"]) == ("mood", "own"))
    assert mood.num_cells == 2
    assert "mood" not in domain
    turned = plan_of(bench, pretraining, tasks=(OTHER, MOOD, TOPIC))
    assert keys(turned) == keys(plan)


def test_names_of_tasks_are_in_no_key(bench):
    plan = plan_of(bench, {"cross": {"corpus": "cross-domain"}})
    renamed = [TOPIC | {"task": "z"}, MOOD | {"task": "y"}, OTHER | {"task": "x"}]
    assert keys(plan_of(bench, {"all": {"corpus": "cross-domain"}}, tasks=renamed)) == keys(plan)


def test_a_pretraining_is_shared_by_all_recipes_and_reads_every_test_set(bench):
    plan = plan_of(bench, {"own": {}}, tasks=(TOPIC, MOOD), recipe={"max_length": 400, "learning_rate": 1e-3})
    assert list(roles(plan, "own", "topic")) == ["corpus/0", "test/0", "test/1"]
    assert roles(plan, "own", "topic")["corpus/0"] in (
        roles(plan, "own", "topic")["test/0"],
        roles(plan, "own", "topic")["test/1"],
    )
    other = plan_of(bench, {"own": {}}, tasks=(TOPIC, MOOD), recipe={"max_length": 400, "epochs": 9})
    assert keys(plan, "pretrain") == keys(other, "pretrain")
    assert not keys(plan, "finetune") & keys(other, "finetune")


def test_corpora_are_read_beside_tasks(bench):
    corpus = write_corpus(bench)
    pretraining = {
        "named": {"corpus": ["corpus", "topic"]},
        "cross": {"corpus": "cross-domain"},
        "domain": {"corpus": "in-domain"},
    }
    plan = plan_of(bench, pretraining, tasks=(TOPIC, MOOD), corpora=[corpus | {"domain": "b"}])
    assert [role for role in roles(plan, "named", "mood")] == ["corpus/0", "corpus/1", "test/0", "test/1"]
    assert len(set(pretrainings(plan, "named").values())) == 1
    assert sum(role.startswith("corpus") for role in roles(plan, "cross", "topic")) == 3
    assert sum(role.startswith("corpus") for role in roles(plan, "domain", "topic")) == 1
    assert sum(role.startswith("corpus") for role in roles(plan, "domain", "mood")) == 2
    (stage,) = (one for one in plan.stages().values() if getattr(one.spec, "text_only", False))
    assert set(stage.files) == {"train", "tokenizer"}
    changed = [write_corpus(bench, text="another text") | {"domain": "b"}]
    again = plan_of(bench, pretraining, tasks=(TOPIC, MOOD), corpora=changed)
    assert pretrainings(again, "domain")["topic"] == pretrainings(plan, "domain")["topic"]
    assert not set(pretrainings(again, "named").values()) & set(pretrainings(plan, "named").values())


def test_bad_rows_of_a_corpus_are_refused_at_planning(bench):
    corpus = write_corpus(bench, text="")
    with pytest.raises(ConfigurationError, match=r"corpus corpus: corpus\.jsonl:1: empty text"):
        plan_of(bench, {"own": {}}, corpora=[corpus])


def test_a_corpus_of_one_text_is_refused_at_planning(bench):
    corpus = write_corpus(bench)
    path = bench.root / "corpus.jsonl"
    path.write_text(path.read_text().splitlines()[0])
    with pytest.raises(ConfigurationError, match="a corpus needs two, since one is held out"):
        plan_of(bench, {"own": {}}, corpora=[corpus])


def test_a_chain_rests_on_its_links(bench):
    pretraining = {
        "domain": {"corpus": "in-domain"},
        "chain": {"after": "domain"},
        "own": {},
    }
    plan = plan_of(bench, pretraining, starts=["chain", "own", "domain"])
    domain, chained, own = (pretrainings(plan, start) for start in ("domain", "chain", "own"))
    assert roles(plan, "chain", "mood")["encoder"] == own["mood"]
    for task in ("topic", "other"):
        assert roles(plan, "chain", task)["encoder"] == domain[task]
        assert chained[task] != own[task]
    longer = plan_of(bench, pretraining | {"domain": {"corpus": "in-domain", "steps": 7}})
    assert not set(pretrainings(longer, "chain").values()) & set(chained.values())
    assert pretrainings(longer, "own") == own
    assert pretrainings(plan_of(bench, pretraining | {"domain": {"corpus": "in-domain"}}), "chain") == chained


def test_snapshots_are_starts_of_one_trajectory(bench):
    pretraining = {"own": {"steps": 8, "snapshots": [6, 2]}}
    starts = ["own@2", "own@6", "own@8", "own"]
    plan = plan_of(bench, pretraining, tasks=[TOPIC], starts=starts, measures={})
    assert [(variant.recipe["pretraining"], variant.num_cells) for variant in plan.variants] == [
        ("own@2", 1),
        ("own@6", 1),
        ("own@8", 2),
    ]
    (pretrain,) = (stage for stage in plan.stages().values() if stage.kind == "pretrain")
    assert pretrain.spec.training.snapshots == (2, 6)
    for variant, snapshot in zip(plan.variants, (2, 6, None), strict=True):
        begun = variant.stages["probe/start"].parents["states"]
        assert variant.stages["finetune"].spec.snapshot == begun.spec.snapshot == snapshot
        assert variant.stages["probe"].parents["states"].spec.snapshot is None
    assert len(keys(plan, "text_states")) == 6


def test_the_last_step_need_not_be_listed_and_the_order_does_not_matter(bench):
    written = [{"snapshots": [2, 8]}, {"snapshots": [8, 2]}, {"snapshots": [2]}]
    plans = [plan_of(bench, {"own": {"steps": 8} | one}, tasks=[TOPIC]) for one in written]
    assert len({frozenset(keys(plan, "pretrain")) for plan in plans}) == 1


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "electra", "mpnet", "deberta-v2", "modernbert"])
def test_next_sentences_need_a_head_for_them(bench, kind):
    bench.encoder(model_type=kind)
    with pytest.raises(ConfigurationError) as refused:
        plan_of(bench, {"own": {"next_sentence": True}})
    assert str(refused.value) == (
        f"pretraining.own.next_sentence: encoder is of the type {kind}, for which transformers "
        "has no head for next sentences (it has one for BERT and a few more): must be false"
    )


def test_whole_words_need_a_tokenizer_that_tells_them(bench):
    bench.encoder()
    Tokenizer(BPE({"[UNK]": 0, "a": 1}, [], unk_token="[UNK]")).save(
        str(bench.root / "encoder/tokenizer.json")
    )
    with pytest.raises(
        ConfigurationError, match=r"(?m)^pretraining.own.masking: no token of this BPE tokenizer"
    ):
        plan_of(bench, {"own": {"masking": "word"}, "other": {}})


def test_an_encoder_of_the_family_of_bert_takes_next_sentences(bench):
    plan = plan_of(bench, {"own": {"next_sentence": True}}, tasks=[TOPIC])
    assert len(keys(plan, "pretrain")) == 1


def spec_of(bench, **pretraining):
    plan = plan_of(bench, {"own": pretraining}, tasks=[TOPIC])
    return plan.variants[0].stages["pretrain"].spec


def test_a_number_format_is_in_the_key(bench):
    assert spec_of(bench).training.precision == "float32"
    assert spec_of(bench, precision="bfloat16").training.precision == "bfloat16"
