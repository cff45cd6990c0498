"""Blocks of running text for masked language modelling, and the masks.

Choosing and replacing tokens is `transformers.DataCollatorForLanguageModeling`'s part.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerBase

from jobs.specs.recipe import Masking
from jobs.text.batches import pad
from jobs.text.word_marks import continuing_tokens


class Masker:
    """Chooses tokens to predict and replaces them; special tokens are never chosen.

    Masks follow from the seed and the number of the batch alone: every process sees the same, and a training
    that goes on from a checkpoint sees those that it would have seen.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, masking: Masking, probability: float, seed: int
    ) -> None:
        size = max(tokenizer.get_vocab().values()) + 1
        self._seed, self._pad_id = seed, tokenizer.pad_token_id or 0
        self._is_special_V = torch.zeros(size, dtype=torch.bool)
        self._is_special_V[tokenizer.all_special_ids] = True
        self._continues_V = torch.zeros(size, dtype=torch.bool)
        if masking == "word":
            self._continues_V[:] = torch.tensor(continuing_tokens(tokenizer.backend_tokenizer))
        # Whole words are only ever masked: the collator replaces none of their tokens by others.
        shares = {"mask_replace_prob": 1.0, "random_replace_prob": 0.0} if masking == "word" else {}
        self._collator = DataCollatorForLanguageModeling(
            tokenizer, mlm_probability=probability, whole_word_mask=masking == "word", **shares
        )

    def __call__(self, rows: Sequence[Sequence[int]], *, batch: int) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask` and `labels` (-100 where nothing is predicted), all (B, T)."""
        ids_BT, mask_BT = pad(rows, self._pad_id)
        is_special_BT = self._is_special_V[ids_BT] | (mask_BT == 0)
        self._collator.generator = torch.Generator().manual_seed(stream_seed(self._seed, batch))
        masked_BT, labels_BT = self._collator.torch_mask_tokens(
            ids_BT, special_tokens_mask=is_special_BT, offset_mapping=self._offsets(ids_BT)
        )
        return {"input_ids": masked_BT, "attention_mask": mask_BT, "labels": labels_BT}

    def _offsets(self, ids_BT: torch.Tensor) -> torch.Tensor:
        """Made-up places (B, T, 2) of tokens in a text: the collator takes a gap for the end of a word."""
        end_BT = 2 * torch.arange(1, ids_BT.shape[1] + 1).expand_as(ids_BT)
        start_BT = end_BT - 1 - self._continues_V[ids_BT].long()
        return torch.stack([start_BT, end_BT], dim=-1)


def stream_seed(*parts: int) -> int:
    """A seed below 2**63 for one of many independent streams."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def pack_blocks(
    sequences: Iterable[list[int]], *, block_length: int, cls_id: int, sep_id: int
) -> list[list[int]]:
    """Lay texts end to end, parted by `sep_id`, and cut the stream into blocks.

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
