"""What ``bench drive`` does with a sound: how rough features of a short one are, and which mouth a driven method follows.

``python benchmarks/drive.py [CELL …] [--speaker ben] [--seconds 6]``

*rough*: rms difference, in standard deviations, of mel features of a piece of an embedded subject's speech to those of the same
piece within the whole. *mouth*: CELLs speak the end of the speaker's sound (poses: loop); correlation of their mouth's
opening (MediaPipe, between the inner lips, in distances of the eyes) with that of the frames that drive, and with the speaker's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import audio, catalogue, landmarks
from bench.checkpoints import open_checkpoint
from bench.drive import listen
from bench.drive.film import driven, rendered
from bench.subject import Subject

PIECES, SEED = 40, 0


def rough(subject: Subject, seconds: float) -> float:
    """The median over :data:`PIECES` pieces."""
    samples, random = audio.read_wav(subject.root / "aud.wav"), np.random.default_rng(SEED)
    whole, rows, hop = (
        audio.log_mel(samples),
        round(seconds * audio.ROWS_PER_SECOND),
        audio.RATE // audio.ROWS_PER_SECOND,
    )
    found = []
    for begin in random.integers(0, len(whole) - rows, PIECES):
        piece = audio.log_mel(samples[begin * hop : (begin + rows) * hop])
        found.append(np.sqrt(np.mean((piece - whole[begin : begin + rows]) ** 2)))
    return float(np.median(found))


def openings(frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """[T], NaN where no face was found."""
    points = landmarks.detect_all(landmarks.get("mediapipe"), np.stack(list(frames)))
    left, right = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
    return (points[:, 66, 1] - points[:, 62, 1]) / np.linalg.norm(left - right, axis=1)


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    seen = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[seen], b[seen])[0, 1])


def mouth(cell: Path, speaker: Subject, seconds: float, device: str) -> tuple[float, float, float]:
    """Correlations: driven with driving, driven with speaking, driving with speaking."""
    opened, last = open_checkpoint(cell), max(speaker.ids)
    first = last + 1 - round(seconds * 25)
    given = driven(opened, listen(speaker.root / "aud.wav", opened.audio_kind, start=first / 25), "loop")
    made = openings(rendered(opened, given, device))
    driving = openings(opened.subject.frame(item.id).image for item in given)
    speaking = openings(speaker.frame(i).image for i in range(first, last + 1))
    return correlation(made, driving), correlation(made, speaking), correlation(driving, speaking)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", type=Path)
    parser.add_argument("--speaker", default="ben")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    print("rough    s: " + "  ".join(f"{s:g}" for s in (0.32, 1, 2, 4, 8)))
    for name in ("ada", "ben"):
        values = (rough(catalogue.resolve(name), s) for s in (0.32, 1, 2, 4, 8))
        print(f"  {name}:     " + "  ".join(f"{value:.2f}" for value in values))
    for cell in given.cells:
        with_driving, with_speaking, chance = mouth(cell, catalogue.resolve(given.speaker), given.seconds, given.device)
        print(
            f"mouth of {cell.name}: {with_driving:.2f} with the driving frames, {with_speaking:.2f} with the speaker "
            f"(these two: {chance:.2f})"
        )


if __name__ == "__main__":
    main()
