"""Copies of a text: counted within train and between splits, and where their labels contradict."""

from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence, Unit
from layerscope.jobs.text.reading.copies import copies_told, examples_of_rows, examples_of_sentences
from layerscope.jobs.text.reading.rows import Row


def rows_of(*pairs, target="label"):
    return examples_of_rows([Row(str(n), *pair) for n, pair in enumerate(pairs, start=1)], target)


def told(is_drawn=True, **splits):
    return list(copies_told(splits, "rows", is_drawn=is_drawn))


def test_copies_and_contradictions_are_counted():
    train = rows_of(("a", "x"), ("a", "x"), ("b", "x"), ("b", "y"), ("b", "y"), ("c", "y"))
    test = rows_of(("a", "x"), ("a", "y"), ("b", "y"), ("d", "x"))
    assert told(train=train, test=test) == [
        "3 rows of train are copies of an earlier one's texts, and 1 texts have contradicting labels; the "
        "validation split keeps copies together",
        "3 rows of test have the texts of a row of train, 1 of them with another label",
    ]


def test_data_without_copies_say_nothing():
    assert told(train=rows_of(("a", "x"), ("b", "y")), test=rows_of(("c", "x"))) == []


def test_a_validation_split_is_held_against_train_and_test():
    train, validation = rows_of(("a", "x"), ("b", "y")), rows_of(("a", "y"), ("c", "x"))
    assert told(False, train=train, validation=validation, test=rows_of(("c", "x"))) == [
        "1 rows of validation have the texts of a row of train, 1 of them with another label",
        "validation has the texts of 1 rows of test",
    ]


def test_pairs_are_copies_by_both_texts_and_numbers_contradict_by_value():
    train = rows_of(("a", "1", "x"), ("a", "1.0", "x"), ("a", "2", "y"), target="number")
    assert told(train=train)[0].startswith(
        "1 rows of train are copies of an earlier one's texts, and 0 texts"
    )


def test_of_choices_the_right_text_counts_and_not_its_place():
    first = Row("1", "a", "0", choices=(("0", "yes"), ("1", "no")))
    turned = Row("2", "a", "1", choices=(("0", "no"), ("1", "yes")))
    wrong = Row("3", "a", "0", choices=(("0", "no"), ("1", "yes")))
    assert "0 texts have contradicting" in told(train=examples_of_rows([first, turned], "choice"))[0]
    assert "1 texts have contradicting" in told(train=examples_of_rows([first, wrong], "choice"))[0]


def test_of_sentences_the_same_unit_must_have_the_same_label():
    def sentence(*labels):
        units = tuple(Unit(((at, at + 1),), label) for at, label in enumerate(labels))
        return AnnotatedSentence("s", ("no", "way"), units)

    train = examples_of_sentences([sentence("DET", "NOUN"), sentence("DET", "NOUN")])
    test = examples_of_sentences([sentence("INTJ", "NOUN"), sentence("DET", "NOUN")])
    assert told(train=train, test=test)[1].endswith("1 of them with another label")


def test_of_texts_without_labels_no_contradiction_is_told():
    corpus = examples_of_rows([Row("1", "a", None), Row("2", "a", None)], "label")
    assert told(train=corpus) == [
        "1 rows of train are copies of an earlier one's texts; the validation split keeps copies together"
    ]
