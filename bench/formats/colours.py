"""The colours of ``parsing/<id>.png`` in each family of layouts, as an RGB reader sees them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench import classes
from bench.formats.layout import Colour

_WHITE, _BLUE, _GREEN, _RED = (255, 255, 255), (0, 0, 255), (0, 255, 0), (255, 0, 0)


def _table(changes: Mapping[int, Colour]) -> dict[int, Colour]:
    table = dict.fromkeys(range(classes.CLASSES), _BLUE)
    table |= {classes.BACKGROUND: _WHITE, classes.NECK: _GREEN, classes.NECKLACE: _GREEN, classes.CLOTH: _RED}
    return table | dict(changes)


HEADS = _table({})
"""AD-NeRF, RAD-NeRF, ER-NeRF, SyncTalk: hair, hat, ears and mouth are all head (spec_ernerf §2.2)."""

TALKINGGAUSSIAN = _table({classes.INNER_MOUTH: (100, 100, 100), classes.HAIR: (0, 0, 0)})
"""Hair and inner mouth apart; ears and hat are face (spec_talkinggaussian §2.2)."""

DEGSTALK = TALKINGGAUSSIAN | dict.fromkeys(classes.EARS, (0, 0, 0))
"""Ears and earrings go with the hair (spec_degstalk §2.2)."""


def paint(labels: NDArray[np.uint8], table: Mapping[int, Colour]) -> NDArray[np.uint8]:
    """[H,W,3] RGB colour map of a class map [H,W]."""
    lookup = np.zeros((256, 3), np.uint8)
    for index, colour in table.items():
        lookup[index] = colour
    return lookup[labels]
