"""The tokenizer that transformers' `AutoTokenizer` loads from a folder, or the reason why it cannot be used.

Code of a folder is executed only if the caller names its digest; there is no prompt.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

from layerscope.jobs.own_code import TOKENIZER_CONFIG, allow_code, how_to_allow, own_classes

WHOLE = "tokenizer.*json"
"""Files with a whole tokenizer: tokenizer.json, and those for one version of transformers."""
MODELS_OF_ANY_CLASS = ("tokenizer.model", "tiktoken.model", "tekken.json")
"""Vocabulary files that transformers looks for in addition to the files that a class names."""
UNUSUAL = "a ꙮ 𐍈 ☃ 猫"
"""A text with characters that few vocabularies have."""
WORD_MARKS = ("▁", "Ġ")
WORD_ENDS = ("@@", "</w>")
"""Of tokens that are no WordPiece's: SentencePiece, byte-level, and two kinds of byte-pair encoding."""
REASONS = {
    "BertJapaneseTokenizer": "its words are found by MeCab, Sudachi or Juman before they are cut into tokens",
    "BertweetTokenizer": "it rewrites tweets in Python before they are cut into tokens",
    "BioGptTokenizer": "its words are found by Moses' rules before they are cut into tokens",
    "CanineTokenizer": "its tokens are the numbers of characters, of which there is no vocabulary",
    "ByT5Tokenizer": "its tokens are bytes, of which there is no vocabulary",
    "PerceiverTokenizer": "its tokens are bytes, of which there is no vocabulary",
    "CpmTokenizer": "its words are found by jieba before they are cut into tokens",
    "EsmTokenizer": "its vocab.txt is a list of residues, looked up letter by letter, and no WordPiece",
    "FlaubertTokenizer": "its words are found by Moses' rules before they are cut into tokens",
    "PhobertTokenizer": "its words must be found by VnCoreNLP before they are cut into tokens",
    "RoCBertTokenizer": "it gives the shape and the sound of each token besides its id",
    "TapasTokenizer": "it reads tables",
    "XLMTokenizer": "its words are found by Moses' rules before they are cut into tokens",
}
"""Why a class of transformers has no fast form."""


def auto_tokenizer(folder: Path, *, code: str | None = None) -> PreTrainedTokenizerBase:
    """The fast tokenizer that `AutoTokenizer.from_pretrained(folder)` gives.

    Args:
        code: As in `load_tokenizer`.

    Raises:
        ValueError: it is code that may not be run, there is no fast tokenizer, files are missing or wrong, or
            its tokens are random.
    """
    is_code = bool(own_classes(folder, TOKENIZER_CONFIG))
    if is_code and code is None:
        raise ValueError(_not_allowed(folder))
    runs_code = is_code and allow_code(folder, code)
    declared = _declared_class(folder)
    if declared is None and not any(folder.glob(WHOLE)):
        raise ValueError(
            f"{folder}: neither tokenizer_class in tokenizer_config.json nor model_type in config.json says "
            "which class of transformers reads the tokenizer's files: write one, as BertTokenizer"
        )
    if declared is not None and not _is_fast(declared):
        raise ValueError(_not_fast(folder, declared))
    try:
        with _without_tiktokens_cache():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=runs_code, local_files_only=True
            )
    except Exception as error:  # Any error of reading the files.
        _refuse_missing_files(folder, None if declared is None else tokenizer_class_from_name(declared))
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{folder}: transformers cannot read the tokenizer{f' ({declared})' if declared else ''}: {told}"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(_not_fast(folder, type(tokenizer).__name__))
    _refuse_missing_files(folder, type(tokenizer))
    _refuse_other_vocabulary(folder, tokenizer)
    _refuse_random(folder, tokenizer)
    return tokenizer


def written_tokenizer(folder: Path, *, code: str | None = None) -> str:
    """The tokenizer as `tokenizer.load_tokenizer` reads it: a line of settings, and a tokenizer.json.

    Args:
        code: As of `load_tokenizer`.

    Raises:
        ValueError: as `auto_tokenizer`, or it cannot be written down.
    """
    read = auto_tokenizer(folder, code=code)
    backend = read.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    try:
        content: str = backend.to_str()
    except Exception as error:  # The library raises nothing narrower.
        raise ValueError(
            f"{folder}: {type(read).__name__} has parts in Python, which no tokenizer.json can hold "
            f"({error}): use an encoder whose tokenizer has none"
        ) from error
    _refuse_unknown(folder, read, Tokenizer.from_str(content))
    if "token_type_ids" not in read.model_input_names:
        content = _of_one_type(content)
    return json.dumps({"split_special_tokens": bool(read.split_special_tokens)}) + "\n" + content


def _of_one_type(content: str) -> str:
    """The tokenizer of which transformers gives no token types, so that an encoder takes all as 0."""
    whole = json.loads(content)
    whole["post_processor"] = _with_type_0(whole["post_processor"])
    return json.dumps(whole, ensure_ascii=False)


