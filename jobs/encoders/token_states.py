"""States of every token in chosen layers, computed in shards so that memory stays bounded.

Axes: T tokens, D features (of all chosen layers side by side).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from layerscope.jobs.encoders.layout import layer_states
from layerscope.jobs.text.tokenising.batches import pad

TEXTS_IN_SHARD = 512
BATCH_SIZE = 32


def token_states(
    encoder: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    *,
    layers: Sequence[int],
    pad_id: int,
    device: str,
) -> Iterator[np.ndarray]:
    """The states (T, D) of each text in float16, in the order of the texts.

    Raises:
        ValueError: a state is too large for float16, or not finite.
    """
    encoder = encoder.eval().to(device)
    for first in range(0, len(texts), TEXTS_IN_SHARD):
        shard = texts[first : first + TEXTS_IN_SHARD]
        order = sorted(range(len(shard)), key=lambda position: len(shard[position]))
        found: dict[int, np.ndarray] = {}
        for begin in range(0, len(order), BATCH_SIZE):
            rows = order[begin : begin + BATCH_SIZE]
            states = _states(encoder, [shard[row] for row in rows], layers, pad_id, device)
            found |= zip(rows, states, strict=True)
        yield from (found[position] for position in range(len(shard)))


@torch.inference_mode()
def _states(
    encoder: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    layers: Sequence[int],
    pad_id: int,
    device: str,
) -> list[np.ndarray]:
    ids_BT, mask_BT = pad(texts, pad_id)
    output = encoder(
        input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device), output_hidden_states=True
    )
    every = layer_states(encoder, output)
    states_BTD = torch.cat([every[layer] for layer in layers], dim=-1).half()
    if not torch.isfinite(states_BTD[mask_BT.to(device).bool()]).all():
        raise ValueError("the encoder has states that float16 cannot hold: train end to end (features: null)")
    return [states[: len(text)].cpu().numpy() for states, text in zip(states_BTD, texts, strict=True)]
