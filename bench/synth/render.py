"""From a head, coefficients and a pose to a picture with its exact masks and landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import brows, facemap, hair, light, mesh, paint, surface
from .assets import Floats, Ints
from .head import Head, Pose
from .kernels import draw_strands, draw_triangles, jit, occlusion
from .landmarks import Landmarks

_DISTANCE = 9.4  # dm from the camera to the head's centre
_FOCAL = 2.32  # focal length over picture width
_SHADOW = 560  # pixels a side of the shadow map
_FAR = 1e9
_BROW_COVER, _LASH_COVER = 0.65, 0.5  # a hair is finer than the strand drawn for it

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One rendered frame: ``rgb`` [H,W,3], CelebAMask-HQ ``classes`` [H,W], ``hair`` coverage [H,W] 0–255, ``teeth`` [H,W] bool."""

    rgb: Bytes
    classes: Bytes
    hair: Bytes
    teeth: NDArray[np.bool_]


class Camera:
    """The still camera in front of the room; pixels are continuous coordinates, (0, 0) the picture's upper left corner."""

    def __init__(self, head: Head, size: int) -> None:
        self.size, self.focal = size, _FOCAL * size
        self.eye = np.array([0.0, head.centre[1] - 0.33 * head.height, head.centre[2] - 0.30 + _DISTANCE])

    def project(self, points: Floats, scale: float = 1.0) -> tuple[Floats, Floats]:
        """Pixels [...,2] (times ``scale``) and depth [...] in dm of world ``points`` [...,3]."""
        r = points - self.eye
        depth = -r[..., 2]
        half = self.size / 2
        xy = np.stack([half + self.focal * r[..., 0] / depth, half - self.focal * r[..., 1] / depth], axis=-1)
        return xy * scale, depth

    def to_world(self, head: Head, pose: Pose) -> Floats:
        """Camera-to-world [4,4] in the *head's* frame: metres, origin at the head's centre, OpenGL axes."""
        table = pose.table()[-1]
        turn = table[:, :3]
        shift = 0.1 * (turn @ (head.centre - head.pivot) + head.pivot + table[:, 3] - self.eye)
        out = np.eye(4)
        out[:3, :3] = turn.T
        out[:3, 3] = -turn.T @ shift
        return out


