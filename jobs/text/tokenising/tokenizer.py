"""A folder's tokenizer as transformers reads it: files, digest, and loading it without transformers.

A folder is read by `AutoTokenizer` only. Importing transformers takes seconds, so the result is cached
(`jobs.user_cache`); the `tokenizers` library (0.05 s) loads it.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.jobs.own_code import TOKENIZER_CONFIG, code_digest, own_classes, with_code
from layerscope.jobs.text.reading.file_kinds import refuse_pointers
from layerscope.jobs.user_cache import keep, kept, path_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILES = (
    "tokenizer.*json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "spiece.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "tiktoken.model",
    "tekken.json",
    "entity_vocab.json",
    "normalizer.json",
    "bpe.codes",
)
"""Every file, as a pattern, that a tokenizer may consist of; a folder has some of them."""
LIBRARIES = ("transformers", "tokenizers")
"""Libraries that read a folder: another version may read it differently."""
VERSION = 1
"""Increased by hand when the cached content, or how it is made, changes."""
DECIDING_FIELDS = ("model_type", "model_name", "tokenizer_class")
"""Fields of config.json that decide which transformers class reads the files."""


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """The files that define the tokenizer, without config.json, sorted by name.

    Raises:
        ValueError: there is none, or one is a Git LFS pointer.
    """
    found = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file()}
    if not found:
        raise ValueError(
            f"no tokenizer in {folder}: looked for tokenizer.json (any fast tokenizer) and for vocab.txt, "
            "vocab.json, spm.model and the other files that transformers makes one of"
        )
    refuse_pointers(sorted(found))
    return tuple(sorted(found))


def tokenizer_digest(folder: Path, *, runs_code: bool = False) -> str:
    """16 hexadecimal digits of a SHA-256 over what defines the tokenizer, without versions of libraries.

    It is the digest of the files, not of the loaded tokenizer: keys of stored results do not change when a
    library writes the same tokenizer differently.

    Args:
        runs_code: Whether the folder's own code may be run; if the tokenizer is such code, the digest ends
            with that of the code.

    Raises:
        ValueError: as in `tokenizer_files` and `code_digest`.
    """
    code = code_digest(folder) if runs_code and own_classes(folder, TOKENIZER_CONFIG) else None
    return with_code(_digest_of_files(folder), code)


def load_tokenizer(folder: Path, *, code: str | None = None) -> "Tokenizer":
    """A tokenizer with the ids of `AutoTokenizer.from_pretrained(folder)`; it neither truncates nor pads.

    Args:
        code: The digest of the folder's own code, if it may be run (`own_code.code_of`).

    Raises:
        ValueError: transformers cannot load a fast tokenizer from the folder, with the reason.
    """
    path = tokenizer_memory(folder, code=code)
    written = kept(path)
    if written is None:
        from layerscope.jobs.text.tokenising.auto_tokenizer import written_tokenizer  # Imports transformers.

        written = written_tokenizer(folder, code=code)
        keep(path, written)
    return _read(written)


def is_kept(folder: Path, *, code: str | None = None) -> bool:
    """Whether the folder's tokenizer can be loaded without transformers."""
    return tokenizer_memory(folder, code=code).is_file()


def tokenizer_memory(folder: Path, *parts: str, code: str | None = None) -> Path:
    """Cache path for facts about a folder's tokenizer; without parts, of the tokenizer itself."""
    digest = tokenizer_digest(folder, runs_code=code is not None)
    return path_of("tokenizers", str(VERSION), digest, *parts, libraries=LIBRARIES)


def _digest_of_files(folder: Path) -> str:
    hasher = hashlib.sha256()
    for path in tokenizer_files(folder):
        hasher.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    hasher.update(json.dumps(_deciding(folder), sort_keys=True).encode())
    return hasher.hexdigest()[:16]


def _read(written: str) -> "Tokenizer":
    """A tokenizer from a line of settings that tokenizer.json does not have, and a tokenizer.json."""
    from tokenizers import Tokenizer

    settings, _, content = written.partition("\n")
    tokenizer = Tokenizer.from_str(content)
    tokenizer.encode_special_tokens = json.loads(settings)["split_special_tokens"]
    return tokenizer


def _deciding(folder: Path) -> dict[str, Any]:
    path, settings = folder / "config.json", folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    config = json.loads(path.read_text(encoding="utf-8"))
    fields = [name for name in DECIDING_FIELDS if config.get(name) is not None]
    if settings.is_file() and "fix_mistral_regex" in settings.read_text(encoding="utf-8"):
        fields.append("transformers_version")  # What the setting does depends on who wrote the folder.
    return {name: config.get(name) for name in fields}
