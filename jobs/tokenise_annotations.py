"""Annotated sentences to token ids, with the tokens and the label of every unit: a word, a pair or a span."""

from collections.abc import Hashable, Mapping, Sequence
from typing import assert_never

from layerscope.jobs.artifacts.sentences import EncodedSentence, write_annotated
from layerscope.jobs.context import StageContext
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.annotations import (
    AnnotatedFilesData,
    SampleAnnotationsData,
    TokeniseAnnotationsSpec,
)
from layerscope.jobs.specs.stages import FilesData, HubData, ValidationSplit
from layerscope.jobs.text.reading.annotated_sentences import (
    AnnotatedSentence,
    read_annotations,
    sample_annotations,
)
from layerscope.jobs.text.reading.copies import texts_of_sentences
from layerscope.jobs.text.reading.corpora import refuse_changed
from layerscope.jobs.text.reading.hub_rows import hub_records
from layerscope.jobs.text.reading.span_rows import columns_of_spans, read_span_sentences, span_sentences
from layerscope.jobs.text.reading.splits import split_of_texts, stratified_sample
from layerscope.jobs.text.reading.text_formats import USUAL_LAYOUT
from layerscope.jobs.text.reading.unit_labels import check_unit_labels
from layerscope.jobs.text.tokenising.same_tokens import check_sample
from layerscope.jobs.text.tokenising.token_samples import sample_of
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer, tokenizer_digest
from layerscope.jobs.text.tokenising.word_tokens import encode_words


def run(spec: TokeniseAnnotationsSpec, context: StageContext) -> dict[str, float]:
    """Labels are those of all splits together: one that train does not show can only be got wrong.

    Validation sentences are given, or sampled from those of train that are not too long; they are written
    under the split `validation`.

    Returns:
        Of each split: `<split>/sentences`, `<split>/units`, `<split>/sentences_too_long` (left out).

    Raises:
        ValueError: bad lines; a file that is not the one that was planned; no unit is left in a split; units
            of one span beside pairs; a sentence without a token, or that transformers tokenizes otherwise.
    """
    tokenizer_folder = context.inputs["tokenizer"]
    code = code_of(spec.tokenizer)
    found = tokenizer_digest(tokenizer_folder, runs_code=code is not None)
    refuse_changed(tokenizer_folder, planned=spec.tokenizer, found=found)
    tokenizer = load_tokenizer(tokenizer_folder, code=code)
    is_given = spec.validation is not None and getattr(spec.data, "validation", None) is not None
    splits = ("train", "validation", "test") if is_given else ("train", "test")
    read = {split: _read(spec, context, split) for split in splits}
    check_unit_labels(read)
    sample = sample_of({split: [sentence.texts() for sentence in of] for split, of in read.items()})
    check_sample(str(tokenizer_folder), sample, code=code)
    encoded = {split: encode_words(of, tokenizer) for split, of in read.items()}
    _refuse_empty(encoded)
    kept = {split: [s for s in of if len(s.input_ids) <= spec.max_length] for split, of in encoded.items()}
    left_out = {split: len(encoded[split]) - len(kept[split]) for split in splits}
    if spec.validation is not None and not is_given:
        texts = [
            text
            for text, sentence in zip(texts_of_sentences(read["train"]), encoded["train"], strict=True)
            if len(sentence.input_ids) <= spec.max_length
        ]
        kept |= _with_validation(kept["train"], texts, spec.validation)
    for split, sentences in kept.items():
        if not any(sentence.units for sentence in sentences):
            raise ValueError(
                f"{split}: no sentence with a labelled unit has at most {spec.max_length} tokens"
            )
    if len({len(unit.spans) for of in kept.values() for sentence in of for unit in sentence.units}) > 1:
        raise ValueError("some labels have one span and others two: one head cannot read both")
    write_annotated(context.out, kept, _labels(*kept.values()))
    counts = {
        f"{split}/{name}": float(number)
        for split, sentences in kept.items()
        for name, number in (("sentences", len(sentences)), ("units", sum(len(s.units) for s in sentences)))
    }
    return counts | {f"{split}/sentences_too_long": float(number) for split, number in left_out.items()}


def _refuse_empty(encoded: Mapping[str, Sequence[EncodedSentence]]) -> None:
    for split, sentences in encoded.items():
        for sentence in sentences:
            if not sentence.input_ids:
                raise ValueError(
                    f"{split}:{sentence.id}: the tokenizer makes no token of this sentence, and puts none "
                    "around it: leave it out"
                )


def _with_validation(
    train: Sequence[EncodedSentence], texts: Sequence[Hashable], validation: ValidationSplit
) -> dict[str, list[EncodedSentence]]:
    """Whole sentences are sampled: neither words of one sentence nor two sentences with the same text are
    on both sides."""
    alike = [""] * len(train)
    kept, held_out = split_of_texts(alike, texts, fraction=validation.fraction, seed=validation.seed)
    return {"train": [train[place] for place in kept], "validation": [train[place] for place in held_out]}


def _read(spec: TokeniseAnnotationsSpec, context: StageContext, split: str) -> list[AnnotatedSentence]:
    sentences = _all(spec, context, split)
    size = getattr(spec.sample, split)
    places = stratified_sample([""] * len(sentences), size=size, seed=spec.sample.seed, split=split)
    return [sentences[place] for place in places]


def _all(spec: TokeniseAnnotationsSpec, context: StageContext, split: str) -> list[AnnotatedSentence]:
    match spec.data:
        case SampleAnnotationsData() as data:
            number = data.num_train if split == "train" else data.num_test
            return sample_annotations(label=data.label, num_sentences=number, seed=data.seed, part=split)
        case AnnotatedFilesData() as data:
            path = context.inputs[split]
            refuse_changed(path, planned=getattr(data, split))
            return read_annotations(path, data.label)
        case FilesData() as data:
            path = context.inputs[split]
            refuse_changed(path, planned=getattr(data, split))
            assert spec.columns is not None
            return read_span_sentences(path, spec.columns, data.layout or USUAL_LAYOUT)
        case HubData() as data:
            assert spec.columns is not None
            records = hub_records(
                data.name,
                subset=data.subset,
                revision=data.revision,
                split=getattr(data, split),
                columns=columns_of_spans(spec.columns),
            )
            return span_sentences(records, f"{data.name}/{getattr(data, split)}", spec.columns).found
        case never:
            assert_never(never)


def _labels(*splits: Sequence[EncodedSentence]) -> list[str]:
    return sorted({unit.label for split in splits for sentence in split for unit in sentence.units})
