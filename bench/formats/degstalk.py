"""DEGSTalk (ICASSP 2025): TalkingGaussian's folder with SMIRK's coefficients, a canvas a frame and poses in metres."""

from __future__ import annotations

from bench.formats import pictures, records
from bench.formats.colours import DEGSTALK
from bench.formats.layout import Layout

_SCRIPT = "python data_utils/process.py data/ID/ID.mp4"

LAYOUT = Layout(
    "degstalk",
    "DEGSTalk",
    "spec_degstalk §2",
    (
        pictures.FRAMES,
        pictures.LANDMARKS,
        pictures.parsing(DEGSTALK),
        pictures.TEETH,
        pictures.PLATE,
        pictures.TARGETS,
        pictures.torso("mean", hair_is_head=False),
        pictures.CANVAS,
        records.transforms(),
        records.tracking("bundle_adjustment.pt", 1),
        records.action_units(blank=False),
        records.SMIRK_FILE,
        records.audio(
            {"aud_ds.npy": "aud_ds.npy", "aud_hu.npy": "aud_hu.npy"},
            "make one from aud.wav: data_utils/deepspeech_features/extract_ds_features.py (rename its aud.npy to "
            "aud_ds.npy), data_utils/hubert.py, or bench data prepare with a feature model",
        ),
        records.sound(needed=False),
    ),
    marks=("3dmm.pt", "parsing"),
    colours=DEGSTALK,
    makers=dict.fromkeys(("transforms", "frames", "landmarks", "parsing", "plate", "audio"), _SCRIPT),
    tracked=("bundle_adjustment.pt", 1.0),
)