class Renderer:
    """Draws one head at one size; everything that no frame changes is made here."""

    def __init__(self, head: Head, size: int, supersample: int = 2) -> None:
        self.head, self.size, self.supersample = head, size, supersample
        self.camera = Camera(head, size)
        self.marks = Landmarks(head)
        self.strands = hair.grow(head)
        self.brow = brows.grow(head)
        self.face_map = facemap.draw(head)
        self.attributes = surface.attributes(head)
        self.palette = surface.palette(head)
        self.eyes, self.arch = surface.eyes(head), surface.arch(head)
        self.backdrop = _backdrop(head, size)

    @property
    def plate(self) -> Bytes:
        """The background without the person, RGB [H,W,3]."""
        return _develop(self.backdrop)

    def landmarks(self, coefficients: Floats, pose: Pose) -> Floats:
        """The 68 iBUG landmarks [68,2] in pixels."""
        return self.camera.project(self.marks.world(coefficients, pose))[0]

    def draw(self, coefficients: Floats, pose: Pose) -> Picture:
        """Render ARKit ``coefficients`` [52] at ``pose``."""
        head, table = self.head, pose.table()
        shape = head.shape(coefficients)
        world = head.place(shape, head.follow, table)
        strands = _placed(head, self.strands.points, self.strands.share, pose.table(hair=True))
        carried = self.brow.points + self.brow.host.on(shape - head.rest, head.faces)[:, None]
        brow = _placed(head, carried, np.ones(carried.shape[:2]), table)
        side = self.size * self.supersample
        depth, index, bary = _blank(side), np.full((side, side), -1), np.zeros((side, side, 3))
        xy, z = self.camera.project(world, self.supersample)
        draw_triangles(xy, z, head.faces, head.cut, depth, index, bary)
        hair_at, along = self._lines(strands, self.strands.radius, 0.35, depth, 0.0)
        brow_at, _ = self._lines(brow, self.brow.radius, 0.5, depth, 0.012)
        hair_at[brow_at >= 0] = -1
        index[hair_at >= 0] = -1
        origin = head.place(head.centre[None], np.ones(1), table)[0] - np.array([0.0, 1.0, 0.0])
        shadow = self._shadow(world, strands, origin)
        screen = np.ones((side, side))
        occlusion(depth, 0.20 * self._scale, 0.30, screen)
        out, kind = self._surfaces(index, bary, world, screen, origin, shadow)
        colour = self.palette[paint.HAIR_C]
        light.light_strands(hair_at, along, strands, self.strands.tint, 0.45 + 0.55 * self.strands.layer, self.strands.outward,
                            colour, screen, self.camera.eye, origin, shadow, 0.6, out)  # fmt: skip
        self._brow_light(brow_at, out, kind)
        kind[hair_at >= 0] = paint.HAIR_K
        return self._resolve(out, kind, (hair_at >= 0) | (kind == paint.HAIR_K))

    @property
    def _scale(self) -> float:
        """Supersampled pixels per dm at the head."""
        return self.camera.focal * self.supersample / _DISTANCE

    def _lines(self, curves: Floats, radius: Floats, taper: float, depth: Floats, lift: float) -> tuple[Ints, Floats]:
        side = depth.shape[0]
        index, along = np.full((side, side), -1), np.zeros((side, side))
        xy, z = self.camera.project(curves, self.supersample)
        draw_strands(xy, z - lift, radius * self._scale, taper, depth, index, along)
        return index, along

    def _shadow(self, world: Floats, strands: Floats, origin: Floats) -> Floats:
        """Depth map [560,560] seen from the key light."""

        def seen(points: Floats) -> tuple[Floats, Floats]:
            r = points - origin
            scale = _SHADOW / light.SHADOW_SPAN
            return np.stack(
                [r @ light.ACROSS * scale, -(r @ light.UP) * scale], axis=-1
            ) + _SHADOW / 2, 20 - r @ light.KEY

        head = self.head
        depth, index, bary = _blank(_SHADOW), np.full((_SHADOW, _SHADOW), -1), np.zeros((_SHADOW, _SHADOW, 3))
        draw_triangles(*seen(world), head.faces, head.cut, depth, index, bary)
        thin = strands[::4]
        draw_strands(*seen(thin), np.full(len(thin), 0.9), 0.0, depth, index, np.zeros_like(depth))
        return depth

    def _surfaces(
        self, index: Ints, bary: Floats, world: Floats, screen: Floats, origin: Floats, shadow: Floats
    ) -> tuple[Floats, Ints]:
        """Lit picture over the backdrop and class of every pixel, both supersampled."""
        head, side = self.head, index.shape[0]
        colour, gloss, kind = np.zeros((side, side, 3)), np.zeros((side, side, 2)), np.zeros((side, side), np.int64)
        frame = np.array([1.3, head.crown + 0.1, 900 / 2.6, head.ear_centre[2] + 0.25])
        paint.paint(index, bary, head.faces, head.part, head.rest, self.attributes, self.face_map, frame, self.palette,
                    self.eyes, self.arch, head.identity.stubble, colour, gloss, kind)  # fmt: skip
        out = np.repeat(np.repeat(self.backdrop, self.supersample, axis=0), self.supersample, axis=1)
        light.light_surfaces(index, bary, head.faces, world, mesh.normals(world, head.faces), head.rest,
                             self.attributes[:, paint.OPEN], screen, kind, colour, gloss, self.camera.eye, origin, shadow,
                             out)  # fmt: skip
        return out, kind

    def _brow_light(self, brow_at: Ints, out: Floats, kind: Ints) -> None:
        """Brows and lashes are thinner than a pixel and matt: a flat colour laid thinly over the skin."""
        drawn = brow_at >= 0
        strand = brow_at[drawn]
        is_brow = strand < self.brow.brows
        tone = np.where(is_brow, 0.55 + 0.2 * self.brow.tint[strand], 0.25)
        cover = np.where(is_brow, _BROW_COVER, _LASH_COVER)[:, None]
        out[drawn] += cover * (self.palette[paint.HAIR_C] * tone[:, None] + 0.004 - out[drawn])
        left = self.brow.points[strand, 0, 0] > 0
        brow = np.where(left, paint.BROW_L, paint.BROW_R)
        kind[drawn] = np.where(strand < self.brow.brows, brow, np.where(left, paint.EYE_L, paint.EYE_R))

    def _resolve(self, out: Floats, kind: Ints, hairy: NDArray[np.bool_]) -> Picture:
        """Box the supersamples down: mean colour, most frequent class, share of hair."""
        n, k = self.size, self.supersample
        rgb = out.reshape(n, k, n, k, 3).mean(axis=(1, 3))
        cover = hairy.reshape(n, k, n, k).mean(axis=(1, 3))
        classes = np.empty((n, n), np.uint8)
        _majority(kind, k, classes)
        teeth = classes == paint.TEETH_K
        classes[teeth] = paint.MOUTH_K
        return Picture(_develop(rgb), classes, np.round(cover * 255).astype(np.uint8), teeth)


@jit
def _majority(kind: Ints, factor: int, out: Bytes) -> None:
    """Most frequent class of every ``factor`` × ``factor`` block; the higher class wins ties."""
    count = np.zeros(32, np.int64)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            count[:] = 0
            for a in range(factor):
                for b in range(factor):
                    count[kind[row * factor + a, column * factor + b]] += 1
            best = 0
            for c in range(32):
                if count[c] >= count[best]:
                    best = c
            out[row, column] = best


def _blank(side: int) -> Floats:
    return np.full((side, side), _FAR)


def _placed(head: Head, curves: Floats, share: Floats, table: Floats) -> Floats:
    return head.place(curves.reshape(-1, 3), share.ravel(), table).reshape(curves.shape)


def _develop(linear: Floats) -> Bytes:
    """Filmic tone curve and sRGB-like gamma: linear light [...,3] to 8 bits."""
    x = linear * 0.80
    curve = np.clip((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    return np.asarray(np.round(curve ** (1 / 2.2) * 255), dtype=np.uint8)


def _backdrop(head: Head, size: int) -> Floats:
    """A still, softly lit wall [H,W,3], linear light."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    tone = np.array(head.identity.backdrop) ** 2.2
    glow = np.exp(-((x - 0.64) ** 2 + (y - 0.36) ** 2) / 0.22)
    shade = 0.50 + 0.42 * glow - 0.10 * y
    warm = 1 + np.array([0.06, 0.0, -0.05]) * (x[..., None] - 0.5)
    return np.asarray(tone * shade[..., None] * warm)
