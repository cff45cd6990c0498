"""Layer dropping with the fine-tuned head: the task's scores with only the first k layers (Phang et al.
2021)."""

from layerscope.jobs.artifacts.layer_heads import read_tuned_head
from layerscope.jobs.artifacts.layers import read_layers, read_num_labels
from layerscope.jobs.context import StageContext
from layerscope.jobs.measures.layer_dropping.specs import DepthSpec
from layerscope.jobs.specs.targets import TARGET_FACTS
from layerscope.jobs.targets.layer_heads import layer_scores


def run(spec: DepthSpec, context: StageContext) -> dict[str, float]:
    """Applies the head to each layer's pooled states; logs every metric at step k = layers kept (0:
    embeddings).

    Returns the target's usual metric with all layers, as `full_accuracy` of labels.
    """
    test = read_layers(context.inputs["states"], "test")
    num_labels = read_num_labels(context.inputs["states"])
    head = read_tuned_head(context.inputs["model"])
    for kept in range(len(test.layers)):
        scores = layer_scores(test, kept, head, spec.target, num_labels=num_labels)
        context.log(kept, **scores)
    usual = TARGET_FACTS[spec.target].selected_by
    return {f"full_{usual}": scores[usual]}
