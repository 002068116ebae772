"""SyncTalk (CVPR 2024): ER-NeRF's folder with 52 blendshapes, an inner-face mask and poses from bundle adjustment."""

from __future__ import annotations

from bench.formats import pictures, records
from bench.formats.colours import HEADS
from bench.formats.layout import Layout
from bench.formats.records import AUDIO_OPTIONAL

_TASK = "python data_utils/process.py data/ID/ID.mp4 --task"

LAYOUT = Layout(
    "synctalk",
    "SyncTalk",
    "spec_synctalk §2",
    (
        pictures.FRAMES,
        pictures.LANDMARKS,
        pictures.parsing(HEADS),
        pictures.INNER_FACE,
        pictures.PLATE,
        pictures.TARGETS,
        pictures.torso("mean", hair_is_head=True),
        records.transforms(sized=True),
        records.tracking("bundle_adjustment.pt", 1),
        records.BLENDSHAPES,
        records.action_units(blank=True),
        records.sound(needed=True),
        AUDIO_OPTIONAL,
    ),
    marks=("bs.npy", "gt_imgs"),
    colours=HEADS,
    makers={
        "transforms": f"{_TASK} 7, {_TASK} 8, {_TASK} 10",
        "frames": f"{_TASK} 2",
        "landmarks": f"{_TASK} 6",
        "parsing": f"{_TASK} 3",
        "plate": f"{_TASK} 4",
        "audio": f"{_TASK} 1",
    },
    tracked=("bundle_adjustment.pt", 1.0),
)
