"""The model of an experiment file: tasks, recipe, grid or search, measures and seeds."""

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


class PretrainingSettings(Pretraining):
    """Continued pretraining of the encoder on raw text."""

    corpus: CorpusChoice = "within-task"
    """`within-task`: the training texts of the task itself; `in-domain`: those of every task and corpus of
    its domain; `cross-domain`: those of all; or names of tasks and corpora. Validation and test texts are
    excluded, also training texts that are in the test set of a task."""
    after: Name | None = None
    """Another pretraining whose encoder this one starts from."""


class Scratch(Strict):
    """A randomly initialised encoder, pretrained by the experiment itself."""

    architecture: Literal["bert", "roberta", "albert"]
    layers: PositiveInt
    width: PositiveInt
    """Hidden size."""
    heads: PositiveInt
    """Attention heads; the width must be a multiple."""
    feed_forward: PositiveInt | None = None
    """Feed-forward (intermediate) size; by default four times the width."""
    positions: PositiveInt = 512
    """Maximum tokens of a sequence."""
    tokenizer: str
    """A folder with a tokenizer's files."""
    seed: Seed = 0


class EncoderSource(Strict):
    """Where the encoder's weights and tokenizer are; the given places are tried in this order."""

    folder: str | None = None
    """A folder with `config.json`, weights and tokenizer files."""
    hub: str | None = None
    """A name on the Hugging Face Hub; the local cache is tried first."""
    revision: str = "main"
    package: str | None = None
    """An installed Python package that contains such a folder."""
    mlflow: str | None = None
    """A model logged with MLflow, as `models:/name/1` or `runs:/id/model`."""
    scratch: Scratch | None = None
    """A randomly initialised encoder."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest that the weights file must have."""
    trust_remote_code: bool = False
    """Whether custom model code (classes named by `auto_map`) in the folder or the Hub repository is
    executed, with all rights of the user. On the Hub, revision must be a commit."""


MAIN = "main"
"""Name of the experiment's `encoder` in recipes, besides those under `encoders`."""


def path_of_encoder(name: str) -> PathTo:
    """Where an experiment says which encoder has a name."""
    return ("encoder",) if name == MAIN else ("encoders", name)


def encoder_fault(name: str, message: str) -> Fault:
    """A fault of a named encoder; a fault of `main` is placed where recipes name it, if they do."""
    return Fault(path_of_encoder(name), message, of_factor=name == MAIN)


class Recipe(Training):
    """Everything that a variant's result depends on, besides task and seed."""

    encoder: Name = MAIN
    """`main`, the experiment's encoder, or a name under `encoders`."""

    truncation: Truncation = "head"
    """What is kept of a text that is too long: one end, both ends (`middle` removes the middle between equal
    halves), or everything as `windows` of max_length tokens."""
    max_length: Annotated[int, Field(ge=8)] = 128
    """Maximum tokens of a text, special tokens included."""
    head_tokens: PositiveInt | None = None
    """Tokens kept from the head under head+tail; by default a quarter of the budget (128 of 510)."""
    window_overlap: Annotated[int, Field(ge=0)] = 0
    """Tokens that a window shares with the previous one."""
    max_windows: PositiveInt = 8
    """Maximum windows of a text, from its head; the rest is dropped."""
    layer_pooling: LayerPooling = "concat"
    """Pooling over several layers."""
    window_pooling: WindowPooling = "mean"
    """Pooling over the windows of a text: mean or maximum of their vectors, weighted mean by additive
    attention, mean of their logits, or (trained as `logits`) majority vote of their predictions."""
    pretraining: Start = "none"
    """`none`, or a name under `pretraining` or `multi_task`; `name@step` is a snapshot of a pretraining."""
    features: FeatureLayers | None = None
    """Null trains the encoder too; `last`, a layer or `last-N` freezes it, stores the states of these layers
    once, and trains a head on them. The measured layers are then those of the base model."""
    head: FeatureHead = "linear"
    """Head on frozen features: a linear classifier on pooled states, or a bidirectional LSTM with
    self-attention."""
    head_hidden: PositiveInt = 128
    """Hidden size of each direction of the LSTM."""


class MultiTask(JointTraining):
    """Joint training of several tasks; recipes start from its encoder by naming it as `pretraining`."""

    tasks: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Names of tasks of the experiment; null uses all."""
    truncation: Literal["head", "tail", "head+tail"] = "head"
    max_length: Annotated[int, Field(ge=8)] = 128
    head_tokens: PositiveInt | None = None
    after: Name | None = None
    """A name under `pretraining` whose encoder the joint training starts from."""


class Range(Strict):
    """A range to search: low to high, inclusive."""

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
    __doc__="The search space of each factor.",
    **_factors(lambda kind: Range | Choices | None),
)


class Search(Strict):
    """An Optuna study over recipe factors, one per grid cell."""

    space: Space
    trials: PositiveInt
    """Conditions to try, including those found in the store."""
    objective: Objective | None = None
    """By default the task's metric on the validation split. Mean over the seeds; the loss is minimised,
    everything else maximised."""
    seed: Seed = 0
    startup_trials: PositiveInt = 5
    """Random conditions before the tree-structured Parzen estimator (TPE) starts."""


class EarlyStopping(Strict):
    """Asynchronous successive halving (ASHA) over the evaluations of the variants."""

    grace_period: PositiveInt = 1
    """Evaluations before a variant can be stopped."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """ASHA reduction factor: 1 of `reduction_factor` trials is promoted at each rung."""


class Measures(MeasureSettings):
    """Measures at every layer of each finished variant."""

    random_encoder: bool = False
    """Probes and description lengths also on a randomly initialised encoder of the same architecture."""
    num_train: PositiveInt = 500
    """Training examples used for all measures (probes are fitted on them)."""
    sentence_length: Annotated[int, Field(ge=8)] = 128
    """Maximum tokens of an annotated sentence, special tokens included; longer sentences are skipped."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Checkpoints at which the encoder is also saved and measured: steps, or shares of all steps, as
    [0.1, 0.5, 1.0]."""


class Reference(Strict):
    """The paper that the report compares the results with; in no key."""

    paper: Paper
    tables: tuple[Name, ...] | None = None
    """By default all."""
    tasks: dict[Name, Name] = {}
    """The paper's name of a task, if it differs."""
    claims: tuple[Name, ...] | None = None
    """By default all."""


MOST_LETTERS = 250
"""Maximum length of an experiment's name, limited by MLflow's databases and file systems."""


class Experiment(Strict):
    """An experiment: one YAML file."""

    experiment: Name
    description: str = ""
    encoder: EncoderSource
    encoders: dict[Name, EncoderSource] = {}
    """More encoders, for the factor `encoder`."""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    probing: tuple[Task, ...] = ()
    """Probing tasks, measured at every layer of each variant in addition to its own task."""
    corpora: tuple[Corpus, ...] = ()
    """Texts for continued pretraining, besides those of the tasks."""
    recipe: Recipe = Recipe()
    pretraining: dict[Name, PretrainingSettings] = {}
    multi_task: dict[Name, MultiTask] = {}
    grid: Grid = Grid()
    exclude: tuple[Grid, ...] = ()
    """Excluded grid cells: an entry excludes cells that match one of its values for each of its factors."""
    search: Search | None = None
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    early_stopping: EarlyStopping | None = None
    measures: Measures = Measures()
    reference: Reference | None = None
    feature_budget_gb: PositiveFloat = 5.0
    """Maximum size on disk of the frozen features of one task and view, in 10^9 bytes."""
