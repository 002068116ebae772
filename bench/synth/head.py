"""One identity's head and shoulders: rest shape, face units, clothing layer, pose and landmarks.

Vertices are the fine mesh's, followed by a second copy of the torso: the shirt. Lengths are dm in the body's own axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np
import scipy.sparse as sp

from . import assets, mesh
from .assets import Floats, Ints
from .identity import Identity
from .kernels import draw_triangles, move_points

UNITS = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen",
    "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight",
    "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit units in the order of every coefficient table here (alphabetical)."""


def head_unit(name: str) -> int:
    """Column of an ARKit unit in coefficient tables."""
    return UNITS.index(name)


_POSE_STEPS = 65  # table of rotations over the share 0…1; linear between, exact at 1
_FRONT = 900  # pixels a side of the frontal depth map that places things on the face


@dataclass(frozen=True)
class Pose:
    """Head angles (yaw, pitch, roll; radians), the angles the hair's tips have reached, shifts of head and torso (dm)."""

    angles: Floats
    hair_angles: Floats
    shift: Floats
    torso: Floats

    @staticmethod
    def rest() -> Pose:
        """The pose the mesh is stored in."""
        return Pose(*np.zeros((4, 3)))

    def table(self, *, hair: bool = False) -> Floats:
        """Affine maps [65,3,4] about the pivot for shares 0…1 of the head's motion; hair trails towards its tips."""
        out = np.empty((_POSE_STEPS, 3, 4))
        for row, share in enumerate(np.linspace(0.0, 1.0, _POSE_STEPS)):
            trailing = self.hair_angles if hair else self.angles
            out[row, :, :3] = rotation(share * (trailing + (self.angles - trailing) * share))
            out[row, :, 3] = share * self.shift + (1 - share) * self.torso
        return out


def rotation(angles: Floats) -> Floats:
    """Rotation [3,3] of (yaw, pitch, roll) in radians: Ry(yaw) · Rx(pitch) · Rz(roll)."""
    (cy, cx, cz), (sy, sx, sz) = np.cos(angles), np.sin(angles)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    tilt = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(turn @ nod @ tilt)


@dataclass(frozen=True)
class Anchors:
    """Points fixed to the mesh: ``triangle`` [K] and barycentric ``weight`` [K,3]."""

    triangle: Ints
    weight: Floats

    def on(self, points: Floats, faces: Ints) -> Floats:
        """The anchors' values [K,C] for vertex values [N,C]."""
        return mesh.at(points, faces, self.triangle, self.weight)


