"""Which class of transformers an export writes, and what people who load another one get."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    CamembertConfig,
    ErnieConfig,
    EuroBertConfig,
    FNetConfig,
    XLMRobertaConfig,
    pipeline,
)

from layerscope.jobs import export
from layerscope.jobs.artifacts.tokenised import read_labels, read_split, read_texts
from layerscope.jobs.encoders.head_files import load_classifier
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.model_card import snippet
from layerscope.jobs.text.tokenising.inputs import inputs_of
from tests.jobs import tiny
from tests.jobs.test_export import exported, write_model
from tests.jobs.tiny import SHAPE, write_byte_tokenizer, write_encoder, write_rows, write_task

MORE = {
    "xlm-roberta": XLMRobertaConfig,
    "camembert": CamembertConfig,
    "ernie": ErnieConfig,
    "eurobert": lambda **fields: EuroBertConfig(**fields, bos_token_id=2, eos_token_id=3, mask_token_id=4),
    "fnet": lambda **fields: FNetConfig(
        **{name: value for name, value in fields.items() if name != "num_attention_heads"}
    ),
}
WITH_POOLER = dict.fromkeys(("cls", "pooler"), "texts") | dict.fromkeys(("mean", "last"), "tokens")
WITHOUT_POOLER = WITH_POOLER | {"pooler": "refused"}
BY_CONFIGURATION = {"cls": "texts", "mean": "texts", "pooler": "refused"}
DECODER = {"last": "texts", "mean": "tokens"}
WRITTEN = {
    "bert": WITH_POOLER,
    "roberta": WITH_POOLER,
    "xlm-roberta": WITH_POOLER,
    "camembert": WITH_POOLER,
    "ernie": WITH_POOLER,
    "mpnet": WITH_POOLER,
    "albert": WITH_POOLER,
    "fnet": WITH_POOLER,
    "electra": WITHOUT_POOLER,
    "distilbert": WITHOUT_POOLER,
    "deberta-v2": WITHOUT_POOLER,
    "modernbert": BY_CONFIGURATION | {"last": "refused"},
    "eurobert": BY_CONFIGURATION | {"last": "tokens"},
    "gpt2": DECODER,
    "gpt_neox": DECODER,
    "llama": DECODER | {"last": "tokens"},
    "qwen3": DECODER | {"last": "tokens"},
    "opt": DECODER | {"mean": "refused"},
}
"""The kind of class by family and pooling; what no family of its kind is pooled by is left out."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Texts of random tokens with three labels."""
    random = np.random.default_rng(0)
    texts = [[2, *random.integers(5, 60, size=random.integers(3, 12)).tolist(), 3] for _ in range(60)]
    return write_rows(tmp_path_factory.mktemp("rows") / "task", texts, [0, 1, 2] * 20, num_held_out=20)


def write_family(folder, architecture):
    if architecture not in MORE:
        return write_encoder(folder, architecture=architecture)
    torch.manual_seed(0)
    folder.mkdir()
    AutoModel.from_config(MORE[architecture](**SHAPE)).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder


def with_bias(model, *bias: float):
    """A head as training leaves it: its bias is not 0, as it is at first."""
    head = load_file(model / "head.safetensors")
    save_file(head | {"bias": np.array(bias, np.float32)}, model / "head.safetensors")
    return model


def logits_of(model, rows) -> torch.Tensor:
    inputs = inputs_of(read_split(rows, "test"), 0)
    with torch.inference_mode():
        return model.eval()(input_ids=inputs.ids_WT, attention_mask=inputs.mask_WT).logits


def measured(model, rows) -> torch.Tensor:
    with torch.inference_mode():
        return load_classifier(model).eval()(*inputs_of(read_split(rows, "test"), 0))


def pooled(logits_BTK, rows, pooling) -> torch.Tensor:
    mask_BT = inputs_of(read_split(rows, "test"), 0).mask_WT
    last_B = mask_BT.sum(1) - 1
    return {
        "cls": logits_BTK[:, 0],
        "last": logits_BTK[range(len(last_B)), last_B],
        "mean": (logits_BTK * mask_BT.unsqueeze(-1)).sum(1) / mask_BT.sum(1, keepdim=True),
    }[pooling]


