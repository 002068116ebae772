"""What happened to a sequence of frames since its hashes were kept: which frame was changed, swapped, lost or added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from bench.hashes import named_hash


def alterations(ids: Sequence[int], kept: Sequence[str], found: Sequence[str]) -> list[str]:
    """One line for each thing that happened; empty if nothing did.

    :param ids: the frames' ids, in order
    :param kept: their hashes (:func:`bench.hashes.frame_hash`), kept earlier
    :param found: what the file holds now, frame after frame, as :func:`bench.hashes.content_hash`

    Of two explanations, frame by frame and as pieces cut out and put in, the shorter one is given.

    >>> from bench.hashes import named_hash
    >>> alterations([7, 8], [named_hash(7, "a"), named_hash(8, "b")], ["b", "a"])
    ['frames 7 and 8 were swapped']
    """
    then = _contents(ids, kept, found)
    if then == list(found):
        return []
    pieces = list(_by_pieces(ids, then, found))
    if len(then) != len(found):
        return pieces
    return min(list(_by_frame(ids, then, found)), pieces, key=len)


def _contents(ids: Sequence[int], kept: Sequence[str], found: Sequence[str]) -> list[str]:
    """The content hash each kept hash was made from; one of its own kind where no frame of the file has it.

    The nearest frames are tried first: what was moved was mostly moved a little.
    """
    then = []
    for place, (number, hash_) in enumerate(zip(ids, kept, strict=True)):
        nearest = sorted(range(len(found)), key=lambda other: abs(other - place))
        then.append(next((found[i] for i in nearest if named_hash(number, found[i]) == hash_), f"lost:{number}"))
    return then


def _by_frame(ids: Sequence[int], then: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Every place has its frame: what each one holds now."""
    first = {content: place for place, content in reversed(list(enumerate(then)))}
    moved = [place for place in range(len(ids)) if then[place] != found[place]]
    changed = [place for place in moved if found[place] not in first]
    yield from _spans([ids[place] for place in changed], ids, "changed")
    for place in sorted(set(moved) - set(changed)):
        source = first[found[place]]
        if source in moved and found[source] == then[place]:
            if place < source:
                yield f"frames {ids[place]} and {ids[source]} were swapped"
        else:
            yield f"frame {ids[place]} was replaced by frame {ids[source]}"


def _by_pieces(ids: Sequence[int], then: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Frames were cut out and put in, so that the others have moved."""
    names = dict(zip(then, ids, strict=True))
    for _, a, b, start, end in SequenceMatcher(None, then, found, autojunk=False).get_opcodes():
        if then[a:b] == list(found[start:end]):
            continue
        both = min(b - a, end - start)
        yield from _spans(ids[a : a + both], ids, "changed")
        yield from _spans(ids[a + both : b], ids, "missing")
        where = f"after frame {ids[a + both - 1]}" if a + both else f"before frame {ids[0]}"
        for content in found[start + both : end]:
            what = f"a copy of frame {names[content]}" if content in names else "a frame that isn't one of them"
            yield f"{what} was put in {where}"


def _spans(numbers: Sequence[int], ids: Sequence[int], fate: str) -> Iterator[str]:
    """``frame 3 was changed``, ``frames 5–8 are missing``: neighbours in ``ids`` in one line."""
    place = {number: i for i, number in enumerate(ids)}
    cuts = [0, *(i for i, (a, b) in enumerate(pairwise(numbers), 1) if place[b] != place[a] + 1), len(numbers)]
    for begin, end in pairwise(cuts):
        one, verb = end - begin == 1, "is" if fate == "missing" else "was"
        verb = verb if one else {"is": "are", "was": "were"}[verb]
        if end > begin:
            span = f"frame {numbers[begin]}" if one else f"frames {numbers[begin]}–{numbers[end - 1]}"
            yield f"{span} {verb} {fate}"