class Head:
    """Rest shape and everything derived from it once per identity."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        topology = mesh.topology()
        base = assets.base_mesh()[0].copy()
        for name, weight in identity.shape.items():
            base += weight * assets.target(name)
        body = topology.fine(base)
        self.body_count = len(body)
        self.body_faces, self.body_part, self.body_follow = topology.faces, topology.part, topology.follow
        self.skin = np.unique(topology.faces[topology.part == mesh.SKIN])
        self._seat_teeth(body)
        units = assets.face_units()
        self.unit_moves = np.stack([topology.fine(units[name]) for name in UNITS]).astype(np.float32)
        self._measure(body)
        self._dress(body)

    def _seat_teeth(self, body: Floats) -> None:
        """Move teeth and tongue of ``body`` down and back.

        The base mesh keeps them so high that a speaking mouth looks empty, and so far in front that pressed lips meet them.
        """
        teeth = np.unique(self.body_faces[self.body_part == mesh.TEETH])
        upper = body[teeth, 1] > np.median(body[teeth, 1])
        body[teeth, 1] -= np.where(upper, 0.065, 0.045)
        body[teeth, 2] -= 0.045
        body[np.unique(self.body_faces[self.body_part == mesh.TONGUE])] -= np.array([0.0, 0.10, 0.03])

    def _measure(self, body: Floats) -> None:
        """Landmarks of size and place: ears, crown, chin, neck base, pivot of the head's rotation."""
        # The target that makes ears stick out moves the ears and nothing else.
        ears = [mesh.topology().fine(assets.target(f"ears/{side}-ear-wing-incr")) for side in "lr"]
        moved = np.linalg.norm(ears[0] + ears[1], axis=1)
        self.ear = moved > 0.05 * moved.max()
        on_head = self.body_follow > 0.95
        self.ear_centre = body[self.ear].mean(axis=0) * np.array([0.0, 1.0, 1.0])
        self.crown = float(body[on_head][:, 1].max())
        self.height = self.crown - self.ear_centre[1]
        chin = body[self.skin][(self.body_follow[self.skin] > 0.95) & (np.abs(body[self.skin, 0]) < 0.2)]
        self.chin = float(chin[chin[:, 2] > self.ear_centre[2] + 0.5][:, 1].min())
        ring = self.body_follow
        self.neck = body[(ring > 0.15) & (ring < 0.3)].mean(axis=0) * np.array([0.0, 1.0, 1.0])
        self.pivot = body[(ring > 0.4) & (ring < 0.7)].mean(axis=0) * np.array([0.0, 1.0, 1.0])
        self.centre = self.ear_centre + np.array([0.0, 0.05 * self.height, 0.45])

    def _dress(self, body: Floats) -> None:
        """Add the shirt: a smoothed, slightly larger copy of the torso that ends at the collar."""
        torso = self.body_part == mesh.SKIN
        torso &= (self.body_follow < 0.45)[self.body_faces].all(axis=1)
        used, compact = np.unique(self.body_faces[torso], return_inverse=True)
        faces = compact.reshape(-1, 3)
        cloth = _relax(body[used], faces, rounds=12)
        collar = self.collar(cloth)
        thick = 0.05 + 0.05 * np.clip(collar / 0.5, 0, 1) - 0.03 * np.exp(-((collar / 0.03) ** 2))
        cloth = cloth + mesh.normals(cloth, faces) * thick[:, None]
        self.rest = np.concatenate([body, cloth])
        self.faces = np.concatenate([self.body_faces, faces + self.body_count])
        self.part = np.concatenate([self.body_part, np.full(len(faces), mesh.CLOTH)])
        self.follow = np.concatenate([self.body_follow, self.body_follow[used]])
        # Skin ends well under the shirt, the shirt at its collar line: both are cut inside triangles, so edges are clean.
        under = np.where(self.body_follow < 0.45, 0.18 - self.collar(body), 1.0)
        self.cut = np.concatenate([under, self.collar(cloth)])

    def collar(self, points: Floats) -> Floats:
        """Signed distance-like field [N] of the crew neck: positive on the shirt, negative towards the head (dm)."""
        r = points - self.neck
        return np.asarray((-0.24 - 0.45 * r[:, 2] + 0.28 * r[:, 0] ** 2 - r[:, 1]) / 1.1)

    def shape(self, coefficients: Floats) -> Floats:
        """Unposed vertices [N,3] for ARKit ``coefficients`` [52]."""
        out: Floats = self.rest.copy()
        active = np.flatnonzero(coefficients)
        out[: self.body_count] += np.tensordot(coefficients[active], self.unit_moves[active], axes=1)
        return out

    def place(self, points: Floats, share: Floats, table: Floats) -> Floats:
        """``points`` [N,3] moved by the maps of ``table`` at ``share`` [N] (see :meth:`Pose.table`)."""
        out = np.empty_like(points)
        move_points(points, share, table, self.pivot, out)
        return out

    @cached_property
    def marks(self) -> Anchors:
        """The 478 points of mediapipe's face mesh as anchors; fitted once (``fit.py``), the same on every identity."""
        with resources.as_file(resources.files(__package__) / "anchors.npz") as path, np.load(path) as stored:
            return Anchors(stored["triangle"].astype(np.int64), stored["weight"].astype(np.float64))

    @cached_property
    def mark_points(self) -> Floats:
        """The marks' rest places [478,3]."""
        return self.marks.on(self.rest, self.faces)

    @cached_property
    def front(self) -> tuple[Floats, Ints, Floats]:
        """Frontal view of the face at rest (see :meth:`view`)."""
        return self.view(self.rest)

    def view(self, points: Floats) -> tuple[Floats, Ints, Floats]:
        """Orthographic frontal view of ``points`` [N,3]: z [F,F] (very low outside), triangle [F,F], weights [F,F,3]."""
        depth, index = np.full((_FRONT, _FRONT), 1e9), np.full((_FRONT, _FRONT), -1)
        bary = np.zeros((_FRONT, _FRONT, 3))
        xy = self.front_pixels(points[:, :2])
        # A far, nearly orthographic depth: 100 dm minus z.
        draw_triangles(xy, 100.0 - points[:, 2], self.faces, np.ones(len(points)), depth, index, bary)
        return 100.0 - depth, index, bary

    def front_pixels(self, xy: Floats) -> Floats:
        """Pixels (column, row) of body coordinates ``xy`` [K,2] in :attr:`front` and the face map."""
        scale = _FRONT / 2.6
        return np.stack([(xy[:, 0] + 1.3) * scale, (self.crown + 0.1 - xy[:, 1]) * scale], axis=1)

    def on_face(self, xy: Floats) -> Anchors:
        """Anchors where the frontal ray through ``xy`` [K,2] meets the face."""
        _, index, bary = self.front
        column, row = self.front_pixels(xy).astype(int).T
        return Anchors(index[row, column], bary[row, column])


def _relax(points: Floats, faces: Ints, rounds: int) -> Floats:
    """Laplacian smoothing of the inner vertices: cloth spans hollows that skin follows."""
    pairs = np.concatenate([faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    both = np.concatenate([pairs, pairs[:, ::-1]])
    near = sp.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(len(points),) * 2)
    # A directed edge used once belongs to the border, which stays.
    key = pairs[:, 0] * len(points) + pairs[:, 1]
    border = pairs[~np.isin(key, pairs[:, 1] * len(points) + pairs[:, 0])].ravel()
    mean = sp.diags(1 / np.asarray(near.sum(axis=1)).ravel()) @ near
    out: Floats = points
    for _ in range(rounds):
        moved = np.asarray(mean @ out)
        moved[border] = points[border]
        out = moved
    return out
