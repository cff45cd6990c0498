"""Texts to sentences, by the marks that end them: for English and its like, and for full-width text.

Deliberately simple: only consecutive segments of text are needed.
"""

import re

_BORDER = re.compile(
    r"""[.!?…]+["'”’)\]]*(?=\s)\s*"""  # a mark that ends a sentence, and the white space after it
    r"""|[。？！]+["”’」』）]*\s*"""  # full-width marks need no white space
    r"""|\s*(?:\n|<br\s*/?>)\s*"""  # a line's end, as HTML has it too
)
_ABBREVIATION = re.compile(
    r"(?:\b[A-Za-z]|\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|No|Inc|Ltd|Co|Corp|Gen|Gov|Sen|Rep))\.$",
    re.IGNORECASE,
)


def split_sentences(text: str) -> list[str]:
    """The sentences in their order, without white space around them; none of a text without letters."""
    sentences, start = [], 0
    for border in _BORDER.finditer(text):
        sentence = text[start : border.end()].strip()
        if _ABBREVIATION.search(sentence):
            continue
        sentences.append(text[start : border.end()])
        start = border.end()
    sentences.append(text[start:])
    stripped = (re.sub(r"(?:<br\s*/?>|\s)+$", "", sentence).strip() for sentence in sentences)
    return [sentence for sentence in stripped if any(map(str.isalnum, sentence))]
