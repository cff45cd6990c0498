"""Examples for continued pretraining, epoch by epoch: blocks of running text, or pairs of sentences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np
import torch
from tokenizers import Tokenizer

from layerscope.jobs.text.pretraining.masking import Masker, pack_blocks
from layerscope.jobs.text.pretraining.sentence_pairs import SentencePair, make_pairs
from layerscope.jobs.text.pretraining.sentence_splitting import split_sentences
from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.jobs.text.tokenising.truncation import encode

NUM_PAIR_SPECIAL = 3
"""[CLS] A [SEP] B [SEP]"""
FOLLOWS, STRANGE = 0, 1
"""Classes of a pair, as BERT's weights have them."""


@dataclass(frozen=True)
class Example:
    """One row of a batch, special tokens included."""

    ids: list[int]
    num_first: int | None = None
    """Tokens of the first part of a pair, with its special tokens."""
    follows: bool | None = None
    """Whether the second part of a pair follows the first."""


Passes = Callable[[int], list[Example]]
"""The examples of this epoch, in training order."""


def blocks(texts: Sequence[str], tokenizer: Tokenizer, *, block_length: int, seed: int) -> Passes:
    """The same blocks in each epoch, in another order."""
    encoded = encode(texts, tokenizer, strategy="whole", max_length=None)
    (cls_id, *_), (*_, sep_id) = frame_of(tokenizer, num_parts=1).special
    packed = pack_blocks(encoded.input_ids, block_length=block_length, cls_id=cls_id, sep_id=sep_id)
    examples = [Example(ids) for ids in packed]
    return lambda number: _shuffled(examples, seed, number)


def sentence_pairs(texts: Sequence[str], tokenizer: Tokenizer, *, block_length: int, seed: int) -> Passes:
    """Other pairs in each epoch.

    Raises:
        ValueError: no text has two sentences.
    """
    (cls_id, *_), (*_, sep_id) = frame_of(tokenizer, num_parts=1).special
    documents = [one for text in texts if (one := _sentence_ids(text, tokenizer))]

    def example(pair: SentencePair) -> Example:
        ids = [cls_id, *pair.first, sep_id, *pair.second, sep_id]
        return Example(ids, num_first=len(pair.first) + 2, follows=pair.follows)

    def of_pass(number: int) -> list[Example]:
        pairs = make_pairs(documents, room=block_length - NUM_PAIR_SPECIAL, seed=(seed, number, 1))
        return _shuffled([example(pair) for pair in pairs], seed, number)

    of_pass(0)
    return of_pass


def batches(passes: Passes, *, batch_size: int, first: int = 0) -> Iterator[list[Example]]:
    """Batches over an endless sequence of epochs; from batch `first` on, counted from 0."""
    stream = islice(chain.from_iterable(map(passes, count())), first * batch_size, None)
    while True:
        yield list(islice(stream, batch_size))


def collate(examples: Sequence[Example], masker: Masker, *, batch: int) -> dict[str, torch.Tensor]:
    """Masked tensors of the batch with this number; of pairs `token_type_ids` (B, T) and
    `next_sentence_label` (B) besides."""
    tensors = masker([example.ids for example in examples], batch=batch)
    if examples[0].follows is None:
        return tensors
    first_B1 = torch.tensor([[example.num_first] for example in examples])
    place_T = torch.arange(tensors["input_ids"].shape[1])
    is_second_BT = (place_T >= first_B1) & (tensors["attention_mask"] == 1)
    labels_B = torch.tensor([FOLLOWS if example.follows else STRANGE for example in examples])
    return tensors | {"token_type_ids": is_second_BT.long(), "next_sentence_label": labels_B}


def _sentence_ids(text: str, tokenizer: Tokenizer) -> list[list[int]]:
    encodings = tokenizer.encode_batch_fast(split_sentences(text), add_special_tokens=False)
    return [encoding.ids for encoding in encodings if encoding.ids]


def _shuffled(examples: Sequence[Example], seed: int, number: int) -> list[Example]:
    order = np.random.default_rng((seed, number)).permutation(len(examples))
    return [examples[row] for row in order]
