"""An exported model on disk that no common transformers class loads with wrong predictions.

A class that misses some weights in a folder initialises them randomly and only logs a message. If one of them
is present but empty, it raises an error instead. A class that misses none, such as Llama's text classifier,
finds an empty head: the real head has another name and is loaded only by that name.
"""

import json
from pathlib import Path

import torch
from transformers import PreTrainedModel

from layerscope.jobs.encoders.answering_classes import has_class, load_model, new_model
from layerscope.jobs.encoders.loading import save_encoder
from layerscope.jobs.encoders.text_classifier import Trial
from layerscope.jobs.specs.targets import TARGET_FACTS, Kind, Target

HIDDEN = "all_tokens_"
"""Before the name of a head: of two weights that a `key_mapping` makes one, transformers takes the first in
the order of the alphabet, and heads are called `classifier` or `score`."""


def write_model(
    model: PreTrainedModel, kind: Kind, folder: Path, *, target: Target, start: Path
) -> dict[str, str]:
    """Write config, weights and the tokenizer's files.

    Args:
        target: What the model predicts.
        start: Folder of the tokenizer.

    Returns:
        The `key_mapping` with which the model's class loads the folder; usually empty.
    """
    others = [
        other for other in TARGET_FACTS[target].loaded_as if other != kind and has_class(model.config, other)
    ]
    lacking = [_lacking(model, other) for other in others]
    weights, key_mapping = dict(model.state_dict()), {}
    if kind == "tokens" and not all(lacking):
        weights, key_mapping = _hidden(weights, prefix=f"{model.base_model_prefix}."), {f"^{HIDDEN}": ""}
    empty = {names[0]: torch.empty(0) for names in lacking if names}
    save_encoder(model, folder, tokenizer_from=start, weights=weights | empty)
    if key_mapping or empty:
        _name_no_class(folder)
    return key_mapping


def refuse_wrong_loads(folder: Path, *, target: Target, trial: Trial) -> None:
    """Load the folder with each commonly used class, which must raise or give the trial's logits.

    Raises:
        ValueError: a class gives other logits.
    """
    for kind in TARGET_FACTS[target].loaded_as:
        try:
            model = load_model(folder, kind)
        except (RuntimeError, ValueError):
            continue
        if not trial.is_passed_by(model, kind):
            raise ValueError(
                f"people would load the model as {type(model).__name__}, which takes the weights and answers "
                f"otherwise than was measured, as it reads other tokens than pooling {trial.pooling} or has "
                "no place for the head's bias; no other class computes this head and keeps them from it"
            )


def _lacking(model: PreTrainedModel, other: Kind) -> list[str]:
    """Names of weights that the other class has and the model has not. Those that `AutoModel` has too are the
    last, so that it loads the folder; biases are first: a pooler counts as there where its weight is."""
    with torch.device("meta"):
        names = new_model(model.config, other).state_dict().keys() - model.state_dict().keys()
    prefix = f"{model.base_model_prefix}."
    return sorted(names, key=lambda name: (name.startswith(prefix), name))


def _hidden(weights: dict[str, torch.Tensor], *, prefix: str) -> dict[str, torch.Tensor]:
    """The weights with those above the encoder under another name, and nothing under theirs."""
    own = {name: value for name, value in weights.items() if not name.startswith(prefix)}
    empty = {name: torch.empty(0) for name in own if name.endswith(".weight")}
    renamed = {f"{HIDDEN}{name}": value for name, value in own.items()}
    return {name: value for name, value in weights.items() if name not in own} | empty | renamed


def _name_no_class(folder: Path) -> None:
    """Remove the class name: a pipeline that cannot load its own class would load the named class."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["architectures"]
    path.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