def _with_type_0(part: Any) -> Any:
    """A post-processor, or a part of one, whose tokens are all of type 0."""
    match part:
        case {"type": "BertProcessing", "cls": [cls, cls_id], "sep": [sep, sep_id]}:
            template = TemplateProcessing(
                single=f"{cls} $A {sep}",
                pair=f"{cls} $A {sep} $B {sep}",
                special_tokens=[(cls, cls_id), (sep, sep_id)],
            )
            return json.loads(template.__getstate__())
        case dict():
            return {name: 0 if name == "type_id" else _with_type_0(inner) for name, inner in part.items()}
        case list():
            return [_with_type_0(inner) for inner in part]
        case _:
            return part


def name_class(folder: Path, name: str) -> None:
    """Write the transformers class of the folder's tokenizer to tokenizer_config.json."""
    path = folder / "tokenizer_config.json"
    settings = _json(path) | {"tokenizer_class": name}
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _not_allowed(folder: Path) -> str:
    names = " and ".join(own_classes(folder, TOKENIZER_CONFIG))
    return (
        f"{folder}: the tokenizer is code of the folder's own (auto_map in {TOKENIZER_CONFIG} names "
        f"{names}), which is not run unless the experiment says so: {how_to_allow(folder)}; or use "
        "an encoder whose tokenizer transformers has; or, where tokenizer.json holds all of it, take "
        f'auto_map out of {TOKENIZER_CONFIG} and write "tokenizer_class": "PreTrainedTokenizerFast" there'
    )


def _declared_class(folder: Path) -> str | None:
    """The class that the folder names, or that belongs to its model."""
    config = _json(folder / "config.json")
    written = _json(folder / "tokenizer_config.json").get("tokenizer_class") or config.get("tokenizer_class")
    return written or TOKENIZER_MAPPING_NAMES.get(config.get("model_type", ""))


def _is_fast(name: str) -> bool:
    """Whether a class makes fast tokenizers; True for names that transformers does not know."""
    found: object = tokenizer_class_from_name(name)  # A function of transformers has a name too.
    return found is None or not isinstance(found, type) or issubclass(found, PreTrainedTokenizerFast)


def _not_fast(folder: Path, name: str) -> str:
    why = REASONS.get(name, "its rules are in Python, and no tokenizer.json can hold them")
    return (
        f"{folder}: the tokenizer is {name}, of which transformers has no fast form: {why}. Use an encoder "
        "with a fast tokenizer; or, if the same rules can be written as a tokenizer.json, write them with "
        f"the tokenizers library (Tokenizer(...).save({str(folder / 'tokenizer.json')!r})), and "
        '"tokenizer_class": "PreTrainedTokenizerFast" into tokenizer_config.json'
    )


def _refuse_missing_files(folder: Path, kind: type[PreTrainedTokenizerBase] | None) -> None:
    """Reject missing vocabulary files: a class would silently use a vocabulary of only special tokens."""
    if kind is None or any(folder.glob(WHOLE)):
        return
    names = kind.vocab_files_names
    needed = [name for role, name in names.items() if role in ("vocab_file", "merges_file")]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing and not any((folder / name).is_file() for name in MODELS_OF_ANY_CLASS):
        raise ValueError(
            f"{folder}: {kind.__name__} reads tokenizer.json, or {' and '.join(needed)}, and the "
            f"folder has no {' and no '.join(missing)}: put the tokenizer's files there, or name the class "
            "that wrote those that are there as tokenizer_class in tokenizer_config.json"
        )


def _refuse_other_vocabulary(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """A WordPiece of tokens that another kind of tokenizer marks would know no word."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] != "WordPiece":
        return
    tokens = list(model["vocab"])
    marked = [token for token in tokens if token.startswith(WORD_MARKS) or token.endswith(WORD_ENDS)]
    prefix = model["continuing_subword_prefix"]
    if len(marked) > len(tokens) / 10 and not any(token.startswith(prefix) for token in tokens):
        raise ValueError(
            f"{folder}: {type(tokenizer).__name__} reads the vocabulary as a WordPiece, whose tokens go on "
            f"with a word after {prefix}, and none does; {len(marked)} of {len(tokens)} are marked as in "
            f"another kind of tokenizer (as {marked[0]!r}), so every word would be unknown: name the class "
            "that wrote it as tokenizer_class in tokenizer_config.json"
        )


def _refuse_random(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    dropout = getattr(tokenizer.backend_tokenizer.model, "dropout", None)
    if dropout:
        raise ValueError(
            f"{folder}: the tokenizer leaves out merges at random (dropout {dropout:g}), so the same text "
            'becomes other tokens each time: write "dropout": null in tokenizer.json'
        )


def _refuse_unknown(folder: Path, read: PreTrainedTokenizerBase, tokenizer: Tokenizer) -> None:
    try:
        tokenizer.encode(UNUSUAL)
    except Exception as error:  # The library raises nothing narrower.
        raise ValueError(
            f"{folder}: {type(read).__name__} fails on characters that its vocabulary lacks ({error}): the "
            f"unknown token, {read.unk_token!r}, must be one of the vocabulary's; name it as unk_token in "
            "tokenizer_config.json, or the class that wrote the files as tokenizer_class"
        ) from error


@contextmanager
def _without_tiktokens_cache() -> Iterator[None]:
    """Disable the cache of the tiktoken library, whose key is only the path: it would miss a changed file."""
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
