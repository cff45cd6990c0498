"""Annotated sentences to token ids, with the tokens and the label of every unit that is to be probed."""

from collections.abc import Sequence

from jobs.context import StageContext
from jobs.specs.annotations import AnnotatedFilesData, AnnotateSpec, SampleAnnotationsData
from jobs.text.annotated import write_annotated
from jobs.text.annotations import AnnotatedSentence, read_annotations, sample_annotations
from jobs.text.corpora import refuse_changed
from jobs.text.tokenizer import load_tokenizer, tokenizer_digest
from jobs.text.words import EncodedSentence, encode_words

SPLITS = ("train", "test")


def run(spec: AnnotateSpec, context: StageContext) -> dict[str, float]:
    """Labels are those of train and test together: one that train does not show can only be got wrong.

    Returns:
        Of each split: `<split>/sentences`, `<split>/units`, `<split>/sentences_too_long` (left out).

    Raises:
        ValueError: bad lines; a file that is not the one that was planned; no unit is left in a split.
    """
    tokenizer_folder = context.inputs["tokenizer"]
    refuse_changed(tokenizer_folder, planned=spec.tokenizer, found=tokenizer_digest(tokenizer_folder))
    tokenizer = load_tokenizer(tokenizer_folder)
    encoded = {split: encode_words(_read(spec, context, split), tokenizer) for split in SPLITS}
    kept = {split: [s for s in of if len(s.input_ids) <= spec.max_length] for split, of in encoded.items()}
    for split, sentences in kept.items():
        if not any(sentence.units for sentence in sentences):
            raise ValueError(
                f"{split}: no sentence with a labelled unit has at most {spec.max_length} tokens"
            )
    write_annotated(context.out, kept, _labels(kept["train"], kept["test"]))
    return {
        name: float(value)
        for split in SPLITS
        for name, value in (
            (f"{split}/sentences", len(kept[split])),
            (f"{split}/units", sum(len(sentence.units) for sentence in kept[split])),
            (f"{split}/sentences_too_long", len(encoded[split]) - len(kept[split])),
        )
    }


def _read(spec: AnnotateSpec, context: StageContext, split: str) -> list[AnnotatedSentence]:
    match spec.data:
        case SampleAnnotationsData() as data:
            number = data.num_train if split == "train" else data.num_test
            return sample_annotations(label=data.label, num_sentences=number, seed=data.seed, part=split)
        case AnnotatedFilesData() as data:
            path = context.inputs[split]
            refuse_changed(path, planned=getattr(data, split))
            return read_annotations(path, data.label)


def _labels(*splits: Sequence[EncodedSentence]) -> list[str]:
    return sorted({unit.label for split in splits for sentence in split for unit in sentence.units})