@pytest.mark.parametrize(
    ("architecture", "pooling"), [(family, pooling) for family, of in WRITTEN.items() for pooling in of]
)
@pytest.mark.slow
def test_people_load_what_was_measured_or_get_an_error(rows, tmp_path, architecture, pooling):
    encoder = write_family(tmp_path / "encoder", architecture)
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling=pooling)
    with_bias(model, 0.5, -1, 2)
    kind = WRITTEN[architecture][pooling]
    if kind == "refused":
        with pytest.raises(ValueError, match=r"computes (this head|the head on its pooler)"):
            exported(tmp_path / "out", model, rows, layers=2)
        return
    facts = exported(tmp_path / "out", model, rows, layers=2)
    assert facts.kind == kind
    # The same sums in another order, in float32, and for tanh what its bend does to them.
    near = {"atol": 2e-4, "rtol": 2e-4}
    expected_BK = measured(model, rows)
    if kind == "texts":
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
        torch.testing.assert_close(logits_of(loaded, rows), expected_BK, **near)
    else:
        with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
            AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
        named = {"key_mapping": facts.key_mapping} if facts.key_mapping else {}
        loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "out", **named)
        torch.testing.assert_close(pooled(logits_of(loaded, rows), rows, pooling), expected_BK, **near)
    assert loaded.config.id2label == dict(enumerate(read_labels(rows)))
    assert loaded.config.problem_type == "single_label_classification"
    assert facts.score == facts.score_before


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("architecture", ["bert", "roberta", "llama"])
def test_an_exported_folder_is_an_encoder_as_any_other(rows, tmp_path, architecture, pooling):
    encoder = write_encoder(tmp_path / "encoder", architecture=architecture)
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling=pooling)
    exported(tmp_path / "out", model, rows, layers=2)
    tuned, taken = load_encoder(model).state_dict(), load_encoder(tmp_path / "out").state_dict()
    assert tuned.keys() == taken.keys()
    assert all(torch.equal(value, taken[name]) for name, value in tuned.items())


def test_a_decoder_gives_the_bias_of_its_head_to_the_normalisation_above_its_layers(rows, tmp_path):
    encoder = write_encoder(tmp_path / "encoder", architecture="gpt2")
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling="last")
    exported(tmp_path / "out", with_bias(model, 0.5, -1, 2), rows, layers=2)
    tuned, taken = load_encoder(model), load_encoder(tmp_path / "out")
    shift_D = taken.ln_f.bias - tuned.ln_f.bias
    weight_KD = torch.from_numpy(load_file(model / "head.safetensors")["weight"])
    torch.testing.assert_close(weight_KD @ shift_D, torch.tensor([0.5, -1, 2]))


def test_a_head_without_bias_needs_no_place_for_one(rows, tmp_path):
    encoder = write_encoder(tmp_path / "encoder", architecture="llama")
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling="last")
    assert exported(tmp_path / "out", model, rows, layers=1).architecture == "LlamaForSequenceClassification"


def test_a_text_that_ends_in_the_token_of_padding_is_not_read_one_token_too_early(tmp_path):
    texts = [[7, 8, 9 + number % 40, 0] for number in range(60)]
    rows = write_rows(tmp_path / "task", texts, [0, 1, 2] * 20, num_held_out=20)
    encoder = write_encoder(tmp_path / "encoder", architecture="gpt2")
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling="last")
    assert exported(tmp_path / "out", model, rows, layers=1).kind == "tokens"


def test_more_labels_than_half_the_width_are_left_to_the_tokens(tmp_path):
    texts = [[2, 5 + number % 50, 3] for number in range(80)]
    labels = [number % 20 for number in range(80)]
    rows = write_rows(tmp_path / "task", texts, labels, num_held_out=20)
    encoder = write_encoder(tmp_path / "encoder")
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling="cls")
    assert exported(tmp_path / "out", model, rows, layers=2).kind == "tokens"


def test_no_pipeline_of_texts_loads_a_classifier_of_tokens(rows, tmp_path):
    encoder = write_encoder(tmp_path / "encoder", architecture="roberta")
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling="mean")
    exported(tmp_path / "out", model, rows, layers=2)
    # A pipeline that fails goes on to the class that the configuration names.
    assert "architectures" not in json.loads((tmp_path / "out" / "config.json").read_text())
    folder = str(tmp_path / "out")
    for task in ("text-classification", "zero-shot-classification"):
        with pytest.raises(ValueError, match="Could not load model"):
            pipeline(task, model=folder, tokenizer=folder)
    assert pipeline("token-classification", model=folder, tokenizer=folder)("a film")
    assert type(AutoModel.from_pretrained(folder)).__name__ == "RobertaModel"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """An encoder with the texts of the sample corpus, whole."""
    folder = tmp_path_factory.mktemp("sample")
    encoder = write_encoder(folder / "encoder", max_position_embeddings=400)
    return encoder, write_task(folder / "task", encoder, max_length=None)


