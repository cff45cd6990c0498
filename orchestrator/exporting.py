"""The export command: a stored fine-tuning by its key, and what belongs to it in the store."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from layerscope.jobs.artifacts.record import RECORD, read_record
from layerscope.jobs.own_code import code_of
from layerscope.orchestrator.errors import ConfigurationError, PrerequisiteMissing
from layerscope.orchestrator.execution.serial import quieten
from layerscope.orchestrator.store.artifacts import Store

if TYPE_CHECKING:
    from layerscope.jobs.model_card import Facts
    from layerscope.jobs.specs.targets import MetricName


def export_variant(
    key: str,
    *,
    store: Store,
    out: Path,
    layers: str,
    tolerance: str,
    head: Literal["tuned", "refitted"],
) -> "Facts":
    """Write the shortened model of the fine-tuning whose key begins so; the folder is whole or not there.

    Raises:
        ConfigurationError: no fine-tuning or several have such a key, an option is wrong, or the model
            cannot be shortened in this way.
        PrerequisiteMissing: there is no store, or it lacks what belongs to the fine-tuning.
    """
    record = _record(store, key)
    number, lost = _layers(layers), _tolerance(tolerance)
    refitted = _refitted(store, record) if head == "refitted" else None
    data = store.root / "prepare" / record["parents"]["data"]
    prepared = _prepared(store, record)
    _refuse_own_code(record)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"--out: {out} is there already: name an empty folder or a new one")
    quieten()
    from layerscope.jobs.export import export_model

    with _aside(out) as folder:
        try:
            return export_model(
                store.root / "finetune" / record["key"],
                data,
                folder,
                layers=number,
                tolerance=lost,
                refitted=refitted,
                variant=record["key"],
                max_length=prepared["spec"]["max_length"],
                truncation=prepared["spec"]["truncation"],
                metric=_metric(record),
            )
        except ValueError as error:
            raise ConfigurationError(f"variant {record['key']}: {error}") from error


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` once it was filled without an error."""
    folder = out.absolute().with_name(f".{out.name}-{os.getpid()}")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise PrerequisiteMissing(f"--out: {out} cannot be written: {error.strerror}") from error
    try:
        yield folder
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _record(store: Store, key: str) -> dict[str, Any]:
    if not store.root.is_dir():
        raise PrerequisiteMissing(f"there is no store {store.root}: name one with --store")
    records = list(store.records("finetune"))
    found = [record for record in records if key and record["key"].startswith(key)]
    if len(found) == 1:
        return found[0]
    if not found:
        known = ", ".join(map(_named, records)) or "none"
        raise ConfigurationError(
            f"no fine-tuning of {store.root} has a key that begins with {key!r}; known: {known}"
        )
    several = ", ".join(map(_named, found))
    raise ConfigurationError(f"the keys of {len(found)} fine-tunings begin with {key!r}: {several}")


def _refuse_own_code(record: dict[str, Any]) -> None:
    if code_of(record["spec"]["encoder"]) is not None:
        raise ConfigurationError(
            f"variant {record['key']}: its encoder is code of its own, and what is exported is a model "
            "that transformers loads without any. The folder of the fine-tuning in the store has encoder, "
            "code and head: AutoModel loads it with trust_remote_code=True"
        )


def _named(record: dict[str, Any]) -> str:
    variant = record["provenance"].get("variant", {})
    return f"{record['key']} ({variant['task']}, seed {variant['seed']})" if variant else record["key"]


def _refitted(store: Store, record: dict[str, Any]) -> Path:
    """The heads on the model's own texts that were fitted to most examples."""
    own = {"model": record["key"], "data": record["parents"]["data"]}
    states = {one["key"] for one in store.records("text_states") if one["parents"] == own}
    heads = [one for one in store.records("refit") if one["parents"]["states"] in states]
    if not heads:
        raise PrerequisiteMissing(
            f"variant {record['key']} has no refitted heads in the store: run its experiment with "
            "measures.refit=true first"
        )
    best = max(heads, key=lambda one: one["metrics"]["train/examples"])
    return store.root / "refit" / str(best["key"])


def _prepared(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """The record of the texts that it was tuned on."""
    data = record["parents"]["data"]
    if (store.root / "tokenise_annotations" / data).is_dir():
        raise ConfigurationError(
            f"variant {record['key']}: its head reads marked words or spans, and what is exported reads "
            "whole texts: no model of transformers' own knows which tokens are marked"
        )
    prepared = _record_in(store.root / "prepare" / data)
    if prepared["spec"]["columns"].get("answers") is not None:
        raise ConfigurationError(
            f"variant {record['key']}: several of a row's choices may be right, and what is exported chooses "
            "one"
        )
    return prepared


def _record_in(folder: Path) -> dict[str, Any]:
    if not (folder / RECORD).exists():
        raise PrerequisiteMissing(
            f"the texts that it was tuned on, {folder}, are not there: run its experiment again"
        )
    return read_record(folder)


def _metric(record: dict[str, Any]) -> "MetricName | None":
    """The built-in metric that selected the model; none where its task type's does, or the user's own."""
    selected_by = record["spec"].get("selected_by")
    return selected_by if isinstance(selected_by, str) else None


def _layers(written: str) -> int | Literal["auto"]:
    if written == "auto":
        return "auto"
    if not re.fullmatch(r"[1-9][0-9]*", written):
        raise ConfigurationError(f"--layers: must be auto or a whole number of at least 1, not {written!r}")
    return int(written)


def _tolerance(written: str) -> float:
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*%", written)
    share = float(found[1]) / 100 if found else None
    if share is None or share >= 1:
        raise ConfigurationError(f"--tolerance: must be a percentage below 100 %, as 0.5%, not {written!r}")
    return share
