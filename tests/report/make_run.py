"""Fabricates a small run folder: a test fixture with invented numbers, in every state that a real run can be in."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from bench.records import CellKey, Fps, MetricRecord, Plan, Record, StageProfile, save
from bench.video import write_preview

FRAMES, SIZE, FPS = 50, 96, 25
HOSTILE = "<script>alert(1)</script>"
SUBJECTS = ("ada", "bo&b")
HARDWARE = {"cpu": "Test CPU <8 cores>", "gpu": "none"}
METHODS = {
    # name: (kind, canvas, sees, psnr, lmd, fps, seconds)
    "degstalk": ("3DGS", "the frame's own hair", ["pose", "audio", "hair_canvas"], 36.0, 2.4, 41.0, 92.0),
    "talkinggaussian": ("3DGS", "static plate, own torso", ["pose", "audio"], 31.5, 2.7, 44.0, 88.0),
    "er-nerf": ("NeRF", "static plate, own torso", ["pose", "audio"], 30.2, 2.9, 6.1, 240.0),
    "mean-frame": ("reference", "own", [], 24.0, 5.1, 4000.0, 0.4),
    "copy-gt": ("reference", "own", ["ground_truth"], math.inf, 0.0, 3000.0, 0.0),
}


def make_run(root: Path) -> Path:
    """Write the run folder into ``root`` and return it."""
    run = root / "run"
    keys = [CellKey(method=m, subject=s, preset="quick", seed=0) for m in METHODS for s in SUBJECTS]
    extra = {
        "failed": CellKey(method=HOSTILE, subject="ada", preset="quick", seed=0),
        "invalid": CellKey(method="synctalk", subject="ada", preset="quick", seed=0),
        "corrupt": CellKey(method="synctalk", subject="bo&b", preset="quick", seed=0),
        "pending": CellKey(
            method="ad-nerf", variant="torso", backend="official", subject="ada", preset="quick", seed=0
        ),
    }
    plan = Plan(
        cells=[*keys, *extra.values()],
        command=f"bench run --methods all --out '{HOSTILE}'",
        created="2026-11-22T20:00:00Z",
        hardware=HARDWARE,
    )
    save(run / "run.json", plan)
    _sound(root / "sound.wav")
    for subject in SUBJECTS:
        _video(run / "ground_truth" / f"{subject}.mp4", 0.0, root / "sound.wav")
    for index, key in enumerate(keys):
        _cell(run / "cells" / key.name, key, index)
    _broken(run, extra)
    return run


def _cell(folder: Path, key: CellKey, seed: int, drop: float = 0.0) -> None:
    kind, canvas, sees, psnr, lmd, fps, seconds = METHODS[key.method]
    canvas = "static plate, own torso" if "H" in key.variant else canvas
    frames = _frames(folder, psnr - drop, lmd, seed)
    metrics = {
        "psnr": _metric("PSNR", frames["psnr"], "dB", True, regions={"face": 28.5 + seed / 10, "mouth": 25.0}),
        "ssim": _metric("SSIM", frames["ssim"], "1", True),
        "lpips": MetricRecord(value=None, state="absent", reason="no weights: `bench weights fetch lpips`"),
        "lmd": _metric("LMD", frames["lmd"], "px", False),
    }
    if math.isinf(psnr):
        metrics["psnr"] = MetricRecord(
            value=None,
            state="identical",
            regions={"face": None},
            unit="dB",
            signature=_signature("PSNR"),
            n=(FRAMES, FRAMES),
        )
    record = Record(
        cell=key, status="ok", metrics=metrics, copied_share=0.44 if "hair" in canvas else None, kind=kind,
        canvas=canvas, sees=sees, fps=Fps(render=fps, render_p95_ms=1400 / fps, end_to_end=fps * 0.8),
        train_seconds={"total": seconds, "face": seconds * 0.7, "mouth": seconds * 0.3}, peak_memory_bytes=2**31,
        frames=FRAMES, size=(SIZE, SIZE), hardware=HARDWARE, versions={"talkbench": "0.1.0", "torch": "2.7.0"},
        provenance={"subject": "sha256:1234", "checkpoint": "sha256:abcd"}, started="2026-11-22T20:00:01Z", seconds=99.5,
        profile=_profile(kind, seed), libraries={"rasteriser": "gsplat 1.5.3"} if kind == "3DGS" else {},
    )  # fmt: skip
    save(folder / "record.json", record)
    _video(folder / "preview.mp4", 0.02 * (seed + 1))
    if kind != "reference":
        _training(folder, seed)
    (folder / "log.txt").write_text("fine\n")


def _profile(kind: str, seed: int) -> dict[str, StageProfile]:
    """Splatting has two stages and more parts than there are colours, ray marching one and few; references have none."""
    splatting = {
        "frame": 0.41, "motion": 9.3, "rasterise": 4.2, "loss": 3.1, "lpips": 5.5, "backward": 12.4, "rasterise backward": 7.7,
        "motion backward": 8.8, "densify": 0.62, "optimise": 2.9, "other": 0.9,
    }  # fmt: skip
    marching = {"march": 61.0, "backward": 74.5, "optimise": 3.0, "other": 2.25}
    stages = {"3DGS": {"face": (splatting, 1.0), "mouth": (splatting, 0.4)}, "NeRF": {"head": (marching, 0.6)}}
    return {
        stage: StageProfile(steps=600, milliseconds={p: ms * share * (1 + seed / 20) for p, ms in parts.items()})
        for stage, (parts, share) in stages.get(kind, {}).items()
    }


def _signature(name: str) -> str:
    return f"{name}|canvas:own|region:full|agg:frame-mean|quant:u8|src:lossless|v:1"


def _metric(
    name: str,
    series: NDArray[np.float64],
    unit: str,
    higher: bool,
    regions: dict[str, float | None] | None = None,
) -> MetricRecord:
    good = series[np.isfinite(series)]
    mean = float(good.mean()) if len(good) else 0.0
    return MetricRecord(
        value=mean, unit=unit, higher_is_better=higher, n=(len(good), FRAMES),
        signature=_signature(name) + (f"|n:{len(good)}/{FRAMES}" if name == "LMD" else ""),
        ci95=(mean - 0.3, mean + 0.3), regions=regions or {},
    )  # fmt: skip


def _frames(folder: Path, psnr: float, lmd: float, seed: int) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    drift = 0.4 * np.sin(np.arange(FRAMES) / 1.5 + seed)  # fast: slow drift would make 50 frames say nothing
    frames = {
        "psnr": np.full(FRAMES, psnr) + drift + rng.normal(0, 0.2, FRAMES),
        "ssim": 0.9 + 0.01 * drift,
        "lmd": np.maximum(lmd - 0.3 * drift + rng.normal(0, 0.1, FRAMES), 0.0),
    }
    frames["psnr"][20] -= 5
    frames["lmd"][20] += 2
    if seed == 2:
        frames["lmd"][30:34] = np.nan
    folder.mkdir(parents=True)
    pd.DataFrame({"id": np.arange(200, 200 + FRAMES)} | frames).to_parquet(folder / "frames.parquet")
    return frames


def _training(folder: Path, seed: int) -> None:
    steps = np.arange(0, 600, 3)
    parts = [
        pd.DataFrame(
            {"stage": stage, "step": steps, "seconds": steps / 10, "loss": 0.3 * np.exp(-steps / 150) + 0.01,
             "gaussians": np.where(steps % 30 == 0, 5000 + 20 * steps, np.nan), "l1": 0.1 / (1 + steps)}
        )
        for stage in ("face", "mouth")
    ]  # fmt: skip
    pd.concat(parts).to_csv(folder / "training.csv", index=False)
    (folder / "training").mkdir()
    for step in (0, 300, 600):
        Image.fromarray(_picture(step / 600, 0.1 * seed)).save(folder / "training" / f"face-{step:05d}.jpg")


def _broken(run: Path, extra: dict[str, CellKey]) -> None:
    failed, invalid = extra["failed"], extra["invalid"]
    error = f"NaN loss at step 3 {HOSTILE}"
    save(
        run / "cells" / failed.name / "record.json",
        Record(cell=failed, status="failed", error=error, hardware=HARDWARE),
    )
    (run / "cells" / failed.name / "log.txt").write_text("step 1\nstep 2\n</pre><script>alert(2)</script>\n")
    low = MetricRecord(value=None, state="invalid", reason="12 of 50 faces found")
    record = Record(
        cell=invalid, status="invalid", error="LMD coverage 12/50 is below 0.9", metrics={"lmd": low}, kind="NeRF"
    )
    save(run / "cells" / invalid.name / "record.json", record)
    corrupt = run / "cells" / extra["corrupt"].name / "record.json"
    corrupt.parent.mkdir(parents=True)
    corrupt.write_text('{"schema_version": 1, "cell": ')


def _picture(phase: float, error: float) -> NDArray[np.uint8]:
    """A face of sorts: an ellipse with a mouth that opens and closes."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    image = np.stack([0.3 + 0.3 * x, 0.35 + 0.2 * y, np.full_like(x, 0.45)], -1)
    image[((x - 0.5 - error / 4) / 0.3) ** 2 + ((y - 0.5) / 0.4) ** 2 < 1] = (0.85, 0.65, 0.55)
    opening = 0.02 + 0.05 * abs(math.sin(6 * phase))
    image[((x - 0.5) / 0.12) ** 2 + ((y - 0.7) / opening) ** 2 < 1] = (0.5, 0.1 + error, 0.15)
    return np.clip(image * 255, 0, 255).astype(np.uint8)


