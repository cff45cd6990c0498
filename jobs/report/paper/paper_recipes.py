"""The paper that a study is compared with, and which recipes match the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass

from layerscope.jobs.specs.references import Bounds, Paper, Value

ENCODER, LAYERS = "encoder", "layers"


@dataclass(frozen=True)
class StudyReference:
    """A paper's tables and claims, and the study's tasks and encoders in its terms."""

    paper: Paper
    paper_task_by_task: Mapping[str, str]
    """The paper's data set for each of our tasks that has one."""
    encoders: Mapping[str, str]
    """The study's encoders by their name in recipes; the first is the experiment's `encoder`."""
    num_layers: int | None = None
    """Layers of the study's encoder, if known."""

    def meets(self, recipe: Mapping[str, object], where: Mapping[str, Value | Bounds]) -> bool:
        """Whether a recipe has every requested value; a factor that it lacks does not match.

        `layers: last` is the number of the encoder's last layer, and `none` is null. Encoders match by
        name, regardless of the organisation.
        """
        known = {factor: self._known(factor, value) for factor, value in recipe.items()}
        known[ENCODER] = self.encoder_of(recipe).rpartition("/")[2]
        return all(
            factor in known and _has(known[factor], self._known(factor, asked))
            for factor, asked in where.items()
        )

    def encoder_of(self, recipe: Mapping[str, object]) -> str:
        """The encoder that a recipe names; the experiment's `encoder` if it names none."""
        return self.encoders.get(str(recipe.get(ENCODER)), next(iter(self.encoders.values())))

    def _known(self, factor: str, value: object) -> object:
        if factor == LAYERS and value == "last" and self.num_layers is not None:
            return self.num_layers
        return tuple(value) if isinstance(value, list) else "none" if value is None else value


def _has(value: object, asked: object) -> bool:
    if not isinstance(asked, Bounds):
        return value == asked and isinstance(value, bool) == isinstance(asked, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (
        (asked.above is None or value > asked.above)
        and (asked.below is None or value < asked.below)
        and (asked.at_least is None or value >= asked.at_least)
        and (asked.at_most is None or value <= asked.at_most)
    )


def in_words(where: Mapping[str, Value | Bounds]) -> str:
    """The factors in the notation of condition names: `layer_decay below 1 truncation=head`."""
    return " ".join(_factor_in_words(factor, value) for factor, value in where.items())


def _factor_in_words(factor: str, value: Value | Bounds) -> str:
    match value:
        case Bounds():
            bounds = value.model_dump(exclude_none=True)
            words = " and ".join(
                f"{name.replace('_', ' ')} {_number(bound)}" for name, bound in bounds.items()
            )
            return f"{factor} {words}"
        case float():
            return f"{factor}={_number(value)}"
        case tuple():
            return f"{factor}=[{','.join(map(str, value))}]"
        case _:
            return f"{factor}={value}"


def _number(number: float) -> str:
    return f"{number:g}"
