"""Models that were trained elsewhere as an experiment: each is frozen, and its layers are measured."""

import os
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.experiment import MOST_LETTERS
from layerscope.orchestrator.experiment.task_files import read_task
from layerscope.orchestrator.store.artifacts import Store

PACKAGE = "package:"
MLFLOW = ("models:/", "runs:/")
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_KEY = re.compile(r"[0-9a-f]{6,16}")
_MODEL_KINDS = ("finetune", "pretrain", "multitask")


def analysis(
    name: str,
    models: Sequence[str],
    tasks: Sequence[Path],
    *,
    store: Path,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """What an experiment file would say: the models as encoders, with a linear head on their last layer.

    Args:
        models: Each a folder, the key of a trained model in the store (or its first six digits or more),
            `package:NAME`, `models:/...` or `runs:/...` of MLflow, or a name on the Hub, after which `@` and
            a commit, branch or tag may stand.
        tasks: Task files. Annotated sentences are probed, texts are classified too.
        trust_remote_code: Whether code of their own is run, of those in folders and on the Hub.

    Raises:
        ConfigurationError: a name that is none, a task file that is wrong, no task of texts, or a key with
            several meanings.
    """
    if re.fullmatch(_NAME, name) is None:
        raise ConfigurationError(
            f"--name: must be letters, digits, '_', '.' and '-', the first a letter or digit, not {name!r}"
        )
    if len(name) > MOST_LETTERS:
        raise ConfigurationError(f"--name: must have at most {MOST_LETTERS} letters, not {len(name)}")
    sources = _named(models, store, trust_remote_code=trust_remote_code)
    texts: list[str] = []
    of_units: list[str] = []
    for path in tasks:
        (of_units if read_task(path, os.environ).has_units else texts).append(str(path.absolute()))
    if not texts:
        raise ConfigurationError(
            "--task: name at least one task of texts; annotated sentences are probed beside it"
        )
    return {
        "experiment": name,
        "description": f"Layers of {', '.join(models)}.",
        "encoder": next(iter(sources.values())),
        "encoders": sources,
        "tasks": texts,
        "probing": of_units,
        "recipe": {"features": "last", "pooling": "mean", "learning_rate": 1e-3, "epochs": 20},
        "grid": {"encoder": list(sources)},
    }


def analysis_yaml(written: Mapping[str, Any]) -> str:
    """The file's text."""
    yaml, out = YAML(), StringIO()
    yaml.width = 1000
    yaml.dump(dict(written), out)
    return out.getvalue()


def _named(models: Sequence[str], store: Path, *, trust_remote_code: bool) -> dict[str, dict[str, Any]]:
    """A source for each model, under a short name; of two alike the later is numbered."""
    sources: dict[str, dict[str, Any]] = {}
    for model in models:
        source: dict[str, Any] = _source(model, store)
        if trust_remote_code and ("folder" in source or "hub" in source):
            source["trust_remote_code"] = True
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", _short(source.get("hub", model))).lstrip("-_.") or "model"
        number, name = 1, stem
        while name in sources or name == "main":
            number += 1
            name = f"{stem}-{number}"
        sources[name] = source
    return sources


def _short(model: str) -> str:
    for prefix in MLFLOW:
        if model.startswith(prefix):
            return model.removeprefix(prefix)  # best/1: the last part alone is a version
    return model.removeprefix(PACKAGE).rstrip("/").rpartition("/")[2]


def _source(model: str, store: Path) -> dict[str, str]:
    if model.startswith(PACKAGE):
        return {"package": model.removeprefix(PACKAGE)}
    if model.startswith(MLFLOW):
        return {"mlflow": model}
    if Path(model).is_dir():
        return {"folder": str(Path(model).absolute())}
    if model.startswith((".", "/", "~")):
        raise ConfigurationError(f"there is no folder {model}")
    stored = _stored(model, store) if _KEY.fullmatch(model) else []
    if len(stored) > 1:
        found = ", ".join(folder.name for folder in stored)
        raise ConfigurationError(f"{model} is the beginning of several keys: {found}")
    if stored:
        return {"folder": str(stored[0])}
    repository, at, revision = model.partition("@")
    return {"hub": repository, "revision": revision} if at else {"hub": model}


def _stored(beginning: str, store: Path) -> list[Path]:
    """Artifacts of trained encoders whose key begins so."""
    opened = Store(store)
    return [
        folder
        for kind in _MODEL_KINDS
        for folder in sorted((opened.root / kind).glob(f"{beginning}*"))
        if (folder / "config.json").exists()
    ]
