"""The parser that needs no download: face mesh for the face's parts, MediaPipe's person segmentation (carried by its
wheel) for the outline, and between them hair, skin and cloth by colours that are learnt from the clip itself.

What a pixel outside the face's outline is follows from where it lies (:mod:`bench.prepare.parsers.geometry`) and from
three colour histograms, learnt by expectation-maximisation on frames spread over the clip. Hair comes from a segmentation
model instead where the user has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bench import classes
from bench.classes import Mask
from bench.landmarks import silent_stderr
from bench.prepare import contours
from bench.prepare.contours import Points
from bench.prepare.parsers import Choice, Labels, Sample, evidence
from bench.prepare.parsers.geometry import CLOTH, HAIR, KINDS, SKIN, FaceFrame, expected

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]

_SIDE = 256
"""Longer side of the pictures that colours are learnt and judged on; the person segmentation sees no more than that."""
_BINS = 32
"""Of the colour histograms, an axis."""
_ROUNDS = 4
_FLOOR = 0.02
"""Share of a histogram spread evenly over all colours, so that an unseen colour is merely unlikely."""
_BROWS = 0.62
"""Height from which hair may hang into the face."""
_CHEEKS = 0.4
"""Where it may fall over the face's sides."""
_FRINGE = 0.12
"""How likely hair is there, before looking."""
_HAIR_ON_CLOTH = 0.1
"""What counts of hair-coloured pixels where cloth is expected, to begin with: they may be hair that hangs over it."""
_EAR_LOW, _EAR_HIGH = 0.22, 0.85


