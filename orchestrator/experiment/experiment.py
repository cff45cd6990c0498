"""An experiment as it is written: tasks, recipe, grid or search, measures and seeds."""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from layerscope.jobs.measures import MeasureSettings
from layerscope.jobs.specs.faults import Fault, PathTo
from layerscope.jobs.specs.features import FeatureHead, FeatureLayers
from layerscope.jobs.specs.multitask import JointTraining
from layerscope.jobs.specs.recipe import LayerPooling, Pretraining, Training, Truncation, WindowPooling
from layerscope.jobs.specs.references import Paper
from layerscope.jobs.specs.spec import PositiveFloat, PositiveInt, Strict
from layerscope.jobs.specs.stages import Checkpoint
from layerscope.jobs.specs.targets import Objective
from layerscope.orchestrator.experiment.tasks import Corpus, Name, Task

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Start = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(@[1-9][0-9]*)?$")]

CorpusChoice = (
    Literal["within-task", "in-domain", "cross-domain"] | Annotated[tuple[Name, ...], Field(min_length=1)]
)


class FurtherPretraining(Pretraining):
    """Further training of the encoder on raw text: on which, after what, and how."""

    corpus: CorpusChoice = "within-task"
    """`within-task`: the training texts of the task itself; `in-domain`: those of every task and corpus of
    its domain; `cross-domain`: those of all; or names of tasks and corpora. Never validation or test texts,
    nor training texts that stand in the test set of a task too."""
    after: Name | None = None
    """Another pretraining, from whose encoder this one goes on."""


class Scratch(Strict):
    """An encoder with random weights, which the experiment itself pretrains."""

    architecture: Literal["bert", "roberta", "albert"]
    layers: PositiveInt
    width: PositiveInt
    """Features of a state."""
    heads: PositiveInt
    """Of attention; the width is a multiple of them."""
    feed_forward: PositiveInt | None = None
    """Width between the two halves of a feed-forward part; four times the width by default."""
    positions: PositiveInt = 512
    """Most tokens of a sequence."""
    tokenizer: str
    """A folder with a tokenizer's files."""
    seed: Seed = 0


class EncoderSource(Strict):
    """Where the encoder's weights and tokenizer are; what is given is tried in this order."""

    folder: str | None = None
    """A folder with `config.json`, weights and tokenizer files."""
    hub: str | None = None
    """A name on the Hugging Face Hub; its local cache is asked first."""
    revision: str = "main"
    package: str | None = None
    """An installed Python package that carries such a folder."""
    mlflow: str | None = None
    """A model logged with MLflow, as `models:/name/1` or `runs:/id/model`."""
    scratch: Scratch | None = None
    """What to build with random weights."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest that the weights file must have."""
    trust_remote_code: bool = False
    """Whether Python files in the folder, or in the Hub's repository, are run where `auto_map` names classes
    in them: code from outside, with all rights of who runs it. On the Hub, revision must be a commit."""


MAIN = "main"
"""What a recipe calls the experiment's own encoder, beside those under `encoders`."""


def path_of_encoder(name: str) -> PathTo:
    """Where an experiment says which encoder has a name."""
    return ("encoder",) if name == MAIN else ("encoders", name)


def encoder_fault(name: str, message: str) -> Fault:
    """A fault of the encoder of a name; that of `main` is told where recipes name it, if they do."""
    return Fault(path_of_encoder(name), message, of_factor=name == MAIN)


class Recipe(Training):
    """Everything that a variant's result depends on, besides its task and seed."""

    encoder: Name = MAIN
    """`main`, the experiment's encoder, or a name under `encoders`."""

    truncation: Truncation = "head"
    """What is kept of a text that is too long: one of its ends, both (`middle` is what is cut out of equal
    halves), or all of it as `windows` of max_length tokens."""
    max_length: Annotated[int, Field(ge=8)] = 128
    """Tokens of one text, special tokens included."""
    head_tokens: PositiveInt | None = None
    """Tokens kept from the head under head+tail; by default a quarter of the budget (128 of 510)."""
    window_overlap: Annotated[int, Field(ge=0)] = 0
    """Tokens that a window shares with the one before it."""
    max_windows: PositiveInt = 8
    """Windows kept of one text, from its head; what stands behind them is lost."""
    layer_pooling: LayerPooling = "concat"
    """What becomes of the vectors of several layers."""
    window_pooling: WindowPooling = "mean"
    """What becomes of the windows of a text: the mean or maximum of their vectors, their weighted mean by
    additive attention, the mean of their logits, or (trained as `logits`) a vote of their predictions."""
    pretraining: Start = "none"
    """`none`, or a name under `pretraining` or `multi_task`; `name@step` is a snapshot of a pretraining."""
    features: FeatureLayers | None = None
    """Null trains the encoder too; `last`, a layer or `last-N` freezes it, stores the states of these layers
    once, and trains a head on them. What is measured then are the layers of the encoder as it came."""
    head: FeatureHead = "linear"
    """What is trained on frozen features: a linear classifier of pooled states, or a bidirectional LSTM
    with self-attention."""
    head_hidden: PositiveInt = 128
    """Width of each direction of the LSTM."""


