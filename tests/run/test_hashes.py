"""Hashes notice what they should."""

from __future__ import annotations

import numpy as np
import pytest

from bench.hashes import FramesHash, content_hash, frame_hash, hash_folder, root_hash
from bench.verify.alterations import alterations


def test_a_folder_hash_knows_names_bytes_and_boundaries(tmp_path):
    def made(name: str, files: dict[str, bytes]) -> str:
        for path, data in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return hash_folder(tmp_path / name, without={"done.json"})

    first = made("a", {"x/1": b"one", "x/2": b"two"})
    assert first == made("b", {"x/2": b"two", "x/1": b"one", ".half": b"written", "done.json": b"{}"})
    others = [
        {"x/1": b"two", "x/2": b"one"},
        {"x/1": b"onet", "x/2": b"wo"},
        {"y/1": b"one", "x/2": b"two"},
        {"x/1": b"one"},
    ]
    assert len({first, *(made(f"c{i}", files) for i, files in enumerate(others))}) == 5


def test_a_frames_hash_knows_order_ids_and_shape():
    def made(*pairs: tuple[int, np.ndarray]) -> str:
        digest = FramesHash()
        for frame_id, frame in pairs:
            digest.add(frame_id, frame)
        return digest.hexdigest()

    a, b = np.zeros((4, 6, 3), np.uint8), np.ones((4, 6, 3), np.uint8)
    assert made((1, a), (2, b)) == made((1, a), (2, b[:, ::-1][:, ::-1]))
    assert (
        len({made((1, a), (2, b)), made((2, b), (1, a)), made((1, b), (2, a)), made((1, a.reshape(6, 4, 3)), (2, b))})
        == 4
    )


def test_the_hash_over_all_frames_comes_from_their_own():
    digest = FramesHash()
    frames = [np.full((4, 6, 3), level, np.uint8) for level in (0, 9)]
    for frame_id, frame in enumerate(frames, start=370):
        digest.add(frame_id, frame)
    assert digest.frames == [frame_hash(370, frames[0]), frame_hash(371, frames[1])]
    assert digest.hexdigest() == root_hash(digest.frames)
    assert (
        len({root_hash(digest.frames), root_hash(digest.frames[::-1]), root_hash(digest.frames[:1]), root_hash([])})
        == 4
    )
    assert frame_hash(370, frames[0]) == frame_hash(
        370, np.zeros((8, 6, 3), np.uint8)[::2]
    )  # however it lies in memory


IDS = list(range(370, 378))
TEXT = "abcdefgh"


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        ("abcdefgh", []),
        ("abcdeFgh", ["frame 375 was changed"]),
        ("bacdefgh", ["frames 370 and 371 were swapped"]),
        ("abcdefg", ["frame 377 is missing"]),
        ("bcdefgh", ["frame 370 is missing"]),
        ("abfgh", ["frames 372–374 are missing"]),
        ("abcdefxh", ["frame 376 was changed"]),
        ("abXYefgZ", ["frames 372–373 were changed", "frame 377 was changed"]),
        ("abcdafgh", ["frame 374 was replaced by frame 370"]),
        ("abcccdefgh", ["a copy of frame 372 was put in after frame 371"] * 2),
        ("xabcdefgh", ["a frame that isn't one of them was put in before frame 370"]),
        ("abcdefgXY", ["frame 377 was changed", "a frame that isn't one of them was put in after frame 377"]),
        ("acdefghb", ["frame 371 is missing", "a copy of frame 371 was put in after frame 377"]),
        ("", ["frames 370–377 are missing"]),
    ],
)
def test_what_happened_to_frames_is_named(found, lines):
    pictures = {letter: np.full((2, 2, 3), ord(letter), np.uint8) for letter in TEXT + found}
    kept = [frame_hash(number, pictures[letter]) for number, letter in zip(IDS, TEXT, strict=True)]
    assert alterations(IDS, kept, [content_hash(pictures[letter]) for letter in found]) == lines


def test_frames_that_look_alike_can_be_exchanged():
    """A still picture: swapping changes nothing, and of a missing frame nobody can say which one it was."""
    still = np.zeros((2, 2, 3), np.uint8)
    kept, content = [frame_hash(number, still) for number in IDS], content_hash(still)
    assert alterations(IDS, kept, [content] * 8) == []
    assert alterations(IDS, kept, [content] * 7) == ["frame 377 is missing"]