@pytest.mark.slow
def test_the_lines_of_the_card_give_the_measured_labels_in_a_process_of_their_own(sample, tmp_path):
    encoder, data = sample
    labels = read_labels(data)
    _, texts = read_texts(data, "test")
    lines = [f"texts = {[text for (text,) in texts]!r}", "found = {}"]
    expected = {}
    for pooling in ("cls", "mean", "pooler"):
        model = write_model(tmp_path / pooling, encoder, labels, pooling=pooling)
        logits_NK = measured(model, data)
        with_bias(model, *(-logits_NK.mean(0)).tolist())
        facts = exported(tmp_path / f"{pooling}-out", model, data, layers=2)
        numbers = (logits_NK - logits_NK.mean(0)).argmax(-1).tolist()
        by_id = dict(zip(read_split(data, "test").ids, numbers, strict=True))
        expected[pooling] = [labels[by_id[id]] for id in read_texts(data, "test")[0]]
        lines += [f"folder = {str(tmp_path / f'{pooling}-out')!r}", snippet(facts)]
        lines += [f"found[{pooling!r}] = labels"]
    script = "\n".join([*lines, "import json", "print(json.dumps(found))"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == expected
    assert all(len(set(found)) == len(labels) for found in expected.values())


def test_the_tokenizer_gives_token_types_where_they_were_measured_and_only_there(rows, tmp_path):
    types = [[0] * 3 + [1] * 3 for _ in range(40)]
    pairs = write_rows(
        tmp_path / "pairs", [[2, 7, 3, 8, 9, 3]] * 40, [0, 1] * 20, num_held_out=10, type_ids=types
    )
    for architecture, data, has_types in (
        ("bert", pairs, True),
        ("gpt2", pairs, False),
        ("gpt2", rows, False),
    ):
        folder = tmp_path / f"{architecture}-{data.name}"
        encoder = write_encoder(folder / "encoder", architecture=architecture)
        settings = json.loads((encoder / "tokenizer_config.json").read_text())
        names = ["input_ids", "attention_mask", *(["token_type_ids"] if not has_types else [])]
        (encoder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_input_names": names}))
        model = write_model(folder / "model", encoder, read_labels(data), pooling="last")
        exported(folder / "out", model, data, layers=1)
        given = AutoTokenizer.from_pretrained(folder / "out")("a film", "b")
        assert ("token_type_ids" in given) == has_types


def test_a_decoder_whose_tokenizer_has_no_padding_answers_in_batches_too(tmp_path):
    encoder = write_encoder(tmp_path / "encoder", architecture="gpt2", n_positions=400)
    write_byte_tokenizer(encoder)
    data = write_task(tmp_path / "task", encoder, max_length=None)
    labels = read_labels(data)
    model = write_model(tmp_path / "model", encoder, labels, pooling="last")
    logits_NK = measured(model, data)
    with_bias(model, *(-logits_NK.mean(0)).tolist())
    exported(tmp_path / "out", model, data, layers=2)
    folder = str(tmp_path / "out")
    classify = pipeline("text-classification", model=folder, tokenizer=folder)
    ids, texts = read_texts(data, "test")
    answers = classify([text for (text,) in texts], batch_size=8)
    found = {id: answer["label"] for id, answer in zip(ids, answers, strict=True)}
    numbers = (logits_NK - logits_NK.mean(0)).argmax(-1).tolist()
    assert [found[id] for id in read_split(data, "test").ids] == [labels[number] for number in numbers]
    assert len(set(found.values())) == len(labels)


def test_a_class_that_people_load_and_that_answers_otherwise_is_refused(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "write_model", lambda model, kind, folder, **_: model.save_pretrained(folder))
    encoder = write_encoder(tmp_path / "encoder")
    model = write_model(tmp_path / "model", encoder, read_labels(rows), pooling="mean")
    (tmp_path / "out").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "out" / name).write_bytes((model / name).read_bytes())
    with pytest.raises(ValueError, match="people would load the model as BertForSequenceClassification"):
        exported(tmp_path / "out", model, rows, layers=2)
