from layerscope.jobs.text.pretraining.training_overlap import essence, essences, overlaps


def test_copies_differ_in_case_marks_and_white_space_only():
    assert essence("The  RAIN: stopped (at 3)!\n") == essence("the rain stopped at 3") == "therainstoppedat3"
    assert essence("Straße") == essence("STRASSE")
    assert essence("今天，好。") == "今天好"


def test_a_text_without_letters_and_digits_is_nobodys_copy():
    known = {"test/0": essences([["!!!"]])}
    assert overlaps([["???"]], known) == [()]


def test_a_row_overlaps_with_every_test_set_that_has_one_of_its_texts():
    known = {"test/0": essences([["a b", "c"]]), "test/1": essences([["C!"], ["d"]])}
    rows = [["ab"], ["x", "c"], ["x"], ["d"]]
    assert overlaps(rows, known) == [("test/0",), ("test/0", "test/1"), (), ("test/1",)]
    # The slow obvious version: every text against every text.
    tests = {"test/0": ["a b", "c"], "test/1": ["C!", "d"]}
    assert overlaps(rows, known) == [
        tuple(
            name
            for name, texts in tests.items()
            if any(essence(own) == essence(text) for own in row for text in texts)
        )
        for row in rows
    ]


def test_without_test_sets_nothing_overlaps():
    assert overlaps([["a"]], {}) == [()]
