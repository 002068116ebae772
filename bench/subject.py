"""A subject: one person's prepared video, read lazily from a folder in the field's layout (docs/subject-folder.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import arrays, audio, classes, plates, portrait, tables
from bench.errors import DataError

PREPARE = "make it with `bench data prepare`"


@dataclass(frozen=True, eq=False)
class Camera:
    """Pinhole camera, OpenCV axes (x right, y down, z forward)."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    viewmat: NDArray[np.float32]
    """[4,4] world (head) to camera; units as the tracker left them, about metres."""

    @property
    def K(self) -> NDArray[np.float32]:
        """[3,3] intrinsics in pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float32)

    @cached_property
    def centre(self) -> NDArray[np.float32]:
        """[3] camera centre in head coordinates."""
        rotation, translation = self.viewmat[:3, :3], self.viewmat[:3, 3]
        return (-rotation.T @ translation).astype(np.float32)

    def scaled(self, factor: float) -> Camera:
        """The same view at ``factor`` times the size."""
        width, height = round(self.width * factor), round(self.height * factor)
        sx, sy = width / self.width, height / self.height
        return replace(
            self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy
        )

    @staticmethod
    def from_transform(matrix: Sequence[Sequence[float]], focal: float, size: tuple[int, int]) -> Camera:
        """From a camera-to-world matrix with OpenGL axes; principal point at the centre (spec_degstalk §2.4)."""
        c2w = np.array(matrix, np.float64)
        if c2w.shape != (4, 4) or not np.isfinite(c2w).all():
            raise DataError(f"a transform_matrix is not 4×4 finite numbers; {PREPARE}")
        c2w[:3, 1:3] *= -1
        width, height = size
        return Camera(width, height, focal, focal, width / 2, height / 2, np.linalg.inv(c2w).astype(np.float32))


class Frame:
    """One frame of a subject; each part is read from disk when first asked for and then kept."""

    def __init__(self, subject: Subject, frame_id: int) -> None:
        self.subject, self.id = subject, frame_id

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """[H,W,3] RGB: the ground truth."""
        return _image(self.subject.root / f"ori_imgs/{self.id}.jpg", self.subject.size)

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """[H,W] CelebAMask-HQ classes (:mod:`bench.classes`)."""
        path = self.subject.root / f"parsing/{self.id}.png"
        labels = _read(path, lambda: classes.load(path))
        return _sized(path, labels, self.subject.size)

    @cached_property
    def teeth(self) -> NDArray[np.bool_]:
        """[H,W] teeth; all False where the folder has no teeth masks."""
        path = self.subject.root / f"teeth_mask/{self.id}.npy"
        if not path.exists():
            return np.zeros(self.subject.size[::-1], bool)
        return _sized(path, _read(path, lambda: arrays.array(path)).astype(bool), self.subject.size)

    @cached_property
    def landmarks(self) -> NDArray[np.float32]:
        """[68,2] iBUG landmarks, pixels (x, y)."""
        path = self.subject.root / f"ori_imgs/{self.id}.lms"
        points = _read(path, lambda: np.loadtxt(path, dtype=np.float32, ndmin=2))
        if points.shape != (68, 2) or not np.isfinite(points).all():
            raise DataError(f"{path}: expected 68 lines 'x y', got shape {points.shape}; {PREPARE}")
        return points

    @cached_property
    def camera(self) -> Camera:
        """The frame's camera."""
        return self.subject.camera(self.id)

    @cached_property
    def audio(self) -> NDArray[np.float32]:
        """[8, C, L] audio windows around the frame."""
        return audio.neighbourhood(self.subject.audio_features, self.id)

    @property
    def expression(self) -> NDArray[np.float32]:
        """[E] expression coefficients."""
        return self.subject.coefficients.expression[self.id]

    @property
    def eyelid(self) -> NDArray[np.float32]:
        """[2] eyelid closure, 0 open … 1 closed."""
        return self.subject.coefficients.eyelid[self.id]

    @property
    def shape(self) -> NDArray[np.float32]:
        """[S] shape coefficients of the head; S is 0 where the subject has none (only SMIRK's files do)."""
        return self.subject.coefficients.shape[self.id]

    @property
    def jaw(self) -> NDArray[np.float32]:
        """[3] jaw coefficients."""
        return self.subject.coefficients.jaw[self.id]

    @property
    def action_units(self) -> NDArray[np.float32]:
        """[6] AU01, 04, 05, 06, 07 and AU45 clipped to [0, 2] (spec_degstalk §2.9)."""
        return self.subject.action_units.upper[self.id]

    @property
    def upper_face(self) -> NDArray[np.float32]:
        """[7] upper-face blendshapes: browDown left and right, browInnerUp, browOuterUp left and right, blink left and right."""
        return self.subject.upper_face[self.id]

    @property
    def blink(self) -> float:
        """clip(AU45, 0, 2) / 2, in [0, 1]."""
        return float(self.subject.action_units.upper[self.id, 5]) / 2

    @property
    def lips_part(self) -> float:
        """AU25, unclipped intensity 0–5."""
        return float(self.subject.action_units.lips_part[self.id])

    @cached_property
    def background_pasted(self) -> NDArray[np.uint8]:
        """[H,W,3] the frame with its background replaced by the static plate (TalkingGaussian's ``gt_imgs``)."""
        return plates.background_pasted(self.image, self.labels, self.subject.background)

    @cached_property
    def torso_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] see :func:`bench.plates.torso_canvas`."""
        return plates.torso_canvas(self.image, self.labels, self.subject.background)

    @cached_property
    def hair_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] see :func:`bench.plates.hair_canvas`."""
        return plates.hair_canvas(self.image, self.labels, self.teeth, self.subject.background)

    @cached_property
    def bare_hair_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] the same without the rim inside the face's contour."""
        return plates.hair_canvas(self.image, self.labels, self.teeth, self.subject.background, rim=False)

    @cached_property
    def portrait_weights(self) -> NDArray[np.uint8]:
        """[H,W] see :func:`bench.portrait.face_weights`."""
        return portrait.face_weights(self.labels)

    @cached_property
    def portrait_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] the frame outside the face, black inside, with the soft edge that SyncTalk's portrait mode blends along."""
        return portrait.outside(self.image, self.portrait_weights)


