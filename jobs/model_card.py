"""Files next to the weights of an exported model: a model card, and facts for programs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from layerscope.jobs.specs.recipe import Pooling
from layerscope.jobs.specs.targets import TARGET_FACTS, Kind, MetricName, Target
from layerscope.jobs.targets.all import TARGETS
from layerscope.jobs.targets.task_type import Export

FACTS, CARD = "layerscope.json", "README.md"

_AUTO: dict[Kind, str] = {
    "texts": "AutoModelForSequenceClassification",
    "choices": "AutoModelForMultipleChoice",
    "tokens": "AutoModelForTokenClassification",
}
_LOGITS: dict[Pooling, str] = {
    "cls": "logits = model(**inputs).logits[:, 0]",
    "last": (
        'last = inputs["attention_mask"].sum(1) - 1\nlogits = model(**inputs).logits[range(len(last)), last]'
    ),
    "mean": (
        'mask = inputs["attention_mask"].unsqueeze(-1)\n'
        "logits = (model(**inputs).logits * mask).sum(1) / mask.sum(1)"
    ),
}
_READING: dict[Pooling, str] = {
    "cls": "The logits of a text are those of its first token",
    "last": "The logits of a text are those of its last token",
    "mean": "The logits of a text are the mean of those of its tokens",
}
_PIPELINE = """\
from transformers import pipeline
classify = pipeline("text-classification", model=folder, tokenizer=folder)
"""
_OF_CHOICES = "[text for text, of in zip(texts, choices) for _ in of], sum(choices, [])"


@dataclass(frozen=True)
class Facts:
    """Origin, function and measurements of an exported model."""

    variant: str
    """Key of the fine-tuning."""
    architecture: str
    """The class of transformers that loads it."""
    kind: Kind
    """Of that class: it classifies texts, chooses, or classifies tokens."""
    key_mapping: dict[str, str]
    """With which it must be loaded; mostly empty."""
    layers: int
    of_layers: int
    head: str
    """`tuned` or `refitted`."""
    pooling: Pooling
    target: Target
    labels: tuple[str, ...]
    """Of choices, their names; of numbers none."""
    max_length: int | None
    """Tokens of a text in training, special tokens included; none where no text was cut."""
    truncation: str
    pairs: bool
    """Whether an input is a pair of texts, or a text and a choice."""
    texts: int
    """Test texts that were scored."""
    metric: MetricName
    score: float
    score_before: float
    """Score of the full model with its fine-tuned head on the same texts."""
    parameters: int
    parameters_before: int
    milliseconds: float
    """Median for one text (and one of its choices) on one processor."""
    milliseconds_before: float


def write_card(folder: Path, facts: Facts) -> None:
    """Write both files."""
    (folder / FACTS).write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
    (folder / CARD).write_text(_card(facts), encoding="utf-8")


def snippet(facts: Facts) -> str:
    """Lines of Python that give the `labels`, `numbers` or places of the right `chosen` ones of `texts` (with
    `pairs`, their second texts, or `choices`, a list for each) by the model in `folder`."""
    cut = "truncation=True" if facts.max_length is None else f"truncation=True, max_length={facts.max_length}"
    match facts.kind:
        case "texts":
            return _PIPELINE + _by_pipeline(facts, cut)
        case "choices":
            return _model_lines(facts, _OF_CHOICES, cut) + (
                "inputs = {name: ids.view(len(texts), -1, ids.shape[1]) for name, ids in inputs.items()}\n"
                "chosen = model(**inputs).logits.argmax(-1).tolist()\n"
            )
        case "tokens":
            pairs = "texts, pairs" if facts.pairs else "texts"
            given = _OF_CHOICES if TARGET_FACTS[facts.target].has_choices else pairs
            lines = _model_lines(facts, given, cut)
            return f"{lines}{_LOGITS[facts.pooling]}\n{_export(facts).answer}\n"


def _by_pipeline(facts: Facts, cut: str) -> str:
    pair = '{"text": text, "text_pair": pair}'
    given = f"[{pair} for text, pair in zip(texts, pairs)]" if facts.pairs else "texts"
    return _export(facts).pipeline(given, pair, cut)


def _model_lines(facts: Facts, given: str, cut: str) -> str:
    named = f", key_mapping={json.dumps(facts.key_mapping)}" if facts.key_mapping else ""
    return f"""\
from transformers import {_AUTO[facts.kind]}, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {_AUTO[facts.kind]}.from_pretrained(folder{named})
inputs = tokenizer({given}, return_tensors="pt", padding=True, {cut})
"""


def _card(facts: Facts) -> str:
    return f"""\
---
library_name: transformers
pipeline_tag: text-classification
---

# {_export(facts).title} in {facts.layers} of {facts.of_layers} layers

The lowest {facts.layers} layers of a fine-tuned encoder (layerscope, variant `{facts.variant}`) and a
head ({facts.head}, pooling {facts.pooling}). {_export(facts).in_words(facts.labels)}

It loads as `{facts.architecture}`, without custom code.
{_how_it_is_loaded(facts)}

```python
{snippet(facts).rstrip()}
```

{_what_is_cut(facts)}

| | this model | full model |
|---|---:|---:|
| layers | {facts.layers} | {facts.of_layers} |
| parameters | {facts.parameters:,} | {facts.parameters_before:,} |
| {facts.metric} on {facts.texts} test texts | {facts.score:.4f} | {facts.score_before:.4f} |
| milliseconds per text, one at a time (median) | {facts.milliseconds:.2f} | {facts.milliseconds_before:.2f} |

`{FACTS}` has the same as JSON.
"""


def _export(facts: Facts) -> Export:
    export = TARGETS[facts.target].export
    assert export is not None, "what is exported has one answer"
    return export


def _how_it_is_loaded(facts: Facts) -> str:
    if facts.kind == "tokens":
        return (
            f"{_READING[facts.pooling]}: no class of\n"
            "this type that classifies texts computes them. Loading it as one, as\n"
            '`pipeline("text-classification")` does, ends in an error on purpose, and so may `AutoModel`,\n'
            "unless it is given `add_pooling_layer=False`. These lines answer:"
        )
    return (
        "The maps of that class above the layers are set to compute this head; to train the model further,\n"
        "start from the fine-tuned one instead. These lines answer:"
    )


def _what_is_cut(facts: Facts) -> str:
    if facts.max_length is None:
        return "In training, no text was cut; `truncation=True` cuts at what the tokenizer says is its most."
    cut = f"`truncation=True, max_length={facts.max_length}` cuts longer texts at their end"
    if facts.truncation in ("whole", "head"):
        return f"{cut}, as in training. Without them, nothing is cut, which was not measured."
    return (
        f"{cut}. In training, texts were cut by `{facts.truncation}`; the lines above cut them at their end."
    )
