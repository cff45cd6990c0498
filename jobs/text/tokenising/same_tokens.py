"""Checks on real texts of a task that layerscope's token ids are those of `AutoTokenizer`.

So an exported model gets the same tokens from `AutoTokenizer` as in training, or the check fails.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.jobs.artifacts.token_sample import Texts, Tokenised
from layerscope.jobs.text.tokenising.token_samples import tokenised
from layerscope.jobs.text.tokenising.tokenizer import is_kept, load_tokenizer, tokenizer_memory
from layerscope.jobs.user_cache import keep

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENS_SHOWN = 8
"""Number of tokens shown before and after the first difference."""
PREPARED_OTHERWISE = (
    "the tokenizer's files, or the version of transformers, are others than when the texts were prepared"
)


def is_known(folder: Path, sample: Sequence[Texts], *, code: str | None = None) -> bool:
    """Whether these texts passed `check_sample` before, and the tokenizer can be loaded without
    transformers."""
    return is_kept(folder, code=code) and _mark(folder, sample, code).is_file()


def faults_of(
    samples_by_folder: Mapping[str, Sequence[Sequence[Sequence[str]]]],
    code_by_folder: Mapping[str, str | None],
) -> dict[str, str]:
    """The error of each folder whose tokenizer does not pass `check_sample` on all of its samples.

    Args:
        code_by_folder: As `code` in `load_tokenizer`.
    """
    told = {}
    for folder, samples in samples_by_folder.items():
        try:
            for sample in samples:
                check_sample(folder, sample, code=code_by_folder[folder])
        except ValueError as error:
            told[folder] = str(error)
    return told


def check_sample(folder: str, sample: Sequence[Sequence[str]], *, code: str | None = None) -> None:
    """Compare the folder's tokenizer, as stages use it, with transformers' on some sequences; a pass is
    cached.

    Args:
        code: As in `load_tokenizer`.

    Raises:
        ValueError: the tokenizer cannot be used, as in `load_tokenizer`, or a sequence has other tokens.
    """
    place, sequences = Path(folder), [tuple(texts) for texts in sample]
    mark = _mark(place, sequences, code)
    if mark.is_file():
        return
    tokenizer = load_tokenizer(place, code=code)
    parts = [(text,) for texts in sequences for text in texts]
    check_same_tokens(place, tokenised(list(dict.fromkeys([*sequences, *parts])), tokenizer), code=code)
    keep(mark, "")


def check_same_tokens(
    folder: Path, known: Sequence[Tokenised], *, cause: str | None = None, code: str | None = None
) -> None:
    """Compare the given tokens of some sequences with those of `AutoTokenizer.from_pretrained(folder)`.

    Args:
        code: As in `load_tokenizer`.
        cause: Why they may differ; by default, that the class does more than its tokenizer.json.

    Raises:
        ValueError: a sequence has other tokens there, or other token types that the encoder reads; the
            message shows both.
    """
    from layerscope.jobs.text.tokenising.auto_tokenizer import auto_tokenizer

    theirs = auto_tokenizer(folder, code=code)
    reads_types = _num_types(folder) > 1
    cause = cause or (
        f"{type(theirs).__name__} does more in Python than its tokenizer.json says, so it cannot be used here"
    )
    for one in known:
        found = _called(theirs, one, folder)
        ids = list(found["input_ids"])
        if list(one.input_ids) != ids:
            ours, others = _around(theirs, list(one.input_ids), ids)
            raise ValueError(
                f"{folder}: the text {_shown(one.texts)} has the tokens {ours}, and from AutoTokenizer "
                f"{others}: {cause}"
            )
        types = found.get("token_type_ids", [0] * len(ids))
        own = one.type_ids or [0] * len(ids)
        if reads_types and list(own) != list(types):
            why = (
                "special tokens with a type of their own are not given to the encoder here: use another"
                if "token_type_ids" in found
                else "model_input_names in tokenizer_config.json lacks token_type_ids"
            )
            raise ValueError(
                f"{folder}: the text {_shown(one.texts)} has the token types {list(own)}, and from "
                f"AutoTokenizer {list(types)}: {why}"
            )


def _mark(folder: Path, sample: Sequence[Texts], code: str | None) -> Path:
    """The file that marks a sample as passed; whether token types matter depends on the encoder."""
    texts = json.dumps([list(texts) for texts in sample])
    types = _config(folder).get("type_vocab_size")
    return tokenizer_memory(folder, str(types), hashlib.sha256(texts.encode()).hexdigest(), code=code)


def _num_types(folder: Path) -> int:
    """Number of token types of the encoder; 0 if it reads none, or there is no encoder."""
    from transformers import CONFIG_MAPPING

    config = _config(folder)
    kind = config.get("model_type", "")
    usual = getattr(CONFIG_MAPPING[kind], "type_vocab_size", 0) if kind in CONFIG_MAPPING else 0
    return config.get("type_vocab_size", usual) or 0


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _called(tokenizer: "PreTrainedTokenizerBase", one: Tokenised, folder: Path) -> dict[str, list[int]]:
    try:
        called: dict[str, list[int]] = tokenizer(*one.texts)
        return called
    except (
        Exception
    ) as error:  # Classes of pages, tables and speech ask for more than texts, each in its way.
        raise ValueError(
            f"{folder}: {type(tokenizer).__name__} takes no texts alone ({error}): use an encoder of texts"
        ) from error


def _around(tokenizer: "PreTrainedTokenizerBase", *sides: list[int]) -> Iterator[str]:
    """The tokens of each side around the first difference."""
    first = next(
        (place for place, (a, b) in enumerate(zip(*sides, strict=False)) if a != b), min(map(len, sides))
    )
    start = max(0, first - TOKENS_SHOWN)
    for ids in sides:
        shown = tokenizer.convert_ids_to_tokens(ids[start : first + TOKENS_SHOWN])
        before, after = "... " if start else "", " ..." if len(ids) > first + TOKENS_SHOWN else ""
        yield f"{before}{' '.join(map(str, shown))}{after}"


def _shown(texts: Texts) -> str:
    return " + ".join(repr(text if len(text) <= 80 else f"{text[:80]}...") for text in texts)
