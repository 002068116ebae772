"""TalkingGaussian (ECCV 2024): ER-NeRF's folder with teeth masks, and hair and inner mouth apart in the parsing."""

from __future__ import annotations

from bench.formats import pictures, records
from bench.formats.colours import TALKINGGAUSSIAN
from bench.formats.layout import Layout

_TASK = "python data_utils/process.py data/ID/ID.mp4 --task"

LAYOUT = Layout(
    "talkinggaussian",
    "TalkingGaussian",
    "spec_talkinggaussian §2",
    (
        pictures.FRAMES,
        pictures.LANDMARKS,
        pictures.parsing(TALKINGGAUSSIAN),
        pictures.TEETH,
        pictures.PLATE,
        pictures.TARGETS,
        pictures.torso("darken", hair_is_head=False),
        records.transforms(),
        records.tracking("track_params.pt", 10),
        records.action_units(blank=True),
        records.audio(
            {"aud_ds.npy": "aud_ds.npy", "aud_hu.npy": "aud_hu.npy", "aud_eo.npy": "aud_eo.npy"},
            "make one from aud.wav: data_utils/deepspeech_features/extract_ds_features.py (rename its aud.npy to "
            "aud_ds.npy), data_utils/hubert.py, or bench data prepare with a feature model",
        ),
        records.sound(needed=False),
    ),
    marks=("teeth_mask", "parsing"),
    colours=TALKINGGAUSSIAN,
    makers={
        "transforms": f"{_TASK} 8, then {_TASK} 9",
        "frames": f"{_TASK} 3",
        "landmarks": f"{_TASK} 7",
        "parsing": f"{_TASK} 4",
        "plate": f"{_TASK} 5",
        "audio": f"{_TASK} 1",
    },
)