def _video(path: Path, error: float, audio: Path | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_preview(path, (_picture(i / FPS, error) for i in range(FRAMES)), FPS, audio)


def _sound(path: Path) -> None:
    t = np.arange(16000 * FRAMES // FPS) / 16000
    samples = 0.4 * np.sin(880 * t) * np.abs(np.sin(6 * t))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def make_ablation(root: Path, drops: dict[str, float] | None = None) -> Path:
    """A run of ``degstalk`` and variants of it, each ``drops`` dB below it; the same noise in all of a subject."""
    run = root / "ablation"
    drops = {"": 0.0, "-E": 0.0, "-H": 3.0, "-R2": 0.5} if drops is None else drops
    keys = [CellKey(method="degstalk", variant=v, subject=s, preset="quick", seed=0) for v in drops for s in SUBJECTS]
    save(run / "run.json", Plan(cells=keys, hardware=HARDWARE))
    for key in keys:
        _cell(run / "cells" / key.name, key, SUBJECTS.index(key.subject), drops[key.variant])
    return run


ATTACKS = (
    '"><img src=x onerror=alert(1)>',
    "'--><svg onload=alert(2)>",
    "{{ 7 * 7 }}${8*8}",
    "]]>\u2028<!--<script>alert(3)",
)


def make_hostile(root: Path) -> Path:
    """A run whose names, errors, logs and facts are attacks on a page; two methods that work, one that failed."""
    run = root / f"run {ATTACKS[0]}"
    keys = [
        CellKey(method=m, variant=ATTACKS[2], subject=s, preset=ATTACKS[1], seed=0)
        for m in ATTACKS[:3]
        for s in ATTACKS[1:3]
    ]
    facts = dict.fromkeys(ATTACKS, ATTACKS[0])
    save(
        run / "run.json", Plan(cells=keys, command=ATTACKS[3], created=ATTACKS[0], hardware=facts, protocol=ATTACKS[1])
    )
    for index, key in enumerate(keys):
        folder = run / "cells" / key.name
        if key.method == ATTACKS[2]:
            save(folder / "record.json", Record(cell=key, status="failed", error=ATTACKS[3], started=ATTACKS[1]))
            (folder / "log.txt").write_text("\n".join([*ATTACKS, HOSTILE, "</pre>"]))
            continue
        frames = _frames(folder, 30.0 + index, 2.0, index)
        signature = f"{_signature('PSNR')}|det:{ATTACKS[0]}|{HOSTILE}"
        metrics = {name: _metric(name, frames[name], "dB", True) for name in ("psnr", "lmd")}
        metrics = {name: metric.model_copy(update={"signature": signature}) for name, metric in metrics.items()}
        metrics[HOSTILE] = MetricRecord(value=None, state="absent", reason=ATTACKS[0], unit=ATTACKS[1])
        record = Record(
            cell=key, status="ok", metrics=metrics, kind=ATTACKS[0], canvas=ATTACKS[1 + index % 2], sees=list(ATTACKS),
            fps=Fps(render=3.0), train_seconds={"total": 1.0, ATTACKS[0]: 1.0}, frames=FRAMES, size=(SIZE, SIZE),
            hardware=facts, versions=facts, libraries=facts, provenance=facts | {HOSTILE: HOSTILE}, started=ATTACKS[0],
            profile={ATTACKS[0]: StageProfile(steps=3, milliseconds={ATTACKS[1]: 2.0, "other": 1.0})},
        )  # fmt: skip
        save(folder / "record.json", record)
        steps = range(0, 30, 3)
        table = {"stage": ATTACKS[0], "step": steps, "seconds": steps, "loss": 1.0, ATTACKS[1]: 2.0}
        pd.DataFrame(table).to_csv(folder / "training.csv", index=False)
        _video(folder / "preview.mp4", 0.1)
        (folder / "training").mkdir()
        Image.fromarray(_picture(0, 0)).save(folder / "training" / f"{ATTACKS[0]}.jpg")
    return run
