"""Tiny encoders, prepared tasks and contexts, made on the spot for the tests of the stages."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    ModernBertConfig,
    MPNetConfig,
    OPTConfig,
    PreTrainedConfig,
    Qwen3Config,
    RobertaConfig,
)

from layerscope.jobs import prepare
from layerscope.jobs.artifacts.curves import CURVES
from layerscope.jobs.artifacts.token_sample import write_sample
from layerscope.jobs.context import StageContext
from layerscope.jobs.processes import alone
from layerscope.jobs.specs.recipe import Pretraining, Training
from layerscope.jobs.specs.stages import FinetuneSpec, PrepareSpec, PretrainSpec, SampleData
from layerscope.jobs.text.sample_corpus.sample_documents import sample_rows
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest

SAMPLE = SampleData(target="sentiment", num_train=90, num_test=60)
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 300
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 140,
    "pad_token_id": 0,
}

CONFIGS: dict[str, Callable[..., PreTrainedConfig]] = {
    "bert": lambda **fields: BertConfig(**SHAPE | fields),
    "roberta": lambda **fields: RobertaConfig(**SHAPE | fields),
    "electra": lambda **fields: ElectraConfig(**SHAPE | {"embedding_size": 16} | fields),
    "distilbert": lambda **fields: DistilBertConfig(
        **{"vocab_size": VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64} | fields
    ),
    "mpnet": lambda **fields: MPNetConfig(**SHAPE | fields),
    "deberta-v2": lambda **fields: DebertaV2Config(
        **SHAPE | fields,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
    ),
    "modernbert": lambda **fields: ModernBertConfig(
        **SHAPE | fields, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3
    ),
    "albert": lambda **fields: AlbertConfig(**SHAPE | {"embedding_size": 16} | fields),
}
"""Two layers of width 32 in each architecture; fields replace what is given here."""

DECODERS: dict[str, Callable[..., PreTrainedConfig]] = {
    "gpt2": lambda **fields: GPT2Config(
        **{
            "vocab_size": VOCABULARY,
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": 140,
            "bos_token_id": 2,
            "eos_token_id": 3,
        }
        | fields
    ),
    "llama": lambda **fields: LlamaConfig(**SHAPE | {"num_key_value_heads": 1} | fields),
    "qwen3": lambda **fields: Qwen3Config(**SHAPE | {"num_key_value_heads": 1, "head_dim": 16} | fields),
    "gpt_neox": lambda **fields: GPTNeoXConfig(**SHAPE | fields),
    "opt": lambda **fields: OPTConfig(**SHAPE | {"ffn_dim": 64, "word_embed_proj_dim": 32} | fields),
}
"""The same of decoder-only models, whose tokens see only those before them."""

MODELS = CONFIGS | DECODERS

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer of letters and the sample corpus' most frequent words, with its configuration."""
    rows, _ = sample_rows(**SAMPLE.model_dump(exclude={"source"}))
    counts = Counter(word for row in rows for word in re.findall("[a-z]+", row["text"].lower()))
    words = sorted(counts, key=lambda word: (-counts[word], word))
    tokens = [*SPECIAL_TOKENS, *".,!?'", *ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
    tokens += [word for word in words if len(word) > 1][: VOCABULARY - len(tokens)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    BertWordPieceTokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    names = ("pad", "unk", "cls", "sep", "mask")
    settings = {f"{name}_token": token for name, token in zip(names, SPECIAL_TOKENS, strict=True)}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_byte_tokenizer(folder: Path) -> None:
    """In place of the tokenizer there: byte-level, as GPT-2's, with no token around texts or for padding."""
    rows, _ = sample_rows(**SAMPLE.model_dump(exclude={"source"}))
    tokenizer = ByteLevelBPETokenizer()
    texts = [row["text"] for row in rows]
    tokenizer.train_from_iterator(
        texts, vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], show_progress=False
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_encoder(folder: Path, *, architecture: str = "bert", seed: int = 0, **fields: Any) -> Path:
    """A folder with random weights (a prediction head among them) and the tokenizer."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    config = MODELS[architecture](**fields)
    kind = AutoModelForCausalLM if architecture in DECODERS else AutoModelForMaskedLM
    kind.from_config(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_task(folder: Path, encoder: Path, *, max_length: int | None = 24) -> Path:
    """What the prepare stage leaves for the sample corpus; without a limit the texts are whole."""
    folder.mkdir(parents=True)
    spec = PrepareSpec(
        data=SAMPLE,
        tokenizer=tokenizer_digest(encoder),
        truncation="head" if max_length else "whole",
        max_length=max_length,
    )
    prepare.run(spec, StageContext(inputs={"tokenizer": encoder}, out=folder, scratch=folder))
    return folder


def write_pooler(folder: Path, *, architecture: str = "bert", seed: int = 1, **fields: Any) -> Path:
    """A folder with random weights, a pooler among them, and the tokenizer."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    AutoModel.from_config(CONFIGS[architecture](**fields)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_rows(
    folder: Path,
    texts: Sequence[Sequence[int]],
    labels: Sequence[int],
    *,
    num_held_out: int,
    **columns: Sequence[Sequence[int]],
) -> Path:
    """A prepared task of given token ids: the last rows are the test split, those before them validation."""
    import datasets

    rows = datasets.Dataset.from_dict(
        {"id": [str(row) for row in range(len(texts))], "input_ids": texts, "label": labels} | columns
    )
    border = len(texts) - 2 * num_held_out
    parts = {
        "train": range(border),
        "validation": range(border, border + num_held_out),
        "test": range(border + num_held_out, len(texts)),
    }
    datasets.disable_progress_bars()
    datasets.DatasetDict({name: rows.select(part) for name, part in parts.items()}).save_to_disk(folder)
    write_sample(folder, [])
    names = [f"label {number}" for number in range(max(labels) + 1)]
    (folder / "labels.json").write_text(json.dumps(names), encoding="utf-8")
    return folder


def write_texts(
    folder: Path,
    *,
    train: Sequence[str],
    held_out: Sequence[str] = ("held out",),
    test: Sequence[str] = ("test only",),
) -> Path:
    """A prepared task of given texts, of which there is nothing but the texts."""
    import datasets

    datasets.disable_progress_bars()
    parts = {"train": train, "validation": held_out, "test": test}
    datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict(
                {"id": [str(row + 1) for row in range(len(texts))], "texts": [[text] for text in texts]},
                features=datasets.Features(
                    {"id": datasets.Value("string"), "texts": datasets.List(datasets.Value("string"))}
                ),
            )
            for name, texts in parts.items()
        }
    ).save_to_disk(folder)
    return folder


