"""68 facial landmarks in iBUG's order, from one of three detectors behind one interface.

``mediapipe`` is the default: it is a hard dependency whose model is in its wheel, so every installation gets the same numbers; its
licence is Apache-2.0; and it needs 10 ms a frame on a CPU. ``fan`` is what the field's published LMD values used. A
detector's name and version are part of LMD's signature: values of different detectors don't compare.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench import paths, weights
from bench.errors import AbsentError, unknown

if TYPE_CHECKING:
    from bench.metrics.cache import Store

Points = NDArray[np.float32]
"""Landmarks [68, 2] as x, y in pixels from the top left."""

MEDIAPIPE_TO_IBUG = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # 0–16 jaw, image left to right
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # 17–21 left brow, 22–26 right brow
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # 27–30 bridge of the nose, 31–35 below it
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # 36–41 left eye, 42–47 right eye, from the outer corner
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # 48–59 outer lip, from the left corner over the top
    78, 82, 13, 312, 308, 317, 14, 87,  # 60–67 inner lip, the same way
)  # fmt: skip
"""Vertices of MediaPipe's face mesh (478 points) that lie where iBUG's 68 points do; left and right as in the image."""


class Detector(Protocol):
    """Finds one face's landmarks in a picture, independently of all pictures before it."""

    name: str
    version: str

    def detect(self, frame: NDArray[np.uint8]) -> Points | None:
        """Landmarks of the face in an RGB frame [H, W, 3]; None if there is no face."""


def detect_all(detector: Detector, frames: NDArray[np.uint8], *, remember: bool = False) -> Points:
    """Landmarks of frames [N, H, W, 3] as float32 [N, 68, 2]: NaN where no face was found.

    :param remember: look on disk first, and keep there what had to be detected: for ground truth, which many predictions share
    """
    known = _store(paths.home(), os.environ.get("BENCH_CACHE")) if remember else None
    points = np.full((len(frames), 68, 2), np.nan, np.float32)
    for index, frame in enumerate(frames):
        points[index] = _detected(detector, frame) if known is None else _known(detector, frame, known)
    return points


def _known(detector: Detector, frame: NDArray[np.uint8], known: Store) -> Points:
    from bench.metrics import cache

    key = cache.key(frame, "landmarks", detector.name, detector.version)
    if (stored := known.get(key)) is not None:
        return np.frombuffer(stored, np.float32).reshape(68, 2)
    found = _detected(detector, frame)
    known.put(key, found.tobytes())
    return found


def _detected(detector: Detector, frame: NDArray[np.uint8]) -> Points:
    with _detecting:
        found = detector.detect(frame)
    return np.full((68, 2), np.nan, np.float32) if found is None else np.asarray(found, np.float32)


_detecting = threading.Lock()
"""MediaPipe's and dlib's objects can do one frame at a time."""


@functools.lru_cache(maxsize=1)
def _store(home: Path, wish: str | None) -> Store | None:
    """One store as long as its place stays the same: it counts what it holds."""
    from bench.metrics import cache  # metrics import this module

    return cache.store("landmarks")


class MediaPipe:
    """MediaPipe's face mesh with refined lips, each frame on its own (``static_image_mode``): no smoothing over time."""

    name = "mediapipe"

    def __init__(self, device: str = "cpu") -> None:
        """Load the model; it runs on the CPU whatever ``device`` is."""
        with silent_stderr():
            from mediapipe.python.solutions import face_mesh

            self._mesh = face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True)
            self._mesh.process(np.zeros((64, 64, 3), np.uint8))  # some of its chatter comes with the first frame
        self._chatters = True  # the rest comes with the first face
        self.version = installed_version("mediapipe")

    def detect(self, frame: NDArray[np.uint8]) -> Points | None:
        """See :class:`Detector`."""
        height, width = frame.shape[:2]
        side = max(height, width)
        # Its projection of a tilted face is exact for square pictures only; padding doesn't move the pixels.
        square = np.pad(frame, ((0, side - height), (0, side - width), (0, 0)))
        with silent_stderr() if self._chatters else nullcontext():
            faces = self._mesh.process(square).multi_face_landmarks
        if not faces:
            return None
        self._chatters = False
        mesh = faces[0].landmark
        return np.array([(mesh[i].x * side, mesh[i].y * side) for i in MEDIAPIPE_TO_IBUG], np.float32)


