import numpy as np
import pytest

from layerscope.jobs.text.pretraining.sentence_pairs import NoPairsError, make_pairs


def planted(sizes_by_document, *, seed=0):
    """Documents of sentences in which every token is another number, ascending through all of them."""
    random, token, documents = np.random.default_rng(seed), 0, []
    for num_sentences in sizes_by_document:
        document = []
        for size in random.integers(1, 9, size=num_sentences).tolist():
            document.append(list(range(token, token + size)))
            token += size
        documents.append(document)
    return documents


def place_of(token, documents):
    """The slow obvious version: the document of a token, and whether a sentence begins with it."""
    return next(
        (number, token == sentence[0])
        for number, document in enumerate(documents)
        for sentence in document
        if token in sentence
    )


@pytest.mark.parametrize("room", [8, 20, 60])
def test_labels_are_those_of_a_look_at_every_document(room):
    documents = planted([5, 2, 1, 9, 3, 30, 1, 2])
    pairs = make_pairs(documents, room=room, seed=(1,))
    assert len(pairs) >= 8
    for pair in pairs:
        here, _ = place_of(pair.first[-1], documents)
        there, begins = place_of(pair.second[0], documents)
        assert begins
        assert len(pair.first) + len(pair.second) <= room
        assert pair.first == list(range(pair.first[0], pair.first[-1] + 1))
        assert pair.second == list(range(pair.second[0], pair.second[-1] + 1))
        if pair.follows:
            assert here == there and pair.second[0] == pair.first[-1] + 1
        else:
            assert here != there


def test_half_of_the_pairs_are_true_where_documents_have_two_sentences_or_more():
    pairs = make_pairs(planted([2, 3, 4, 10] * 6), room=30, seed=(0,))
    assert len(pairs) % 2 == 0
    assert sum(pair.follows for pair in pairs) == len(pairs) / 2


def test_documents_of_one_sentence_give_no_true_pairs():
    pairs = make_pairs(planted([2] * 4 + [1] * 16), room=30, seed=(0,))
    assert (len(pairs), sum(pair.follows for pair in pairs)) == (20, 2)


def test_every_first_sentence_is_used_and_no_pair_is_empty():
    documents = planted([4, 7, 1, 2, 12])
    pairs = make_pairs(documents, room=12, seed=(3,))
    assert all(pair.first and pair.second for pair in pairs)
    assert {place_of(pair.first[-1], documents)[0] for pair in pairs} == set(range(5))


def test_passes_differ_and_the_same_seed_gives_the_same():
    documents = planted([3] * 20)
    one, again, other = (make_pairs(documents, room=30, seed=(0, number)) for number in (0, 0, 1))
    assert one == again != other


def test_one_document_has_true_pairs_only():
    assert {pair.follows for pair in make_pairs(planted([20]), room=20, seed=(0,))} == {True}


def test_without_two_sentences_in_a_document_there_is_nothing_to_predict():
    with pytest.raises(NoPairsError, match="no document among 3 has two sentences"):
        make_pairs(planted([1, 1, 1]), room=10, seed=(0,))
