"""An encoder of 2 layers x 32 with random weights, and experiments on the sample corpus that take seconds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerscope.jobs.text.sample_corpus.sample_documents import sample_rows
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.reading import read_with_places

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
POSITIONS = 64


def make_encoder(folder: Path, *, dropout: float = 0.1) -> Path:
    """A BERT whose vocabulary is every word of 200 short documents; returns the folder."""
    import torch
    from transformers import BertConfig, BertModel

    rows, _ = sample_rows(target="topic", length="short", evidence="mixed", num_train=200, num_test=4, seed=0)
    words = sorted({word.strip(".,") for row in rows for word in row["text"].lower().split()} | {".", ","})
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *words]) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": POSITIONS}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def write_experiment(path: Path, encoder: Path, /, **changes: Any) -> Path:
    """An experiment of one task with 40 + 40 documents and one variant; changes replace whole keys."""
    experiment = {
        "experiment": "tiny",
        "encoder": {"folder": str(encoder)},
        "tasks": [
            {
                "task": "topic",
                "data": {"source": "sample", "target": "topic", "num_train": 60, "num_test": 40, "seed": 1},
                "validation": {"fraction": 0.4, "seed": 0},
            }
        ],
        "recipe": {"learning_rate": 5e-3, "epochs": 2, "batch_size": 8, "max_length": 32, "pooling": "mean"},
        "measures": {"num_train": 40, "num_test": 40},
    } | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(experiment), encoding="utf-8")
    return path


def read_experiment(path: Path, /, *, environ: Mapping[str, str] | None = None, **options: Any) -> Experiment:
    """The experiment of a file, without the places of its values; an empty environment, if none is given."""
    return read_with_places(path, environ=environ or {}, **options)[0]


def look_at(experiment: Path) -> None:
    """Find out in this process what commands remember of encoders and texts: each would load torch for it."""
    from layerscope.orchestrator.workspace import open_workspace

    open_workspace(experiment, store=experiment.parent / "never-made")
