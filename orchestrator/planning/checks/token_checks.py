"""Whether a tokenizer is usable, gives the tokens of transformers, and adds the required special tokens."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from layerscope.jobs.artifacts.token_sample import Texts
from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.jobs.text.tokenising.same_tokens import is_known
from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.jobs.text.tokenising.token_samples import sample_of, sequences_in
from layerscope.jobs.text.tokenising.tokenless import tokenless
from layerscope.jobs.text.tokenising.unknown_tokens import Unknown, unknown_in
from layerscope.orchestrator.experiment.experiment import Experiment, encoder_fault
from layerscope.orchestrator.experiment.variants import grid_cells, values_in
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.fresh_process import call_apart
from layerscope.orchestrator.planning.sources.sources import AnnotatedSource, TaskSource

MOST_TOLD = 10
"""Maximum rows of a task that are listed."""
MUCH_UNKNOWN = 0.05
"""Share of unknown tokens from which the plan warns."""
LETTERS_SHOWN = 60
"""Of a text."""


def token_faults(
    encoders: Mapping[str, LocatedEncoder], sources: Sequence[TaskSource | AnnotatedSource]
) -> dict[str, Fault]:
    """The faults of encoders whose tokenizer cannot be used, or gives some text other tokens, by their name.

    Afterwards, loading the tokenizer of any other encoder does not need transformers. Results are cached.
    """
    samples = [sample_of(sequences) for sequences in map(_sequences_by_split, sources) if sequences] or [[]]
    unknown = {
        name: [sample for sample in samples if not is_known(encoder.folder, sample, code=encoder.code)]
        for name, encoder in encoders.items()
    }
    asked = {name: (str(encoders[name].folder), of) for name, of in unknown.items() if of}
    if not asked:
        return {}
    told = call_apart(
        "layerscope.jobs.text.tokenising.same_tokens:faults_of",
        samples_by_folder=dict(asked.values()),
        code_by_folder={folder: encoders[name].code for name, (folder, _) in asked.items()},
    )
    return {name: encoder_fault(name, told[folder]) for name, (folder, _) in asked.items() if folder in told}


def frame_faults(experiment: Experiment, encoder: LocatedEncoder, name: str) -> Iterator[Fault]:
    """Factors that need special tokens that the tokenizer does not add.

    Args:
        name: Of the encoder in the experiment.
    """
    before, after = frame_of(encoder.tokenizer, num_parts=1).special
    if before and after:
        return
    cells = [cell for cell in grid_cells(experiment) if name in values_in(experiment, cell, "encoder")]
    why = f"the tokenizer of {encoder.name} adds no special token"
    mend = "or add a post-processor with special tokens to its tokenizer.json"
    if not before and any(not task.has_units for task in (*experiment.tasks, *experiment.probing)):
        pooled = [cell for cell in cells if _pools(experiment, cell)]
        asked = {str(value) for cell in pooled for value in values_in(experiment, cell, "pooling")}
        for pooling in sorted(asked & {"cls", "pooler"}):
            message = (
                f"{why} such as [CLS] before a text, so {pooling} would read its first word: use mean, {mend}"
            )
            yield factor_fault("pooling", message)
    starts = {str(value) for cell in cells for value in values_in(experiment, cell, "pretraining")}
    for first in sorted({start.partition("@")[0] for start in starts} - {"none"}):
        joint = experiment.multi_task.get(first)
        if joint is None:
            message = (
                f"{why}s such as [CLS] and [SEP] around a text, as its blocks need: "
                f"{mend.removeprefix('or ')}"
            )
            yield Fault(("pretraining", first), message)
        elif joint.pooling == "cls" and not before:
            message = f"{why} such as [CLS] before a text: use mean, {mend}"
            yield Fault(("multi_task", first, "pooling"), message)


def tokenless_faults(
    encoder: LocatedEncoder, sources: Mapping[str, TaskSource | AnnotatedSource]
) -> Iterator[Fault]:
    """Rows without any token; none if the tokenizer adds special tokens."""
    tokenizer = encoder.tokenizer
    for name, source in sources.items():
        places = [
            place
            for split, sequences in _sequences_by_split(source).items()
            for place in _places(source, split, tokenless(sequences, tokenizer))
        ]
        rows = list(dict.fromkeys(places))
        for row in rows[:MOST_TOLD]:
            message = (
                f"task {name}: {row}: the tokenizer of {encoder.name} gives no token for this text, and adds "
                "no special tokens: remove the row, or add words"
            )
            yield Fault((), message)
        if len(rows) > MOST_TOLD:
            yield Fault((), f"task {name}: and {len(rows) - MOST_TOLD} more such rows")


def unknown_notes(encoders: Iterable[LocatedEncoder], source: TaskSource | AnnotatedSource) -> Iterator[str]:
    """Warnings about many unknown tokens in a task's texts."""
    sequences = [texts for of in _sequences_by_split(source).values() for texts in of]
    texts = list(dict.fromkeys(text for sequence in sequences for text in sequence))
    for encoder in {encoder.tokenizer_digest: encoder for encoder in encoders}.values():
        found = unknown_in(encoder.folder, texts, code=encoder.code)
        told = list(_unknown_told(found))
        if told:
            where = f"with the tokenizer of {encoder.name}, of {found.num_texts:,} checked texts"
            yield f"{where}, {'; '.join(told)}"


def _unknown_told(found: Unknown) -> Iterator[str]:
    if found.lost is not None:
        left = "no token" if found.token is None else f"no token but {found.token}"
        yield f"{found.num_lost:,} have {left}, as {_shown(found.lost)}"
    if found.most is not None and found.share >= MUCH_UNKNOWN:
        yield f"{found.share:.0%} of all tokens are {found.token}, most in {_shown(found.most)}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= LETTERS_SHOWN else f"{text[:LETTERS_SHOWN]}...")


def _pools(experiment: Experiment, cell: Mapping[str, object]) -> bool:
    """Whether any head of a grid cell pools tokens: the LSTM on frozen features does not."""
    return None in values_in(experiment, cell, "features") or "linear" in values_in(experiment, cell, "head")


def _sequences_by_split(source: TaskSource | AnnotatedSource) -> dict[str, list[Texts]]:
    """Texts of a task as an encoder reads them; empty if the planner did not read its texts."""
    if isinstance(source, AnnotatedSource):
        return {split: [one.texts() for one in of] for split, of in source.sentences.items()}
    rows_by_split = {} if source.texts is None else source.texts.rows_by_split
    return {split: sequences_in(rows) for split, rows in rows_by_split.items()}


def _places(source: TaskSource | AnnotatedSource, split: str, places: Iterator[int]) -> Iterator[str]:
    """File and row, or split and row where there is no file, of sequences by their place."""
    file = Path(source.files[split]).name if split in source.files else split
    ids = _ids_of_sequences(source, split)
    return (f"{file}:{ids[place]}" for place in places)


def _ids_of_sequences(source: TaskSource | AnnotatedSource, split: str) -> list[str]:
    if isinstance(source, AnnotatedSource):
        return [sentence.id for sentence in source.sentences[split]]
    assert source.texts is not None
    return [row.id for row in source.texts.rows_by_split[split] for _ in row.choices or (None,)]