class Subject:
    """A prepared subject folder. Opening it checks that everything is there; contents are read lazily.

    Raises:
        DataError: a file is missing or ill-shaped; the message names it and what makes it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.is_dir():
            raise DataError(f"no subject folder {root}: `bench data list` shows what there is")
        self.meta = tables.read_meta(root / "subject.json") if (root / "subject.json").exists() else {}
        self.name = str(self.meta.get("name", root.name))
        self.fps = _rate(root / "subject.json", self.meta.get("fps", 25))
        self._transforms: dict[int, Any] = {}
        self._focal: dict[int, float] = {}
        self.train_ids = self._load_transforms("transforms_train.json")
        self.test_ids = self._load_transforms("transforms_val.json")
        both = set(self.train_ids) & set(self.test_ids)
        if both:
            raise DataError(f"{root}: frame {min(both)} is in both transforms_train.json and transforms_val.json")
        self._check_files()

    @property
    def ids(self) -> list[int]:
        """All frame ids, training first."""
        return self.train_ids + self.test_ids

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) of every frame, from the first training frame."""
        path = self.root / f"ori_imgs/{self.ids[0]}.jpg"
        with _read(path, lambda: Image.open(path)) as image:
            return int(image.width), int(image.height)

    @cached_property
    def background(self) -> NDArray[np.uint8]:
        """[H,W,3] static background plate."""
        return _image(self.root / "bc.jpg", self.size)

    @cached_property
    def action_units(self) -> tables.ActionUnits:
        """Action units of every frame."""
        return tables.read_action_units(self.root / "au.csv", rows=max(self.ids) + 1)

    @cached_property
    def coefficients(self) -> tables.Coefficients:
        """Expression, eyelid and jaw coefficients of every frame."""
        return tables.read_coefficients(self.root, rows=max(self.ids) + 1)

    @cached_property
    def upper_face(self) -> NDArray[np.float32]:
        """[T,7] see :func:`bench.tables.read_upper_face`."""
        return tables.read_upper_face(self.root, rows=max(self.ids) + 1)

    @cached_property
    def audio_kind(self) -> str:
        """Key of the first of :data:`bench.audio.KINDS` whose file is there; else ``mel`` (log-mel from aud.wav)."""
        return next((kind.key for kind in audio.KINDS if (self.root / kind.file).exists()), "mel")

    @cached_property
    def audio_features(self) -> NDArray[np.float32]:
        """[T, L, C] feature windows of ``audio_kind``, one a video frame."""
        if self.audio_kind == "mel":
            return audio.windows(audio.log_mel(audio.read_wav(self.root / "aud.wav")))
        kind = next(kind for kind in audio.KINDS if kind.key == self.audio_kind)
        path = self.root / kind.file
        features: NDArray[np.float32] = _read(path, lambda: arrays.array(path, "r").astype(np.float32))
        if features.shape[1:] != kind.window or not np.isfinite(features).all():
            raise DataError(f"{path} has shape {list(features.shape)}, expected finite {kind.shape}; {PREPARE}")
        return features

    @property
    def sound(self) -> Path | None:
        """The sound file, if there is one."""
        path = self.root / "aud.wav"
        return path if path.exists() else None

    def frame(self, frame_id: int) -> Frame:
        """A frame; nothing is read yet. Frames are not kept: hold on to one to reuse what it has read."""
        if frame_id not in self._transforms:
            raise DataError(f"subject {self.name} has no frame {frame_id} in its transforms")
        return Frame(self, frame_id)

    def camera(self, frame_id: int) -> Camera:
        """Camera of a frame."""
        return Camera.from_transform(self._transforms[frame_id], self._focal[frame_id], self.size)

    def for_training(self) -> Subject:
        """The same subject as a method may see it while training: test frames can't be opened."""
        view = Subject.__new__(Subject)
        view.__dict__.update(self.__dict__)
        view.test_ids = []
        view._transforms = {i: self._transforms[i] for i in self.train_ids}
        return view

    def _load_transforms(self, name: str) -> list[int]:
        path = self.root / name
        data = tables.read_json(path)
        try:
            focal = float(data["focal_len"])
            frames = {int(f["img_id"]): f["transform_matrix"] for f in data["frames"]}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{path}: lacks focal_len or frames[].img_id/transform_matrix ({error!r}); {PREPARE}"
            ) from error
        if not frames or focal <= 0:
            raise DataError(f"{path}: no frames or focal_len {focal}; {PREPARE}")
        self._transforms.update(frames)
        self._focal.update(dict.fromkeys(frames, focal))
        return list(frames)

    def _check_files(self) -> None:
        for folder, suffix, maker in (
            ("ori_imgs", "jpg", "the frames step"),
            ("ori_imgs", "lms", "the landmarks step"),
            ("parsing", "png", "the parsing step"),
        ):
            present = {p.name for p in (self.root / folder).glob(f"*.{suffix}")}
            missing = [i for i in self.ids if f"{i}.{suffix}" not in present]
            if missing:
                path = self.root / folder / f"{missing[0]}.{suffix}"
                raise DataError(
                    f"{path} is missing ({len(missing)} of {len(self.ids)} such files); {maker} of `bench data prepare` makes it"
                )
        for name in ("bc.jpg", "au.csv"):
            if not (self.root / name).exists():
                raise DataError(f"{self.root / name} is missing; {PREPARE}")
        if self.audio_kind == "mel" and self.sound is None:
            files = ", ".join(kind.file for kind in audio.KINDS)
            raise DataError(f"{self.root} has neither {files} nor aud.wav; {PREPARE}")
        _ = self.size, self.background, self.action_units, self.camera(self.ids[0])


def open_subject(path: Path | str) -> Subject:
    """Open and check a subject folder."""
    return Subject(Path(path))


def _rate(path: Path, value: Any) -> float:
    if not isinstance(value, int | float) or not 1 <= value <= 1000:
        raise DataError(f"{path}: fps is {value!r}, expected a number of frames per second")
    return float(value)


def _read(path: Path, reader: Any) -> Any:
    try:
        return reader()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {PREPARE}") from error
    except (OSError, EOFError, ValueError, SyntaxError) as error:  # EOFError: numpy's word for an empty file
        raise DataError(f"{path} can't be read ({error}); {PREPARE}") from error


def _sized(path: Path, array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if array.shape[:2] != size[::-1]:
        raise DataError(f"{path} is {array.shape[1]}×{array.shape[0]}, frames are {size[0]}×{size[1]}; {PREPARE}")
    return array


def _image(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    def reader() -> NDArray[np.uint8]:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8)

    return _sized(path, _read(path, reader), size)
