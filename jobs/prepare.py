"""Texts to token ids: read, validated, split and truncated once per view."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from layerscope.jobs.artifacts.token_sample import write_sample
from layerscope.jobs.artifacts.tokenised import write_tokenised
from layerscope.jobs.context import StageContext
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.stages import FilesData, HubData, PrepareSpec, SampleData, target_of
from layerscope.jobs.specs.targets import Target
from layerscope.jobs.text.reading.copies import texts_of_rows
from layerscope.jobs.text.reading.corpora import (
    read_hub,
    read_rows,
    refuse_changed,
    sampled,
    sequences_of,
)
from layerscope.jobs.text.reading.row_targets import ROW_TARGETS, check_targets, strata, with_last
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.reading.splits import split_of_texts
from layerscope.jobs.text.reading.text_formats import USUAL_LAYOUT
from layerscope.jobs.text.tokenising.same_tokens import check_sample
from layerscope.jobs.text.tokenising.token_samples import sample_of, sequences_in, tokenised
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer, tokenizer_digest
from layerscope.jobs.text.tokenising.truncation import EncodedTexts, encode, end_to_end

if TYPE_CHECKING:
    from datasets import Dataset
    from tokenizers import Tokenizer


def run(spec: PrepareSpec, context: StageContext) -> dict[str, float]:
    """Leave a `datasets.DatasetDict` of train, validation and test with columns id, input_ids and label.

    Pairs have a column type_ids besides, and windows, whose tokens stand one after the other, window_lengths;
    a row with choices is a text with each of them, one after the other like windows. A label is the place of
    its name in labels.json, or, where target.json says so, a number. Rows with answers have columns right and
    token_f1 besides, and their label is the first right choice.
    Whole views have a column `texts` besides, the texts of each row as they were; a corpus that is read for
    its texts alone has no test split, no labels, and -1 in the column label. Some texts and their tokens, for
    exports to be held to, are in sample.json.

    Returns:
        Of each split: `<split>/num_texts`, `num_cut`, `tokens` (that the encoder reads, special ones too, and
        those in two windows twice), `tokens_lost` (that it never reads).

    Raises:
        ValueError: bad rows or labels; a file that is not the one that was planned; a text that is too long
            where the plan said that none is, that has no token, or that transformers tokenizes otherwise.
    """
    import datasets

    _refuse_changed_files(spec, context)
    rows_by_split = _read(spec, context)
    names = {role: path.name for role, path in context.inputs.items()}
    target = target_of(spec.columns, spec.predict)
    labels: tuple[str, ...] = ()
    if not spec.text_only:
        labels = check_targets(rows_by_split, target, names=names if spec.data.source == "files" else None)
        labels = with_last(labels, spec.positive)
    rows_by_split = sampled(rows_by_split, spec.sample, target)
    sample = sample_of({split: sequences_in(rows) for split, rows in rows_by_split.items()})
    code = code_of(spec.tokenizer)
    check_sample(str(context.inputs["tokenizer"]), sample, code=code)
    is_drawn = "validation" not in rows_by_split
    if is_drawn:
        rows_by_split = _with_validation(spec, rows_by_split, target)
    validation_ids = [row.id for row in rows_by_split["validation"]]
    if spec.pairs == "apart":
        rows_by_split = {split: _apart(rows) for split, rows in rows_by_split.items()}

    tokenizer = load_tokenizer(context.inputs["tokenizer"], code=code)
    encoded_by_split = {split: _encode(spec, rows, tokenizer) for split, rows in rows_by_split.items()}
    for split, encoded in encoded_by_split.items():
        _refuse_empty(split, rows_by_split[split], encoded)
        if spec.truncation == "whole" and spec.max_length is not None:
            _refuse_longer(split, rows_by_split[split], encoded, spec.max_length)

    datasets.disable_progress_bars()
    splits = datasets.DatasetDict(
        {
            split: _dataset(spec, rows, encoded_by_split[split], labels)
            for split, rows in rows_by_split.items()
        }
    )
    write_tokenised(
        context.out,
        splits,
        labels=labels,
        target=target,
        is_drawn=is_drawn,
        validation_ids=validation_ids,
    )
    write_sample(context.out, tokenised(sample, tokenizer))
    return {
        f"{split}/{metric}": value
        for split, encoded in encoded_by_split.items()
        for metric, value in _metrics(encoded).items()
    }


def _refuse_changed_files(spec: PrepareSpec, context: StageContext) -> None:
    planned = {"tokenizer": spec.tokenizer}
    if isinstance(spec.data, FilesData):
        planned |= {role: getattr(spec.data, role) for role in ("train", "validation", "test")}
    for role, expected in planned.items():
        if expected is None:
            continue
        path, found = context.inputs[role], None
        if role == "tokenizer":
            found = tokenizer_digest(path, runs_code=code_of(spec.tokenizer) is not None)
        refuse_changed(path, planned=expected, found=found)


def _read(spec: PrepareSpec, context: StageContext) -> dict[str, Sequence[Row]]:
    data = spec.data
    match data:
        case SampleData():
            rows_by_split = _sample(data)
            if not spec.text_only:
                return rows_by_split
            return {"train": [replace(row, label=None) for row in rows_by_split["train"]]}
        case FilesData():
            splits = [split for split in ("train", "validation", "test") if getattr(data, split) is not None]
            return {
                split: read_rows(
                    context.inputs[split],
                    spec.columns,
                    predict=spec.predict,
                    has_label=not spec.text_only,
                    layout=data.layout or USUAL_LAYOUT,
                )
                for split in splits
            }
        case HubData():
            name_by_split = {"train": data.train, "validation": data.validation}
            if not spec.text_only:
                name_by_split["test"] = data.test
            return {
                split: read_hub(
                    data.name,
                    subset=data.subset,
                    revision=data.revision,
                    split=name,
                    columns=spec.columns,
                    predict=spec.predict,
                    has_label=not spec.text_only,
                )
                for split, name in name_by_split.items()
                if name is not None
            }
        case never:
            assert_never(never)


def _sample(data: SampleData) -> dict[str, Sequence[Row]]:
    from layerscope.jobs.text.sample_corpus.sample_documents import sample_rows

    train, test = sample_rows(**data.model_dump(exclude={"source"}))
    return {
        split: [Row(id=row["id"], text=row["text"], label=row["label"]) for row in rows]
        for split, rows in (("train", train), ("test", test))
    }


def _with_validation(
    spec: PrepareSpec, rows_by_split: dict[str, Sequence[Row]], target: Target
) -> dict[str, Sequence[Row]]:
    train, drawing = rows_by_split["train"], spec.validation
    kept, held_out = split_of_texts(
        strata(train, target), texts_of_rows(train), fraction=drawing.fraction, seed=drawing.seed
    )
    drawn = {
        "train": [train[position] for position in kept],
        "validation": [train[position] for position in held_out],
    }
    return drawn | {split: rows for split, rows in rows_by_split.items() if split != "train"}


def _apart(rows: Sequence[Row]) -> list[Row]:
    """Each text of a pair as a row of its own, without choices."""
    seconds = [Row(f"{row.id}/pair", row.text_pair, row.label) for row in rows if row.text_pair is not None]
    return [Row(row.id, row.text, row.label) for row in rows] + seconds


def _encode(spec: PrepareSpec, rows: Sequence[Row], tokenizer: "Tokenizer") -> EncodedTexts:
    firsts, seconds = sequences_of(rows)
    are_pairs = seconds is not None and spec.pairs == "joined"
    encoded = encode(
        firsts,
        tokenizer,
        strategy=spec.truncation,
        max_length=spec.max_length,
        head_tokens=spec.head_tokens,
        pairs=seconds if are_pairs else None,
        window_overlap=spec.window_overlap or 0,
        max_windows=spec.max_windows or 1,
    )
    if spec.columns.choices is None or spec.pairs == "apart":
        return encoded
    return end_to_end(encoded, [len(row.choices or ()) for row in rows])


def _refuse_longer(split: str, rows: Sequence[Row], encoded: EncodedTexts, max_length: int) -> None:
    longest, row = max((max(of), row.id) for of, row in zip(_lengths(encoded), rows, strict=True))
    if longest > max_length:
        raise ValueError(
            f"{split}:{row}: {longest} tokens, but the plan says that no text has more than {max_length}; "
            "please report this: the planner's bound on tokens does not hold for this tokenizer"
        )


def _refuse_empty(split: str, rows: Sequence[Row], encoded: EncodedTexts) -> None:
    for row, lengths in zip(rows, _lengths(encoded), strict=True):
        if not all(lengths):
            raise ValueError(
                f"{split}:{row.id}: the tokenizer gives no token for this text, and adds no special "
                "tokens: remove the row, or add words"
            )


def _lengths(encoded: EncodedTexts) -> list[list[int]]:
    """Tokens of each sequence of each row."""
    return encoded.window_lengths or [[len(ids)] for ids in encoded.input_ids]


def _dataset(
    spec: PrepareSpec, rows: Sequence[Row], encoded: EncodedTexts, labels: Sequence[str]
) -> "Dataset":
    from datasets import Dataset, Features, List, Value

    of_rows = ROW_TARGETS["label" if spec.text_only else target_of(spec.columns, spec.predict)]
    columns = {"id": [row.id for row in rows], "input_ids": encoded.input_ids, **of_rows.stored(rows, labels)}
    features = {"id": Value("string"), "input_ids": List(Value("int32"))}
    features |= {
        name: Value(type) if isinstance(type, str) else List(Value(*type))
        for name, type in of_rows.types.items()
    }
    if spec.max_length is None:
        columns["texts"] = [[text for text in (row.text, row.text_pair) if text is not None] for row in rows]
        features["texts"] = List(Value("string"))
    if encoded.type_ids is not None:
        columns["type_ids"], features["type_ids"] = encoded.type_ids, List(Value("int8"))
    if encoded.window_lengths is not None:
        columns["window_lengths"], features["window_lengths"] = encoded.window_lengths, List(Value("int32"))
    return Dataset.from_dict(columns, features=Features(features))


def _metrics(encoded: EncodedTexts) -> dict[str, float]:
    return {
        "num_texts": float(len(encoded.input_ids)),
        "num_cut": float(encoded.num_cut),
        "tokens": float(sum(map(len, encoded.input_ids))),
        "tokens_lost": float(encoded.tokens_lost),
    }