class MultiTask(JointTraining):
    """Joint training of several tasks, from whose encoder recipes start that name it as `pretraining`."""

    tasks: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Names of tasks of the experiment; null takes all."""
    truncation: Literal["head", "tail", "head+tail"] = "head"
    max_length: Annotated[int, Field(ge=8)] = 128
    head_tokens: PositiveInt | None = None
    after: Name | None = None
    """A name under `pretraining` from whose encoder the joint training starts."""


class Range(Strict):
    """Numbers to search: low to high, both included."""

    low: float
    high: float
    log: bool = False


class Choices(Strict):
    """Values to search."""

    choices: Annotated[tuple[str | int | float | bool, ...], Field(min_length=2)]


def _factors(wrap: Any) -> dict[str, Any]:
    kinds = {
        name: Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        for name, field in Recipe.model_fields.items()
    }
    return {name: (wrap(kind), None) for name, kind in kinds.items()}


Grid = create_model(
    "Grid",
    __base__=Strict,
    __doc__="Values of each factor; every combination is one condition.",
    # A type checker knows no types that are made at run time.
    **_factors(lambda kind: Annotated[tuple[kind, ...], Field(min_length=1)] | None),  # type: ignore[valid-type]
)
Space = create_model(
    "Space",
    __base__=Strict,
    __doc__="What Optuna may choose for each factor.",
    **_factors(lambda kind: Range | Choices | None),
)


class Search(Strict):
    """An Optuna study over recipe factors, one in each cell of the grid."""

    space: Space
    trials: PositiveInt
    """Conditions to try, those found in the store included."""
    objective: Objective | None = None
    """By default the task's own metric on the validation split. Mean over the seeds; the loss is minimised,
    everything else maximised."""
    seed: Seed = 0
    startup_trials: PositiveInt = 5
    """Random conditions before the tree-structured Parzen estimator begins."""


class EarlyStopping(Strict):
    """Asynchronous successive halving (ASHA) over the evaluations of the variants."""

    grace_period: PositiveInt = 1
    """Evaluations that every variant gets."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """Of so many variants one goes on at each rung."""


class Measures(MeasureSettings):
    """What is measured at every layer of each finished variant."""

    random_encoder: bool = False
    """Probes and description lengths also of an encoder of the same shape with fresh weights."""
    num_train: PositiveInt = 500
    """Training examples whose layers are looked at (probes learn from them)."""
    sentence_length: Annotated[int, Field(ge=8)] = 128
    """Tokens of an annotated sentence, special tokens included; longer sentences are left out."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Where along each training the encoder is kept and probed too: steps, or shares of all steps, as
    [0.1, 0.5, 1.0]."""


class Reference(Strict):
    """The paper beside which the report shows the results; nothing of it is part of any key."""

    paper: Paper
    tables: tuple[Name, ...] | None = None
    """By default all."""
    tasks: dict[Name, Name] = {}
    """The paper's name for a task of ours, where it has another."""
    claims: tuple[Name, ...] | None = None
    """By default all."""


MOST_LETTERS = 250
"""Of an experiment's name: databases of MLflow, and file systems under `reports`, take hardly more."""


class Experiment(Strict):
    """What was asked: one YAML file."""

    experiment: Name
    description: str = ""
    encoder: EncoderSource
    encoders: dict[Name, EncoderSource] = {}
    """Further encoders, that the factor `encoder` names."""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    probing: tuple[Task, ...] = ()
    """Tasks that are probed at every layer of each variant, beside its own: annotated sentences, or texts."""
    corpora: tuple[Corpus, ...] = ()
    """Texts to train encoders further on, beside those of the tasks."""
    recipe: Recipe = Recipe()
    pretraining: dict[Name, FurtherPretraining] = {}
    multi_task: dict[Name, MultiTask] = {}
    grid: Grid = Grid()
    exclude: tuple[Grid, ...] = ()
    """Cells of the grid that are left out: those with one of the values given of every factor of an entry."""
    search: Search | None = None
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    early_stopping: EarlyStopping | None = None
    measures: Measures = Measures()
    reference: Reference | None = None
    feature_budget_gb: PositiveFloat = 5.0
    """Most that the frozen features of one task and view may take on disk, in 10^9 bytes."""