class Dlib:
    """dlib's HOG face detector without up-sampling (which finds false faces) and its 68-point model; the largest face.

    The model was trained on iBUG 300-W, whose terms exclude commercial use.
    """

    name = "dlib"
    _MODEL = "models/shape_predictor_68_face_landmarks.dat"

    def __init__(self, device: str = "cpu") -> None:
        """Load the model; AbsentError if dlib or the package with the model isn't installed. Runs on the CPU."""
        # Importing face_recognition_models fails without pkg_resources, and only its data file is wanted.
        models = importlib.util.find_spec("face_recognition_models")
        if importlib.util.find_spec("dlib") is None or models is None or not models.submodule_search_locations:
            raise AbsentError("landmark detector dlib is not installed: pip install 'talkbench[dlib]'")
        import dlib

        self._find = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(Path(models.submodule_search_locations[0]) / self._MODEL))
        self.version = f"{dlib.__version__}+frm{installed_version('face_recognition_models')}"

    def detect(self, frame: NDArray[np.uint8]) -> Points | None:
        """See :class:`Detector`."""
        frame = np.ascontiguousarray(frame)
        faces = self._find(frame, 0)
        if not faces:
            return None
        shape = self._predict(frame, max(faces, key=lambda box: box.area()))
        return np.array([(point.x, point.y) for point in shape.parts()], np.float32)


class Fan:
    """FAN through ``face-alignment``, as the field's official scripts call it: 2D, no flip, the last detected face."""

    name = "fan"

    def __init__(self, device: str = "cpu") -> None:
        """Load the model on a torch ``device``; AbsentError if the package or its weights can't be had."""
        if importlib.util.find_spec("face_alignment") is None:
            raise AbsentError("landmark detector fan is not installed: pip install 'talkbench[fan]'")
        import face_alignment

        kinds = face_alignment.LandmarksType
        kind = kinds.TWO_D if hasattr(kinds, "TWO_D") else kinds._2D
        self.version = installed_version("face-alignment")
        # Compiling, new in 1.5, changes the arithmetic and takes a minute.
        compiles = "compile" in inspect.signature(face_alignment.FaceAlignment).parameters
        options = {"compile": False} if compiles else {}
        try:
            self._net = face_alignment.FaceAlignment(kind, flip_input=False, device=device, **options)
        except (OSError, RuntimeError) as error:  # its download fails with a URLError, which is an OSError
            missing = [w for w in map(weights.get, ("fan-2dfan4", "fan-s3fd")) if w.state() != "present"]
            if not missing:
                raise
            raise AbsentError(
                f"weights of landmark detector fan can't be had ({error}): {missing[0].remedy()}"
            ) from error

    def detect(self, frame: NDArray[np.uint8]) -> Points | None:
        """See :class:`Detector`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of each frame without a face; we count them
            faces = self._net.get_landmarks_from_image(np.ascontiguousarray(frame))
        return np.asarray(faces[-1], np.float32) if faces else None


DETECTORS: dict[str, Callable[[str], Detector]] = {"mediapipe": MediaPipe, "dlib": Dlib, "fan": Fan}
"""Constructors by name, in the order in which :func:`best_available` tries them."""


@functools.lru_cache(maxsize=4)
def get(name: str, device: str = "cpu") -> Detector:
    """The detector called ``name``, loaded once per process.

    :raises bench.errors.UsageError: if there is no such detector
    :raises bench.errors.AbsentError: if it isn't installed or its weights can't be had
    """
    if name not in DETECTORS:
        raise unknown("landmark detector", name, DETECTORS)
    return DETECTORS[name](device)


def best_available(device: str = "cpu") -> Detector:
    """The first detector that loads: for looking at faces (crops, previews). Scores name theirs instead."""
    reasons = []
    for name in DETECTORS:
        try:
            return get(name, device)
        except (AbsentError, ImportError) as error:
            reasons.append(str(error))
    raise AbsentError(f"no landmark detector works: {'; '.join(reasons)}")


_SILENCE = threading.RLock()


@contextmanager
def silent_stderr() -> Iterator[Any]:
    """Keep a C++ library's chatter off the terminal: it writes to the file descriptor, past ``sys.stderr``.

    The descriptor is the whole process's: of threads that do this at the same time, one waits for the other.
    """
    with _SILENCE:
        sys.stderr.flush()
        saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(null)
