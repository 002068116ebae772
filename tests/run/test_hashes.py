"""Hashes notice what they should."""

from __future__ import annotations

import numpy as np

from bench.hashes import FramesHash, hash_folder


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
