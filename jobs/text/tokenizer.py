"""A folder's fast tokenizer: its files and their digest, and loading it.

Only the `tokenizers` library is used, which imports in 0.05 s: the planner may look at texts. Where a folder
has a `tokenizer.json`, that file alone says how text becomes tokens.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "added_tokens.json",
)
"""Every file that a tokenizer may consist of; a folder has some of them."""


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """The files that decide what the tokenizer does.

    Raises:
        ValueError: the folder has no tokenizer that can be loaded.
    """
    whole, vocabulary = folder / "tokenizer.json", folder / "vocab.txt"
    settings = folder / "tokenizer_config.json"
    if whole.is_file():
        return (whole,)
    if vocabulary.is_file():
        return (vocabulary, settings) if settings.is_file() else (vocabulary,)
    raise ValueError(
        f"no tokenizer in {folder}: looked for tokenizer.json (any fast tokenizer) "
        "and vocab.txt (WordPiece, as BERT's)"
    )


def tokenizer_digest(folder: Path) -> str:
    """16 hexadecimal digits of a sha256 over the names and bytes of `tokenizer_files`."""
    hasher = hashlib.sha256()
    for path in tokenizer_files(folder):
        hasher.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return hasher.hexdigest()[:16]


def load_tokenizer(folder: Path) -> "Tokenizer":
    """The folder's tokenizer, with any truncation and padding that its file asks for switched off."""
    from tokenizers import Tokenizer

    path = tokenizer_files(folder)[0]
    if path.name == "vocab.txt":
        return _wordpiece(folder)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _wordpiece(folder: Path) -> "Tokenizer":
    from tokenizers import BertWordPieceTokenizer, Tokenizer
    from tokenizers.models import WordPiece

    settings_file = folder / "tokenizer_config.json"
    settings = json.loads(settings_file.read_text(encoding="utf-8")) if settings_file.is_file() else {}
    wrapped = BertWordPieceTokenizer(
        WordPiece.read_file(str(folder / "vocab.txt")),
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    return Tokenizer.from_str(wrapped.to_str())
