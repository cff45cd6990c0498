"""Custom model code: Python files in its folder that `auto_map` names, and the permission to execute them.

They are executed only if the experiment sets `trust_remote_code`, and only unchanged since planning: the
digest of an encoder, or of a custom tokenizer, then ends with that of the files. There is no prompt.
"""

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
"""Files whose `auto_map` names classes in files of the folder."""
KEY = "trust_remote_code"
"""The key of an encoder that permits its code."""
_MARK = "+"
_OTHER_REPOSITORY = "--"
_LOCK = ".layerscope.lock"


def with_code(digest: str, code: str | None) -> str:
    """The digest of something that is read by running code, if by any."""
    return digest if code is None else f"{digest}{_MARK}{code}"


def code_of(digest: str) -> str | None:
    """The digest of the permitted code in a digest of an encoder; None without permission."""
    return digest.partition(_MARK)[2] or None


def own_classes(folder: Path, file: str = CONFIG) -> tuple[str, ...]:
    """What `auto_map` names, as `modeling_mine.MyModel`; for tokenizers, of the tokenizer alone."""
    path = folder / file
    try:
        written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    named = written.get("auto_map") if isinstance(written, dict) else None
    if file == TOKENIZER_CONFIG and isinstance(named, dict):
        named = named.get("AutoTokenizer")
    return tuple(sorted(set(_names(named))))


def code_files(folder: Path) -> tuple[Path, ...]:
    """Every Python file that a class of the folder can be in, or import from beside itself."""
    return tuple(sorted(path for path in folder.glob("*.py") if path.is_file()))


def code_digest(folder: Path) -> str | None:
    """64 hexadecimal digits of a sha256 over the names and contents of `code_files`; none where no class is
    named.

    Raises:
        ValueError: a class is named in another repository, or in a file that is not there.
    """
    if not _modules(folder):
        return None
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in code_files(folder)}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def missing_code(folder: Path) -> list[str]:
    """Files that classes are named in and that the folder lacks.

    Raises:
        ValueError: a class is named in another repository.
    """
    return [f"{name}.py" for name in _named_modules(folder) if not (folder / f"{name}.py").is_file()]


def allow_code(folder: Path, code: str | None) -> bool:
    """Whether transformers is to run the folder's code; where it is, it lies where transformers imports it.

    Args:
        code: The digest of what may be run, from `code_of`.

    Raises:
        ValueError: the files are others, or need packages that are not installed.
    """
    if code is None:
        return False
    if (found := code_digest(folder)) != code:
        raise ValueError(
            f"the code in {folder} is not what was planned: its files have the digest {found}, not {code}; "
            "run again"
        )
    _place(folder)
    return True


def how_to_allow(folder: Path) -> str:
    """What someone writes who wants the folder's code to be run."""
    return (
        "to run it, which is code from outside with all of your rights, write "
        f"{_encoder_in_words(folder)} as the encoder (with analyze: --trust-remote-code, and "
        "owner/name@commit for a name on the Hub)"
    )


def _encoder_in_words(folder: Path) -> str:
    repository, snapshots, commit = ("", "", "", *folder.parts)[-3:]
    if snapshots == "snapshots" and repository.startswith("models--"):
        name = repository.removeprefix("models--").replace("--", "/")
        return f"{{hub: {name}, revision: {commit}, {KEY}: true}}"
    return f"{{folder: {folder}, {KEY}: true}}"


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _names(inner)


def _modules(folder: Path) -> tuple[str, ...]:
    if missing := missing_code(folder):
        raise ValueError(f"{folder} lacks {' and '.join(missing)}, where auto_map says that its classes are")
    return _named_modules(folder)


def _named_modules(folder: Path) -> tuple[str, ...]:
    """Names of the files that classes are in, without `.py`."""
    names = {name: file for file in (CONFIG, TOKENIZER_CONFIG) for name in own_classes(folder, file)}
    for name, file in names.items():
        if _OTHER_REPOSITORY in name:
            raise ValueError(
                f"{folder}: auto_map in {file} names {name}, which is code of another repository "
                f"({name.partition(_OTHER_REPOSITORY)[0]}), of which the experiment names no commit: it is "
                "not run. Copy its Python files and this folder's files into a folder of yours, and name the "
                f"classes there without what stands before {_OTHER_REPOSITORY}; or, if transformers has the "
                f"model's type, take {KEY} away"
            )
        if not re.fullmatch(r"[^./\\]+\.[^./\\]+", name):
            raise ValueError(f"{folder}: auto_map in {file} must name a class as module.Class, not {name!r}")
    return tuple(sorted({name.partition(".")[0] for name in names}))


def _place(folder: Path) -> None:
    """Have transformers copy the files to where it imports them from.

    All processes of a user share that place. transformers copies a file there that is not there yet without
    looking whether another process is at it, and that other one might import half a file. What is there and
    the same, it leaves alone.
    """
    from transformers.dynamic_module_utils import get_cached_module_file
    from transformers.utils import HF_MODULES_CACHE  # type: ignore[attr-defined]  # it is imported there

    try:
        with _one_at_a_time(Path(HF_MODULES_CACHE)):
            for module in _modules(folder):
                get_cached_module_file(str(folder), f"{module}.py", local_files_only=True)
    except (ImportError, OSError, SyntaxError) as error:
        raise ValueError(f"the code in {folder} cannot be run: {error}") from error


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
