"""Experiments on a folder that looks like an encoder, and artifacts made by hand: nothing is trained."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import BertWordPieceTokenizer

from layerscope.jobs.artifacts.curves import CURVES
from layerscope.jobs.specs.encoders import EncoderFacts
from layerscope.orchestrator.planning.locating import look_at
from layerscope.orchestrator.planning.plan import Plan, PlannedVariant, Stage, labels_of
from layerscope.orchestrator.store.artifacts import Store
from layerscope.orchestrator.store.provenance import provenance
from layerscope.orchestrator.workspace import DIGESTS, Workspace
from tests.tiny import read_experiment

SAMPLE = {"source": "sample", "target": "topic", "num_train": 20, "num_test": 10}
LONG = SAMPLE | {"length": "long"}
BEGAN = 1_700_000_000.0
"""Unix seconds."""


@dataclass
class Bench:
    """One test's folder."""

    root: Path
    num_finished: int = 0

    @property
    def store(self) -> Path:
        return self.root / "store"

    def encoder(self, **config: Any) -> Path:
        """What the planner looks at: every word is one unknown token, and the weights are no weights.

        Its facts are those that `facts_as_written` finds in the configuration.
        """
        folder = self.root / "encoder"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"} | config))
        (folder / "model.safetensors").write_bytes(b"weights")
        words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")
        BertWordPieceTokenizer({word: number for number, word in enumerate(words)}).save(
            str(folder / "tokenizer.json")
        )
        settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder

    def write(self, **changes: Any) -> Path:
        """An experiment of one task with short texts; changes replace whole keys, and None removes them."""
        if not (self.root / "encoder").exists():
            self.encoder()
        experiment = {
            "experiment": "bench",
            "encoder": {"folder": str(self.root / "encoder")},
            "tasks": [{"task": "topic", "data": SAMPLE}],
            "recipe": {"max_length": 400},
        } | changes
        path = self.root / "bench.yaml"
        written = {key: value for key, value in experiment.items() if value is not None}
        path.write_text(json.dumps(written), encoding="utf-8")
        return path

    def open(self, **changes: Any) -> Workspace:
        """The experiment opened; faults of planning are told without the places of `open_workspace`."""
        experiment = read_experiment(self.write(**changes), environ=os.environ)
        store = Store(self.store)
        memory = store.root / DIGESTS if store.root.is_dir() else None
        return Workspace(experiment, look_at(experiment, memory=memory), store)

    def plan(self, **changes: Any) -> Plan:
        return self.open(**changes).schedule().plan

    def finish(
        self, stage: Stage, labels: Mapping[str, Any], *curves: dict[str, Any], **scores: float
    ) -> None:
        """Put an artifact into the store, a minute after the one before."""
        self.num_finished += 1
        store = Store(self.store)
        write_curves(store, stage, *curves)
        origin = provenance(started=BEGAN + 60 * self.num_finished, seconds=1.0) | {"variant": dict(labels)}
        with store.writing(stage) as aside:
            store.commit(stage, aside, metrics=scores, provenance=origin)


def has_weights(folder: Path) -> bool:
    """Whether an encoder can be loaded; that of a bench cannot."""
    return not (folder / "model.safetensors").is_file() or (folder / "model.safetensors").stat().st_size > 100


def facts_as_written(folder: Path) -> EncoderFacts:
    """Those of a bench's encoder: what its config.json says, and of what it does not say those of a BERT."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = config.get("model_type", "bert")
    is_causal = kind == "gpt2"
    facts = {
        "model_type": kind,
        "num_layers": config.get("num_hidden_layers", config.get("n_layer", 12)),
        "width": config.get("hidden_size", 768),
        "vocabulary": 100,
        "positions": config.get("max_position_embeddings", config.get("n_positions")),
        "is_causal": is_causal,
        "shares_layers": kind == "albert",
        "cut_fault": None,
        "has_pooler": False,
        "has_masked_head": not is_causal,
        "has_next_sentence_head": kind == "bert",
        "above": (),
        "unread": (),
    }
    return EncoderFacts(**facts | config.get("facts", {}))


def finish_variant(bench: Bench, variant: PlannedVariant, **scores: float) -> None:
    """Finish a variant's training with these metrics, their names written with __ for /."""
    named = {name.replace("__", "/"): value for name, value in scores.items()}
    bench.finish(variant.stages["finetune"], labels_of(variant), **named)


def write_curves(store: Store, stage: Stage, *curves: dict[str, Any]) -> None:
    """Leave a point for each of `{"step": ..., metric: value}` in the stage's scratch."""
    lines = [
        json.dumps(
            {"step": point["step"], "time": BEGAN, "values": {k: v for k, v in point.items() if k != "step"}}
        )
        for point in curves
    ]
    if lines:
        (store.scratch(stage) / CURVES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def keys(plan: Plan, *kinds: str) -> set[str]:
    """Keys of all stages, or of those of some kinds."""
    return {stage.key for stage in plan.stages().values() if not kinds or stage.kind in kinds}
