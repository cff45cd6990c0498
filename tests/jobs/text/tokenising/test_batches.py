import numpy as np
import pytest
import torch

from layerscope.jobs.text.tokenising.batches import length_bucketed_batches, pad

LENGTHS = np.random.default_rng(0).integers(5, 512, size=1003).tolist()


@pytest.mark.parametrize("num_examples", [4, 31, 32, 33, 34, 64, 65, 1003])
def test_every_example_comes_once_and_one_batch_at_most_is_short(num_examples):
    batches = length_bucketed_batches(LENGTHS[:num_examples], batch_size=32, seed=1, epoch=0)
    assert sorted(position for batch in batches for position in batch) == list(range(num_examples))
    assert sum(len(batch) != 32 for batch in batches) <= 1


def test_batches_depend_on_seed_and_epoch_alone():
    def draw(**options):
        return length_bucketed_batches(LENGTHS, batch_size=32, **options)

    assert draw(seed=1, epoch=2) == draw(seed=1, epoch=2)
    assert draw(seed=1, epoch=2) != draw(seed=1, epoch=3)
    assert draw(seed=1, epoch=2) != draw(seed=2, epoch=1)


def padding(batches) -> int:
    return sum(max(LENGTHS[i] for i in batch) - LENGTHS[j] for batch in batches for j in batch)


def test_similar_lengths_stand_together_where_a_plain_shuffle_pads_much_more():
    shuffled = np.random.default_rng(1).permutation(len(LENGTHS))
    plain = [part.tolist() for part in np.array_split(shuffled, 32)]
    assert padding(length_bucketed_batches(LENGTHS, batch_size=32, seed=0, epoch=0)) < 0.15 * padding(plain)


def test_long_batches_do_not_come_last():
    batches = length_bucketed_batches(LENGTHS, batch_size=32, seed=0, epoch=0)
    mean_lengths = [np.mean([LENGTHS[i] for i in batch]) for batch in batches]
    # Random order of 32 batches: a correlation beyond 0.6 has a probability below 0.001.
    assert abs(np.corrcoef(mean_lengths, np.arange(len(mean_lengths)))[0, 1]) < 0.6


def test_neighbours_change_between_epochs():
    def pairs(epoch):
        batches = length_bucketed_batches(LENGTHS, batch_size=32, seed=0, epoch=epoch)
        return {(i, j) for batch in batches for i in batch for j in batch if i < j}

    # By length alone all would stay; by chance 3 % do.
    assert len(pairs(0) & pairs(1)) < 0.7 * len(pairs(0))


def test_padding_reaches_the_longest_and_is_masked():
    input_ids_BT, attention_mask_BT = pad([[5, 6, 7], [8]], pad_id=9)
    assert input_ids_BT.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert attention_mask_BT.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert input_ids_BT.dtype == attention_mask_BT.dtype == torch.int64
