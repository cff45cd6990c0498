"""Blocks of running text for masked language modelling, and the masks.

Axes: B rows, T tokens, V vocabulary.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from layerscope.jobs.specs.recipe import Masking
from layerscope.jobs.text.tokenising.batches import pad
from layerscope.jobs.text.tokenising.word_marks import continuing_tokens

MASKED_SHARE = 0.8
"""Share of the selected tokens that become [MASK]."""
RANDOM_SHARE_OF_REST = 0.5
"""Share of the other selected tokens that become a random token; the rest is unchanged (Devlin et al.
2019)."""


class Masker:
    """Selects tokens to predict and replaces them; special tokens are never selected.

    For `word`, all tokens of a word are selected or none. Each selected token is replaced independently, also
    within a word, as in BERT's whole-word masking (google-research/bert,
    `create_masked_lm_predictions` in `create_pretraining_data.py`). For single tokens the distribution is
    that of `transformers.DataCollatorForLanguageModeling`, which replaces whole words by [MASK] only.

    Masks depend on the seed and the number of the batch only: all processes have the same masks, and a
    resumed training has the masks of an uninterrupted one.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, masking: Masking, probability: float, seed: int
    ) -> None:
        """Select tokens, or words, with a probability.

        Raises:
            ValueError: the tokenizer has no mask token, or does not mark the beginning of words.
        """
        if tokenizer.mask_token_id is None:
            raise ValueError("the tokenizer has no mask token, so no token can be masked and predicted")
        size = max(tokenizer.get_vocab().values()) + 1
        self._probability, self._seed = probability, seed
        self._pad_id, self._mask_id = tokenizer.pad_token_id or 0, tokenizer.mask_token_id
        self._num_tokens = len(tokenizer)
        self._is_special_V = torch.zeros(size, dtype=torch.bool)
        self._is_special_V[tokenizer.all_special_ids] = True
        self._continues_V = torch.zeros(size, dtype=torch.bool)
        if masking == "word":
            self._continues_V[:] = torch.tensor(continuing_tokens(tokenizer.backend_tokenizer))

    def __call__(self, rows: Sequence[Sequence[int]], *, batch: int) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask` and `labels` (-100 where nothing is predicted), all (B, T)."""
        ids_BT, mask_BT = pad(rows, self._pad_id)
        is_text_BT = ~self._is_special_V[ids_BT] & (mask_BT == 1)
        random = torch.Generator().manual_seed(stream_seed(self._seed, batch))
        chosen_BT = self._choose(ids_BT, is_text_BT, random)
        return {
            "input_ids": self._replace(ids_BT, chosen_BT, random),
            "attention_mask": mask_BT,
            "labels": ids_BT.masked_fill(~chosen_BT, -100),
        }

    def _choose(
        self, ids_BT: torch.Tensor, is_text_BT: torch.Tensor, random: torch.Generator
    ) -> torch.Tensor:
        """The tokens of words whose first token was sampled; without continuation tokens, each token is a
        word."""
        follows_text_BT = torch.nn.functional.pad(is_text_BT[:, :-1], (1, 0))
        is_first_BT = is_text_BT & ~(self._continues_V[ids_BT] & follows_text_BT)
        drawn_BT = torch.bernoulli(self._probability * is_first_BT, generator=random).bool()
        place_BT = torch.arange(ids_BT.shape[1]) * is_first_BT
        return drawn_BT.gather(1, place_BT.cummax(1).values) & is_text_BT

    def _replace(
        self, ids_BT: torch.Tensor, chosen_BT: torch.Tensor, random: torch.Generator
    ) -> torch.Tensor:
        def drawn(share: float) -> torch.Tensor:
            return torch.bernoulli(torch.full(ids_BT.shape, share), generator=random).bool()

        masked_BT = drawn(MASKED_SHARE) & chosen_BT
        random_BT = drawn(RANDOM_SHARE_OF_REST) & chosen_BT & ~masked_BT
        any_BT = torch.randint(self._num_tokens, ids_BT.shape, generator=random)
        return ids_BT.masked_fill(masked_BT, self._mask_id).where(~random_BT, any_BT)


def stream_seed(*parts: int) -> int:
    """A seed below 2**63 for one of many independent streams."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def pack_blocks(
    sequences: Iterable[list[int]], *, block_length: int, cls_id: int, sep_id: int
) -> list[list[int]]:
    """Concatenate texts, separated by `sep_id`, and split the stream into blocks.

    Args:
        sequences: Token ids of whole texts, each beginning with `cls_id` and ending with `sep_id`.
        block_length: Tokens of a block with the `cls_id` before it and the `sep_id` after it.

    Returns:
        Blocks of that length; the last one may be shorter. No token of a text is lost.
    """
    if block_length < 3:
        raise ValueError(f"block_length {block_length} leaves no room for text between two special tokens")
    stream: list[int] = []
    for ids in sequences:
        if ids[:1] != [cls_id] or ids[-1:] != [sep_id]:
            raise ValueError(
                f"a text's ids begin with {ids[:1]} and end with {ids[-1:]}, not {cls_id}, {sep_id}"
            )
        stream += ids[1:]
    body = stream[:-1]
    room = block_length - 2
    return [[cls_id, *body[start : start + room], sep_id] for start in range(0, len(body), room)]
