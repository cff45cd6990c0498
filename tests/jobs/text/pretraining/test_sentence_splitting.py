import pytest

from layerscope.jobs.text.pretraining.sentence_splitting import split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? four", ["One.", "Two!", "Three?", "four"]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("Wait... what?! Yes.", ["Wait...", "what?!", "Yes."]),
        (
            "Mr. Smith met Dr. J. Doe, e.g. at St. Paul. Then not.",
            ["Mr. Smith met Dr. J. Doe, e.g. at St. Paul.", "Then not."],
        ),
        ("It cost 3.50 and v1.2 is out", ["It cost 3.50 and v1.2 is out"]),
        ("Good film.<br /><br />Bad end<br/>Go home", ["Good film.", "Bad end", "Go home"]),
        ("a title\n\nits text. more", ["a title", "its text.", "more"]),
        ("今天很好。你呢？“走吧！”他说。好", ["今天很好。", "你呢？", "“走吧！”", "他说。", "好"]),
        ("  ", []),
        ("?! ... \n", []),
        ("no end", ["no end"]),
    ],
)
def test_a_text_is_split_where_its_sentences_end(text, sentences):
    assert split_sentences(text) == sentences


def test_no_letter_is_lost():
    text = "Prof. X asked: why?! Nobody (not one.) knew. \n\n The end… or 不。是！ 3.14 etc. etc."
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
