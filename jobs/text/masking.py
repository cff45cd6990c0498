"""Blocks of running text for masked language modelling.

The masking itself (80 % masked, 10 % random, 10 % left) is `transformers.DataCollatorForLanguageModeling`
with a seed; it never chooses special tokens.
"""

from collections.abc import Iterable


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
