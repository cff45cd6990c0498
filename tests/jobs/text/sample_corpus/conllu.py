"""The analysis of sample documents as a CoNLL-U file."""

from collections.abc import Iterable

from layerscope.jobs.text.sample_corpus.sample_documents import Document, Sentence


def to_conllu(documents: Iterable[Document]) -> str:
    """The gold analysis as CoNLL-U, LEMMA, XPOS and FEATS unset; a preposition's role is `Role=` in MISC."""
    return "".join(
        _conllu_sentence(f"{document.id}-{number}", sentence)
        for document in documents
        for number, sentence in enumerate(document.sentences, start=1)
    )


def _conllu_sentence(sentence_id: str, sentence: Sentence) -> str:
    role_by_place = dict(sentence.preposition_roles)
    lines = [f"# sent_id = {sentence_id}", f"# text = {sentence.text}"]
    for place, (token, tag, head, relation, space) in enumerate(
        zip(
            sentence.tokens,
            sentence.tags,
            sentence.heads,
            sentence.relations,
            sentence.spaces_after,
            strict=True,
        )
    ):
        notes = [f"Role={role_by_place[place]}"] if place in role_by_place else []
        notes += [] if space else ["SpaceAfter=No"]
        misc = "|".join(notes) or "_"
        lines.append(f"{place + 1}\t{token}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t{misc}")
    return "\n".join(lines) + "\n\n"
