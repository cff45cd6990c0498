"""Trainings on what is not one label a text: two gloo processes train as one does."""

import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import finetune, tokenise_annotations
from layerscope.jobs.context import StageContext
from layerscope.jobs.specs.annotations import SampleAnnotationsData, TokeniseAnnotationsSpec
from layerscope.jobs.specs.stages import Columns, ValidationSplit
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from tests.jobs.test_finetune_answers import CLOZE, cloze
from tests.jobs.test_finetune_targets import choices, marked, numbers, prepared, spans, write
from tests.jobs.tiny import NO_DROPOUT, finetune_spec, make_context, write_pooler
from tests.jobs.two_processes import METRICS, NUM_PROCESSES, Case, train_together

pytestmark = pytest.mark.slow


def sentences(folder, encoder, label):
    folder.mkdir()
    spec = TokeniseAnnotationsSpec(
        data=SampleAnnotationsData(label=label, num_train=16, num_test=9),
        tokenizer=tokenizer_digest(encoder),
        max_length=60,
        validation=ValidationSplit(fraction=0.3),
    )
    tokenise_annotations.run(spec, StageContext(inputs={"tokenizer": encoder}, out=folder, scratch=folder))
    return folder


def spec_of(**recipe):
    # The large epsilon of bert-adam leaves gradients of rounding errors alone; AdamW makes steps of them.
    fields = {"epochs": 1, "batch_size": 5, "learning_rate": 1e-3, "warmup": 0.0, "optimizer": "bert-adam"}
    return finetune_spec(**fields | recipe)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    encoder = write_pooler(folder / "encoder", initializer_range=0.2, **NO_DROPOUT)
    # Of 11 sentences in batches of 5 the last has one, and so none for the second process.
    words, pairs = (sentences(folder / label, encoder, label) for label in ("upos", "deprel"))
    rows = {kind: folder / kind for kind in ("numbers", "choices", "cloze", "spans")}
    for path in rows.values():
        path.mkdir()
    # Of 11 rows too.
    scores = prepared(
        rows["numbers"],
        encoder,
        write(rows["numbers"] / "rows", numbers, num_train=14, num_test=9),
        predict="number",
    )
    answers = prepared(
        rows["choices"],
        encoder,
        write(rows["choices"] / "rows", choices, num_train=14, num_test=9),
        columns=Columns(choices="choices"),
    )
    gaps = prepared(
        rows["cloze"],
        encoder,
        write(rows["cloze"] / "rows", cloze, num_train=14, num_test=9),
        columns=CLOZE,
    )
    senses = marked(rows["spans"], encoder, write(rows["spans"] / "rows", spans, num_train=14, num_test=9))
    kept = spec_of(layer_decay=0.9).model_copy(update={"checkpoints": (0.5, 1.0)})
    return {
        "words": Case(kept, {"encoder": encoder, "data": words}),
        "pairs": Case(spec_of(layers=(1, 2)), {"encoder": encoder, "data": pairs}),
        "numbers": Case(spec_of(), {"encoder": encoder, "data": scores}),
        "choices": Case(spec_of(pooling="cls"), {"encoder": encoder, "data": answers}),
        "cloze": Case(spec_of(), {"encoder": encoder, "data": gaps}),
        "spans": Case(spec_of(), {"encoder": encoder, "data": senses}),
    }


NAMES = ["words", "pairs", "numbers", "choices", "cloze", "spans"]


@pytest.fixture(scope="module")
def gang(cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gang")
    train_together(cases, folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_as_one_does(cases, gang, name, tmp_path):
    context = make_context(tmp_path, train=True, **cases[name].inputs)
    metrics = finetune.run(cases[name].spec, context)
    for rank in range(NUM_PROCESSES):
        found = torch.load(gang / name / str(rank) / METRICS)
        assert found["test/loss"] == pytest.approx(metrics["test/loss"], abs=1e-4)
    for file in ("model.safetensors", "head.safetensors"):
        together, alone = load_file(gang / name / "out" / file), load_file(context.out / file)
        assert together.keys() == alone.keys()
        for weight, value in alone.items():
            # Gradients of rounding errors alone: of a bias of the keys and, where choices are compared, of
            # what the top layer adds to the states of all of them.
            is_shared = name in ("choices", "cloze") and weight.endswith("layer.1.output.LayerNorm.bias")
            if not weight.endswith("key.bias") and not is_shared:
                # Sums in another order, in float32; weighing a batch wrongly moves weights by 1e-4 and more.
                torch.testing.assert_close(together[weight], value, atol=1e-5, rtol=0, msg=weight)
    start = load_file(cases[name].inputs["encoder"] / "model.safetensors")
    tuned = load_file(context.out / "model.safetensors")
    assert (
        max((tuned[weight] - start[weight]).abs().max().item() for weight in tuned if weight in start) > 5e-4
    )


def test_encoders_are_kept_by_the_first_of_two_processes(cases, gang, tmp_path):
    context = make_context(tmp_path, train=True, **cases["words"].inputs)
    finetune.run(cases["words"].spec, context)
    for name in ("share-0.5", "share-1.0"):
        together, alone = (
            load_file(folder / name / "model.safetensors") for folder in (gang / "words" / "out", context.out)
        )
        for weight, value in alone.items():
            if not weight.endswith("key.bias"):
                torch.testing.assert_close(together[weight], value, atol=1e-5, rtol=0, msg=weight)
