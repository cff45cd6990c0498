"""What stands beside the weights of an exported model: a card for people, facts for programs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import assert_never

from jobs.specs.recipe import TokenPooling
from jobs.specs.targets import Metric, Target

FACTS, CARD = "layerscope.json", "README.md"

_LOGITS = {
    "cls": "logits = model(**inputs).logits[:, 0]",
    "last": (
        'last = inputs["attention_mask"].sum(1) - 1\nlogits = model(**inputs).logits[range(len(last)), last]'
    ),
    "mean": (
        'mask = inputs["attention_mask"].unsqueeze(-1)\n'
        "logits = (model(**inputs).logits * mask).sum(1) / mask.sum(1)"
    ),
}
_READING = {
    "cls": "The logits of a text are those of its first token",
    "last": "The logits of a text are those of its last token",
    "mean": "The logits of a text are the mean of those of its tokens",
}


_ANSWERS: dict[Target, str] = {
    "label": "labels = [model.config.id2label[number] for number in logits.argmax(-1).tolist()]",
    "number": "numbers = logits[:, 0].tolist()",
    "choice": "chosen = logits.view(len(texts), -1).argmax(-1).tolist()",
}
_NOUNS: dict[Target, str] = {
    "label": "A classifier of texts",
    "number": "A model that predicts a number",
    "choice": "A model that chooses",
}


@dataclass(frozen=True)
class Facts:
    """Where an exported model comes from, what it does, and what was measured of it."""

    variant: str
    """Key of the fine-tuning."""
    architecture: str
    """The class of transformers that loads it."""
    layers: int
    of_layers: int
    head: str
    """`tuned` or `refitted`."""
    pooling: TokenPooling
    target: Target
    labels: tuple[str, ...]
    """Of choices, their names; of numbers none."""
    max_length: int | None
    """Tokens of a text in training, special tokens included; none where no text was cut."""
    truncation: str
    pairs: bool
    """Whether a text is a pair of texts, or stands beside a choice."""
    texts: int
    """Test texts that were scored."""
    metric: Metric
    score: float
    score_before: float
    """Of the whole model with its tuned head on the same texts."""
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
    given = "texts, pairs" if facts.pairs else "texts"
    if facts.target == "choice":
        given = "[text for text, of in zip(texts, choices) for _ in of], sum(choices, [])"
    cut = "truncation=True" if facts.max_length is None else f"truncation=True, max_length={facts.max_length}"
    return f"""\
from transformers import AutoModelForTokenClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForTokenClassification.from_pretrained(folder)
inputs = tokenizer({given}, return_tensors="pt", padding=True, {cut})
{_LOGITS[facts.pooling]}
{_ANSWERS[facts.target]}
"""


def _card(facts: Facts) -> str:
    cut_otherwise = (
        f"\nIn training, texts were cut by `{facts.truncation}`; the lines above cut them at their end.\n"
        if facts.truncation not in ("whole", "head")
        else ""
    )
    return f"""\
---
library_name: transformers
pipeline_tag: text-classification
---

# {_NOUNS[facts.target]} in {facts.layers} of {facts.of_layers} layers

The lowest {facts.layers} layers of a fine-tuned encoder (layerscope, variant `{facts.variant}`) and a
linear head ({facts.head}). {_answers_in_words(facts)}

It loads as `{facts.architecture}`, without code of its own.
{_READING[facts.pooling]}, so a `pipeline` that labels tokens is not what it is for:

```python
{snippet(facts).rstrip()}
```
{cut_otherwise}
| | this model | before cutting |
|---|---:|---:|
| layers | {facts.layers} | {facts.of_layers} |
| parameters | {facts.parameters:,} | {facts.parameters_before:,} |
| {facts.metric} on {facts.texts} test texts | {facts.score:.4f} | {facts.score_before:.4f} |
| milliseconds a text, one at a time (median) | {facts.milliseconds:.2f} | {facts.milliseconds_before:.2f} |

`{FACTS}` has the same for programs.
"""


def _answers_in_words(facts: Facts) -> str:
    match facts.target:
        case "label":
            return f"Labels: {', '.join(facts.labels)}."
        case "number":
            return "Its one logit is the number."
        case "choice":
            return "Its one logit scores a text with one choice; the choice with the highest is the answer."
        case never:
            assert_never(never)