class Person:
    """MediaPipe's selfie segmentation (square model), as its wheel carries it: Apache-2.0."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

        with silent_stderr():
            self._model: Any = SelfieSegmentation(model_selection=0)
            self._model.process(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, picture: Picture) -> Array:
        """[H,W] how sure it is that a pixel of an RGB picture belongs to a person, 0 … 1."""
        return np.asarray(self._model.process(picture).segmentation_mask, np.float32)


def small(picture: Image.Image, points: Points) -> tuple[Picture, Points]:
    """Picture and mesh at the size at which colours are judged; pictures are never enlarged."""
    scale = min(1.0, _SIDE / max(picture.size))
    size = (round(picture.width * scale), round(picture.height * scale))
    factors = np.array(size, np.float64) / picture.size
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX)), points[:, :2] * factors


def _bins(picture: Picture) -> NDArray[np.int64]:
    r, g, b = np.moveaxis(picture.astype(np.int64) * _BINS // 256, -1, 0)
    return (r * _BINS + g) * _BINS + b


def _histogram(bins: NDArray[np.int64], weights: Array) -> Array:
    """[_BINS³] density of colours, smoothed."""
    counts = np.bincount(bins.ravel(), weights.ravel(), _BINS**3).reshape(_BINS, _BINS, _BINS)
    smooth = ndimage.gaussian_filter(counts, 0.8, mode="nearest").ravel()
    return ((1 - _FLOOR) * smooth / max(smooth.sum(), 1e-9) + _FLOOR / _BINS**3).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Look:
    """What is known of a small frame before colours are judged."""

    picture: Picture
    bins: NDArray[np.int64]
    """[H,W] colour bins."""
    person: Array
    """[H,W]"""
    prior: Array
    """[3,H,W] how likely hair, skin and cloth are."""
    open: Mask
    """[H,W] where that is not decided by the mesh."""
    skin: Mask
    """[H,W] skin for certain."""


class Colours:
    """Colour densities of hair, skin and cloth in this clip."""

    def __init__(self, samples: Iterable[_Look]) -> None:
        """From small frames; see :class:`_Look`."""
        seen = list(samples)
        bins = np.concatenate([look.bins.ravel() for look in seen])
        prior = np.concatenate([look.prior.reshape(KINDS, -1) for look in seen], axis=1)
        open_ = np.concatenate([(look.open & (look.person > 0.5)).ravel() for look in seen])
        sure_skin = np.concatenate([look.skin.ravel() for look in seen])
        share = np.where(open_, prior**4, 0)  # to begin with, only the places that are nearly certain count
        share[SKIN] = sure_skin
        like_hair = _histogram(bins, share[HAIR])[bins] * _BINS**3 > 1
        share[CLOTH, like_hair] *= _HAIR_ON_CLOTH
        self.density = np.stack([_histogram(bins, part) for part in share])
        for _ in range(_ROUNDS):
            share = np.where(open_, self.judged(bins, prior), 0)
            share[SKIN] += sure_skin
            self.density = np.stack([_histogram(bins, part) for part in share])

    def judged(self, bins: NDArray[np.int64], prior: Array) -> Array:
        """[3,…] how likely hair, skin and cloth are, from colour and place; sums to 1."""
        joint = self.density[:, bins] * prior
        return joint / joint.sum(0)


def _prior(points: Points, size: tuple[int, int], evidence: Array | None) -> tuple[Array, Mask, Mask]:
    """([3,H,W] prior, where it is open what a pixel of the person is, skin for certain)."""
    face, frame = contours.part(points, contours.OVAL, size), FaceFrame.of(points, size)
    open_ = (frame.height > _BROWS) | (np.abs(frame.aside) > _CHEEKS) if evidence is None else np.ones_like(face)
    prior = expected(frame)
    prior[:, face] = np.array([0, 1, 0], np.float32)[:, None]
    prior[:, face & open_] = np.array([_FRINGE, 1 - _FRINGE, 0], np.float32)[:, None]
    skin = face & ~open_
    if evidence is not None:
        prior *= evidence
        prior /= prior.sum(0)
        skin = face & (prior[SKIN] > 0.5)
    for other in (contours.LEFT_EYE, contours.RIGHT_EYE, contours.UPPER_LIP, contours.LOWER_LIP, contours.INNER_LIP):
        skin &= ~contours.part(points, other, size)
    return prior, ~face | open_, skin


def joined(part: Mask, seeds: Mask) -> Mask:
    """The components of ``part`` that touch ``seeds``."""
    count, numbers = cv2.connectedComponents(part.view(np.uint8), connectivity=4)
    table = np.zeros(count, bool)
    table[numbers[seeds & part]] = True
    return table[numbers]


class OfflineParser:
    """See the module. ``samples``: (picture, mesh) of frames spread over the clip, for the colours."""

    def __init__(self, choice: Choice, samples: Iterable[Sample]) -> None:
        self.choice, self._person = choice, Person()
        self._evidence = evidence.load(choice.hair) if choice.hair else None
        self._models = Lock()
        self._colours = Colours(self._look(*sample) for sample in samples)

    def __call__(self, picture: Image.Image, points: Points) -> Labels:
        """See :class:`bench.prepare.parsers.FaceParser`."""
        look = self._look(picture, points)
        kinds = self._colours.judged(look.bins, look.prior)
        guide = look.picture.astype(np.float32) / 255  # edges follow the picture's
        smooth = cv2.split(cv2.ximgproc.guidedFilter(guide, cv2.merge(tuple(kinds)), 4, 1e-3))
        *large, body = [cv2.resize(p, picture.size, interpolation=cv2.INTER_LINEAR) for p in (*smooth, look.person)]
        hair, skin, cloth = large
        which = np.where(skin >= cloth, SKIN, CLOTH)  # as argmax, which is slow along this axis
        which[hair >= np.maximum(skin, cloth)] = HAIR
        return composed(which, body > 0.5, points, picture.size)

    def _look(self, picture: Image.Image, points: Points) -> _Look:
        little, few = small(picture, points)
        size = (little.shape[1], little.shape[0])
        with self._models:  # frames are parsed by several threads
            likely = self._evidence(picture, size) if self._evidence else None
            person = self._person(little)
        return _Look(little, _bins(little), person, *_prior(few, size, likely))


def composed(kinds: NDArray[np.integer[Any]], person: Mask, points: Points, size: tuple[int, int]) -> Labels:
    """Class map from hair, skin or cloth a pixel [H,W], the person's outline, and the mesh."""
    frame = FaceFrame.of(points, size)
    face = contours.part(points, contours.OVAL, size)
    hair = joined(person & (kinds == HAIR), (frame.height > 0.3) & ~face)
    labels = np.zeros(kinds.shape, np.uint8)
    labels[person] = classes.CLOTH
    skin = person & ~hair & (kinds == SKIN)
    height = frame.height
    labels[skin & (height < _EAR_LOW)] = classes.NECK
    labels[skin & (height >= _EAR_LOW)] = classes.SKIN
    ears = skin & ~face & (height >= _EAR_LOW) & (height < _EAR_HIGH)
    labels[ears] = np.where(frame.aside > 0, 7, 8)[ears]
    cloth = labels == classes.CLOTH
    labels[cloth & ~joined(cloth, height < -_EAR_LOW) & (height > 0)] = classes.HAIR
    labels[face] = classes.SKIN
    labels[hair] = classes.HAIR
    for contour, part in _PARTS:
        labels[contours.part(points, contour, size) & (labels == classes.SKIN)] = part
    return labels


_PARTS = (
    (contours.NOSE, 10),
    (contours.LEFT_BROW, 2),
    (contours.RIGHT_BROW, 3),
    (contours.LEFT_EYE, 4),
    (contours.RIGHT_EYE, 5),
    (contours.UPPER_LIP, 12),
    (contours.LOWER_LIP, 13),
    (contours.INNER_LIP, classes.INNER_MOUTH),
)
"""Painted in this order, each on skin only."""
