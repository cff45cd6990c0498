"""Layer dropping with a linear head refitted to each layer's training states."""

from layerscope.jobs.artifacts.layer_heads import write_layer_heads
from layerscope.jobs.artifacts.layers import read_layers, read_num_labels
from layerscope.jobs.context import StageContext
from layerscope.jobs.measures.layer_dropping.specs import RefitSpec
from layerscope.jobs.specs.targets import TARGET_FACTS
from layerscope.jobs.targets.layer_heads import fit_heads, layer_scores, targets_of


def run(spec: RefitSpec, context: StageContext) -> dict[str, float]:
    """Writes the heads of all layers, and logs every metric at step k = layers kept, 0 the embeddings.

    Returns the target's usual metric with all layers, as `full_accuracy` of labels.

    Raises:
        ValueError: too few examples to choose a penalty.
    """
    states = context.inputs["states"]
    train, test = read_layers(states, "train"), read_layers(states, "test")
    num_labels = read_num_labels(states)
    heads = fit_heads(
        train,
        spec.target,
        num_labels=num_labels,
        penalties=spec.penalties,
        seed=spec.seed,
        device=context.device,
    )
    write_layer_heads(context.out, heads.weight_LKD, heads.bias_LK)
    for kept, head in enumerate(zip(heads.weight_LKD, heads.bias_LK, strict=True)):
        scores = layer_scores(test, kept, head, spec.target, num_labels=num_labels)
        context.log(kept, **scores)
    usual = TARGET_FACTS[spec.target].selected_by
    num_examples = len(targets_of(train, spec.target, num_labels))
    return {f"full_{usual}": scores[usual], "train/examples": float(num_examples)}
