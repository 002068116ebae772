"""Face-parsing classes: CelebAMask-HQ ids, the field's colours for them, and the masks each method derives.

Source: spec_degstalk §2.2–2.3 and spec_talkinggaussian §2.2–2.3.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.errors import DataError

Mask = NDArray[np.bool_]

BACKGROUND, SKIN, INNER_MOUTH, NECK, NECKLACE, CLOTH, HAIR, HAT = 0, 1, 11, 14, 15, 16, 17, 18
EARS = (7, 8, 9)
"""Both ears and earrings: face for TalkingGaussian, hair for DEGSTalk."""
LIPS = (12, 13)
EYES = (4, 5)
CLASSES = 19

_FACE = (1, 2, 3, 4, 5, 6, 10, 12, 13, HAT)
_COLOURS = {
    (255, 255, 255): BACKGROUND,
    (0, 0, 255): SKIN,
    (100, 100, 100): INNER_MOUTH,
    (0, 255, 0): NECK,
    (255, 0, 0): CLOTH,
    (0, 0, 0): HAIR,
}


def palette() -> list[int]:
    """PNG palette (768 values) that shows each class index in the field's colour, TalkingGaussian's reading."""
    colours = {index: colour for colour, index in _COLOURS.items()}
    table = [colours[SKIN]] * CLASSES
    for index in (BACKGROUND, INNER_MOUTH, NECK, CLOTH, HAIR):
        table[index] = colours[index]
    table[NECKLACE] = colours[NECK]
    return [value for colour in table for value in colour] + [0] * (768 - 3 * CLASSES)


def save(path: Path, labels: NDArray[np.uint8], small: bool = True) -> None:
    """Write a class map [H,W] as a palette PNG; ``small``: a fifth smaller, fifteen times slower."""
    image = Image.fromarray(labels, "P")
    image.putpalette(palette())
    # Runs of one class are all there is to find: looking for them alone is quicker than zlib's search, and no file is larger.
    image.save(path, optimize=small, compress_type=zlib.Z_DEFAULT_STRATEGY if small else zlib.Z_RLE)


def load(path: Path) -> NDArray[np.uint8]:
    """Class map [H,W] from a palette PNG of ours or an RGB colour map of the field's scripts.

    In the latter the face's parts share one colour: brows, eyes, nose, lips and ears all read as skin.

    Raises:
        DataError: neither form.
    """
    with Image.open(path) as image:
        if image.mode == "P":
            labels = np.asarray(image, np.uint8).copy()
            if labels.max(initial=0) >= CLASSES:
                raise DataError(f"{path}: class {labels.max()} in a palette PNG; CelebAMask-HQ classes are 0–18")
            return labels
        rgb = np.asarray(image.convert("RGB"), np.uint8)
    labels = np.full(rgb.shape[:2], 255, np.uint8)
    for colour, index in _COLOURS.items():
        labels[(rgb == colour).all(-1)] = index
    if (labels == 255).any():
        odd = tuple(int(v) for v in rgb[labels == 255][0])
        raise DataError(
            f"{path}: colour {odd} is none of the field's parsing colours; make it with `bench data prepare`"
        )
    return labels


def is_in(labels: NDArray[np.uint8], classes: tuple[int, ...]) -> Mask:
    """Where the class map holds one of ``classes``."""
    table = np.zeros(256, bool)
    table[list(classes)] = True
    return table[labels]


def face(labels: NDArray[np.uint8], ears: bool) -> Mask:
    """Skin, brows, eyes, glasses, nose, lips, hat (the official loop paints hats blue); with ``ears`` for TalkingGaussian."""
    return is_in(labels, _FACE + (EARS if ears else ()))


def hair(labels: NDArray[np.uint8], ears: bool) -> Mask:
    """Hair; with ``ears`` for DEGSTalk."""
    return is_in(labels, (HAIR,) + (EARS if ears else ()))


def head(labels: NDArray[np.uint8]) -> Mask:
    """What the radiance fields' scripts call the head: face, ears, inner mouth, hair (spec_ernerf §2.2)."""
    return face(labels, ears=True) | hair(labels, ears=False) | (labels == INNER_MOUTH)


def neck(labels: NDArray[np.uint8]) -> Mask:
    """Neck and necklace."""
    return is_in(labels, (NECK, NECKLACE))


def mouth(labels: NDArray[np.uint8], teeth: Mask) -> Mask:
    """Inner mouth or teeth."""
    return (labels == INNER_MOUTH) | teeth