def planted(num_texts: int, *, seed: int = 0) -> tuple[list[list[int]], list[int]]:
    """Texts of many lengths whose label is which of two tokens occurs in them."""
    random = np.random.default_rng(seed)
    labels = (np.arange(num_texts) % 2).tolist()
    texts = []
    for label in labels:
        body = random.integers(10, 60, size=random.integers(4, 14)).tolist()
        body[random.integers(len(body))] = 5 + label
        texts.append([2, *body, 3])
    return texts, labels


def planted_windows(num_texts: int, *, seed: int = 0) -> dict[str, list]:
    """Such texts, most of them in two windows or three: columns of a prepared task."""
    texts, labels = planted(num_texts, seed=seed)
    windows = [
        [[2, *text[1:-1][start : start + 5], 3] for start in range(0, len(text) - 2, 5)] for text in texts
    ]
    return {
        "texts": [[token for window in of for token in window] for of in windows],
        "labels": labels,
        "window_lengths": [[len(window) for window in of] for of in windows],
    }


def make_context(
    folder: Path, roles: Mapping[str, Path] | None = None, *, train: bool = False, **inputs: Path
) -> StageContext:
    """A context whose `out` and `scratch` lie in a folder; one process trains alone."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    (folder / "scratch").mkdir(exist_ok=True)
    return StageContext(
        inputs={**(roles or {}), **inputs},
        out=folder / "out",
        scratch=folder / "scratch",
        accelerator=alone() if train else None,
    )


def finetune_spec(*, seed: int = 0, **training: Any) -> FinetuneSpec:
    """A recipe that a tiny encoder learns with."""
    fields = {"learning_rate": 3e-3, "epochs": 4, "batch_size": 8, "pooling": "mean"} | training
    return FinetuneSpec(encoder="tiny", training=Training(**fields), seed=seed)


def pretrain_spec(**training: Any) -> PretrainSpec:
    """A short further pretraining."""
    fields = {"steps": 8, "batch_size": 4, "block_length": 16, "learning_rate": 3e-3} | training
    return PretrainSpec(encoder="tiny", training=Pretraining(**fields))


def curves(context: StageContext) -> list[tuple[int, dict[str, float]]]:
    """What a stage logged, without the times."""
    lines = (context.scratch / CURVES).read_text(encoding="utf-8").splitlines()
    return [(entry["step"], entry["values"]) for entry in map(json.loads, lines)]


def names_of_curves(context: StageContext) -> set[str]:
    """The metrics that a stage logged."""
    return {name for _, values in curves(context) for name in values}


def curve(context: StageContext, metric: str) -> dict[int, float]:
    """One metric by step; one that was never logged is no curve."""
    logged = curves(context)
    found = {step: values[metric] for step, values in logged if metric in values}
    assert found, f"no curve is called {metric}; there are {', '.join(sorted(names_of_curves(context)))}"
    return found
