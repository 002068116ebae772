"""AD-NeRF (ICCV 2021): a head stage on ``head_imgs``, a torso stage on ``com_imgs``, three config files with paths."""

from __future__ import annotations

import numpy as np

from bench.formats import pictures, records
from bench.formats.colours import HEADS
from bench.formats.layout import Layout, Out, Part
from bench.subject import Subject


def _write_configs(subject: Subject, out: Out) -> None:
    """Near and far as the script has them: mean depth of the head minus 0.2 and plus 0.4 (spec_adnerf §2.4–2.5)."""
    depth = float(np.mean([subject.camera(i).viewmat[2, 3] for i in subject.ids]))
    common = {"near": depth - 0.2, "far": depth + 0.4, "testskip": max(len(subject.test_ids) // 7, 1)}
    test = {"with_test": 1, "test_pose_file": "transforms_val.json"}
    for name, stage, extra in (("HeadNeRF", "head", {}), ("TorsoNeRF", "com", {}), ("TorsoNeRFTest", "com", test)):
        where = {"expname": f"{out.name}_{stage}", "datadir": out.home, "basedir": out.home / "logs"}
        lines = [f"{key} = {value}" for key, value in (where | common | extra).items()]
        out.path(f"{name}_config.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (out.root / "logs" / f"{out.name}_{stage}").mkdir(parents=True, exist_ok=True)


_SCRIPT = "python data_util/process_data.py --id=ID --step"

LAYOUT = Layout(
    "ad-nerf",
    "AD-NeRF",
    "spec_adnerf §2",
    (
        pictures.FRAMES,
        pictures.LANDMARKS,
        pictures.parsing(HEADS),
        pictures.PLATE,
        pictures.COMPOSED,
        pictures.HEAD,
        records.transforms(face_rect=True),
        records.tracking("track_params.pt", 10),
        records.audio({"aud_ds.npy": "aud.npy"}, f"DeepSpeech windows come from aud.wav by `{_SCRIPT}=0`"),
        records.sound(needed=False),
        Part("{HeadNeRF,TorsoNeRF,TorsoNeRFTest}_config.txt", whole=_write_configs),
    ),
    marks=("head_imgs", "com_imgs"),
    colours=HEADS,
    makers={
        "transforms": f"{_SCRIPT}=6, then {_SCRIPT}=7",
        "frames": f"{_SCRIPT}=1",
        "landmarks": f"{_SCRIPT}=2",
        "parsing": f"{_SCRIPT}=3",
        "plate": f"{_SCRIPT}=4",
        "audio": f"{_SCRIPT}=0",
    },
    pictures=("ori_imgs", "com_imgs"),
)
