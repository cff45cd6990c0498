import pytest

from layerscope.jobs.specs.layers import layers_read


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("last", (6,)),
        ("all", (1, 2, 3, 4, 5, 6)),
        (3, (3,)),
        ((5, 1, 5), (1, 5)),
        ("first-2", (1, 2)),
        ("last-2", (5, 6)),
        ("last-6", (1, 2, 3, 4, 5, 6)),
    ],
)
def test_layers_are_numbers_from_1_in_their_order(written, numbers):
    assert layers_read(written, 6) == numbers


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (7, "layer 7 does not exist: there are layers 1 to 6"),
        ((1, 9, 8), "layer 8 does not exist: there are layers 1 to 6"),
        ("first-7", "first-7 takes 7 layers, and there are layers 1 to 6"),
        ("last-7", "last-7 takes 7 layers, and there are layers 1 to 6"),
    ],
)
def test_layers_that_do_not_exist_are_refused_with_the_range(written, fault):
    with pytest.raises(ValueError, match=fault):
        layers_read(written, 6)
