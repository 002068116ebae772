"""RAD-NeRF and ER-NeRF: ``gt_imgs`` over a plate, RGBA torso cut-outs. They differ in who reads ``au.csv``."""

from __future__ import annotations

from dataclasses import replace

from bench.formats import pictures, records
from bench.formats.colours import HEADS
from bench.formats.layout import Layout

_TASK = "python data_utils/process.py data/ID/ID.mp4 --task"
_FEATURES = {"aud_ds.npy": "aud_ds.npy", "aud_eo.npy": "aud_eo.npy", "aud_hu.npy": "aud_hu.npy"}
_EXTRACT = (
    "make one from aud.wav: data_utils/deepspeech_features/extract_ds_features.py (rename its aud.npy to aud_ds.npy), "
    "data_utils/hubert.py, or bench data prepare with a feature model"
)

ER_NERF = Layout(
    "er-nerf",
    "ER-NeRF",
    "spec_ernerf §2",
    (
        pictures.FRAMES,
        pictures.LANDMARKS,
        pictures.parsing(HEADS),
        pictures.PLATE,
        pictures.TARGETS,
        pictures.torso("darken", hair_is_head=True),
        records.transforms(sized=True),
        records.tracking("track_params.pt", 10),
        records.action_units(blank=True),
        records.audio(_FEATURES, _EXTRACT),
        records.sound(needed=False),
    ),
    marks=("gt_imgs", "torso_imgs"),
    colours=HEADS,
    makers={
        "transforms": f"{_TASK} 8, then {_TASK} 9",
        "frames": f"{_TASK} 3",
        "landmarks": f"{_TASK} 7",
        "parsing": f"{_TASK} 4",
        "plate": f"{_TASK} 5",
        "audio": f"{_TASK} 1",
    },
)

RAD_NERF = replace(
    ER_NERF,
    name="rad-nerf",
    title="RAD-NeRF",
    source="its nerf/provider.py (4cb8fc6): opens no au.csv, takes the eyes' opening from the landmarks",
    parts=(
        *(part for part in ER_NERF.parts if part.files != "au.csv" and "aud_hu" not in part.files),
        records.audio({"aud_eo.npy": "aud_eo.npy", "aud_ds.npy": "aud_ds.npy"}, _EXTRACT),
    ),
)
