"""``bench verify``: what holds is proved, and whatever was altered is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from harness import FAST, bench, bench_json

from bench import video
from bench.errors import DataError, UsageError
from bench.subject import Subject
from bench.verify import Verdict, verify

CELL = "mean-frame--toy--quick--s0"
COPY = "copy-gt--toy--quick--s0"


@pytest.fixture(scope="module")
def finished(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two methods; don't write into it."""
    out = tmp_path_factory.mktemp("runs") / "first"
    arguments = ("--methods", "mean-frame,time-shift", "--subjects", toy_folder, "--out", out, *FAST)
    assert bench("run", *arguments, "--jobs", 1, "--threads", 1).exit_code == 0
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


LATE = "time-shift--toy--quick--s0"


def verdict(run: Path, toy_subject: Subject | None, cell: str = LATE, **options: Any) -> Verdict:
    people = {"toy": toy_subject} if toy_subject else {}
    (found,) = verify(run, [cell], subjects=people, **options)
    return found


def faults(found: Verdict) -> list[str]:
    return [finding.text for finding in found.findings if finding.fault]


def edit_record(run: Path, change: Callable[[dict[str, Any]], Any], cell: str = LATE) -> None:
    path = run / "cells" / cell / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def edit_frames(run: Path, change: Callable[[list[np.ndarray]], list[np.ndarray]]) -> None:
    path = run / "cells" / LATE / "frames.mkv"
    frames = list(video.read_video(path))
    video.write_lossless(path, change(frames), 25)


def edit_table(run: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = run / "cells" / LATE / "frames.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def test_a_finished_run_holds_and_is_left_alone(finished, toy_folder, toy_subject):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    result = bench("verify", finished, "--subjects", toy_folder)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["✓", CELL], ["✓", LATE]]
    assert lines[2:] == ["2 of 2 cells hold"]
    for line in lines[:2]:
        assert "6 frames; checkpoint; copied share; subject; " in line
        assert "numbers recomputed, tolerance 0: same versions, same machine" in line
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
    compared = int(verdict(finished, toy_subject).proved[4].split()[0])
    assert compared > 2 * 3 * 6 + 2 * 6 * 6  # values and bounds in six regions, and six frames


def test_the_document(run, toy_folder):
    edit_frames(run, lambda frames: [255 - frames[0], *frames[1:]])
    document = bench_json("verify", run, "--subjects", toy_folder, code=1)
    assert document["run"] == str(run)
    assert document["holds"] is False
    good, bad = document["cells"]
    assert (good["cell"], good["state"], good["skipped"], good["findings"]) == (CELL, "ok", None, [])
    assert good["proved"][0] == "6 frames"
    assert (bad["cell"], bad["state"]) == (LATE, "fault")
    assert bad["findings"][0] == {"part": "frames", "text": "frame 16 was changed", "fault": True}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda f: [*f[:3], f[3] ^ 1, *f[4:]], "frame 19 was changed"),
        (lambda f: [*f[:5], 255 - f[5]], "frame 21 was changed"),
        (lambda f: [*f[:4], np.roll(f[4], 1, 0), 255 - f[5]], "frames 20–21 were changed"),
    ],
)
def test_a_changed_frame_is_named_and_so_are_its_scores(run, toy_subject, change, line):
    edit_frames(run, change)
    found = verdict(run, toy_subject)
    assert faults(found)[0] == line
    assert any(text.startswith("psnr: recorded ") for text in faults(found))
    assert any(text.startswith(f"psnr of frame {line.split()[1][:2]}: recorded ") for text in faults(found))
    assert "6 frames" not in found.proved


def test_swapped_and_missing_frames_are_named(run, toy_subject, toy_folder):
    """Of a run of different frames; time-shift's first ones are alike, so that exchanging them is no change."""
    cells = ("--methods", "copy-gt", "--subjects", toy_folder, "--out", run, *FAST)
    assert bench("run", *cells).exit_code == 0
    path = run / "cells" / COPY / "frames.mkv"
    frames = list(video.read_video(path))
    video.write_lossless(path, [frames[1], frames[0], *frames[2:]], 25)
    assert faults(verdict(run, toy_subject, COPY, scores=False)) == ["frames 16 and 17 were swapped"]
    video.write_lossless(path, [*frames[:3], *frames[4:]], 25)
    found = verdict(run, toy_subject, COPY)
    assert faults(found) == [f"{path} holds 5 frames, the record says 6", "frame 19 is missing"]
    assert found.findings[-1].text == "not recomputed: that needs whole frames"


def test_hashes_forged_to_fit_changed_frames_are_not_those_the_record_vouches_for(run, toy_subject):
    from bench.hashes import frame_hash

    edit_frames(run, lambda frames: [255 - frames[0], *frames[1:]])
    frame = next(video.read_video(run / "cells" / LATE / "frames.mkv"))
    edit_table(run, lambda table: table.assign(sha256=[frame_hash(16, frame), *table["sha256"][1:]]))
    (line,) = faults(verdict(run, toy_subject, scores=False))
    assert "hashes in frames.parquet are not those that the record vouches for" in line


def test_without_hashes_of_single_frames_the_hash_over_all_proves_them(run, toy_subject):
    edit_table(run, lambda table: table.drop(columns="sha256"))
    found = verdict(run, toy_subject)
    assert faults(found) == []
    assert "no hashes of single frames" in found.findings[0].text
    edit_frames(run, lambda frames: [255 - frames[0], *frames[1:]])
    assert "which frame was changed can't be said" in faults(verdict(run, toy_subject))[0]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda m: m["psnr"].update(value=m["psnr"]["value"] + 1e-9), "psnr: recorded "),
        (lambda m: m["ssim"]["regions"].update(mouth=0.5), "ssim in mouth: recorded 0.5, recomputed "),
        (lambda m: m["ssim"]["regions"].pop("hair"), "ssim in hair: recorded none, recomputed "),
        (lambda m: m["ssim"].update(n=[7, 7]), "ssim: n is (7, 7) in the record, (6, 6) recomputed"),
        (
            lambda m: m["ssim"].update(signature="SSIM|v:9"),
            "ssim: recorded as SSIM|v:9, recomputed as SSIM|canvas:own|",
        ),
    ],
)
def test_a_number_changed_by_hand_is_named(run, toy_subject, change, line):
    edit_record(run, lambda record: change(record["metrics"]))
    (text,) = faults(verdict(run, toy_subject))
    assert text.startswith(line)
    assert text.endswith("(tolerance 0: same versions, same machine)")


def test_intervals_are_compared_bound_by_bound(run, toy_subject):
    """The toy is too short to have any, so the record and the scores get some."""
    from bench.run.scores import rescore

    def with_intervals(*arguments: Any, **options: Any) -> Any:
        scores, table = rescore(*arguments, **options)
        bounds = {"ci95": (20.0, 24.0), "regions_ci95": scores["psnr"].regions_ci95 | {"mouth": (8.0, 9.0)}}
        return scores | {"psnr": scores["psnr"].model_copy(update=bounds)}, table

    def shown(whole: list[float], mouth: list[float]) -> list[str]:
        edit_record(run, lambda record: record["metrics"]["psnr"].update(ci95=whole))
        edit_record(run, lambda record: record["metrics"]["psnr"]["regions_ci95"].update(mouth=mouth))
        return [text.split(" (")[0] for text in faults(verdict(run, toy_subject, rescore=with_intervals))]

    assert shown([20.0, 24.0], [8.0, 9.0]) == []
    assert shown([20.0, 25.0], [8.5, 9.0]) == [
        "psnr, upper bound: recorded 25.0, recomputed 24.0",
        "psnr in mouth, lower bound: recorded 8.5, recomputed 8.0",
    ]


def test_a_changed_table_is_named(run, toy_subject):
    edit_table(run, lambda table: table.assign(psnr_face=table["psnr_face"].where(table["id"] < 20, 1.0)))
    (text,) = faults(verdict(run, toy_subject))
    assert text.startswith("psnr_face of frame 20: recorded 1.0, recomputed ")
    assert ", and 1 more" in text
    edit_table(run, lambda table: table.drop(columns="psnr_face"))
    assert faults(verdict(run, toy_subject))[0].startswith("column psnr_face is missing from the table")


def test_other_versions_have_a_tolerance(run, toy_subject):
    def change(record: dict[str, Any]) -> None:
        record["versions"]["torch"] = "1.0"
        record["metrics"]["psnr"]["value"] += shift

    shift = 1e-6
    edit_record(run, change)
    found = verdict(run, toy_subject)
    assert faults(found) == []
    assert "tolerance 1e-06: torch 1.0 → " in found.proved[-1]
    shift = 1e-3
    edit_record(run, change)
    assert faults(verdict(run, toy_subject))[0].startswith("psnr: recorded ")


def test_scores_of_another_protocol_are_not_compared(run, toy_subject):
    edit_record(run, lambda record: record["provenance"].update(protocol="neutral:999"))
    found = verdict(run, toy_subject)
    assert faults(found) == []
    assert "not recomputed: they were taken under neutral:999" in found.findings[-1].text


def test_a_changed_checkpoint_is_named(run, toy_subject):
    (run / "cells" / LATE / "checkpoint/extra").write_text("x")
    (text,) = faults(verdict(run, toy_subject, scores=False))
    assert text.startswith(f"{run}/cells/{LATE}/checkpoint was changed after training")


def test_a_copied_share_that_the_audit_does_not_have_is_named(run, toy_subject):
    edit_record(run, lambda record: record.update(copied_share=0.25))
    (text,) = faults(verdict(run, toy_subject, scores=False))
    assert text.startswith("the record's copied share is 0.25, that of ")
    numbers = run / "cells" / LATE / "audit/audit.json"
    forged = json.loads(numbers.read_text()) | {"share": 0.25}
    numbers.write_text(json.dumps(forged))
    (text,) = faults(verdict(run, toy_subject, scores=False))
    assert text.endswith("give other copied shares than its numbers")


def test_another_subject_is_named_and_scores_are_not_recomputed(run, own_toy):
    (own_toy / "bc.jpg").write_bytes((own_toy / "bc.jpg").read_bytes() + b"x")
    found = verdict(run, Subject(own_toy))
    (text,) = faults(found)
    assert text.startswith(f"{own_toy} is not, or no longer, the subject that was scored")
    assert found.findings[-1].text == "not recomputed: that needs the subject"


def test_an_absent_subject_is_said_and_no_fault(run, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    result = bench("verify", run)
    assert result.exit_code == 0
    assert "· subject: toy isn't known on this machine: give its folder with --subjects" in result.stdout
    assert result.stdout.splitlines()[-1] == "2 of 2 cells hold; 2 of them could be proved in part only"


def test_without_scores_nothing_is_scored(finished, toy_subject):
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("scored")

    found = verdict(finished, toy_subject, scores=False, rescore=never)
    assert found.proved == ["6 frames", "checkpoint", "copied share", "subject"]
    assert found.findings == []


def test_scores_are_recomputed_as_they_were_computed_and_not_looked_up(run, toy_subject, monkeypatch):
    import os

    import torch

    from bench.run.scores import rescore

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append((os.environ["BENCH_CACHE"], torch.get_num_threads()))
        return rescore(*arguments, **options)

    seen: list[tuple[str, int]] = []
    monkeypatch.delenv("BENCH_CACHE", raising=False)
    edit_record(run, lambda record: record["hardware"].update(threads="3"))
    before = torch.get_num_threads()
    assert verdict(run, toy_subject, rescore=watched).holds
    assert seen == [("off", 3)]
    assert (os.environ.get("BENCH_CACHE"), torch.get_num_threads()) == (None, before)


def test_a_model_that_is_missing_here_is_no_fault(finished, toy_subject):
    from bench.run.scores import rescore

    def without_ssim(*arguments: Any, **options: Any) -> Any:
        scores, table = rescore(*arguments, **options)
        absent = {"value": None, "state": "absent", "reason": "fetch it", "regions": {}, "signature": ""}
        return scores | {"ssim": scores["ssim"].model_copy(update=absent)}, table

    found = verdict(finished, toy_subject, rescore=without_ssim)
    assert faults(found) == []
    assert [f.text for f in found.findings] == ["ssim: can't be recomputed here (fetch it)"]


@pytest.mark.parametrize(
    "name", ["record.json", "frames.parquet", "frames.mkv", "checkpoint/done.json", "audit/share.mkv"]
)
@pytest.mark.parametrize("damage", ["cut", "garbage", "gone"])
def test_a_broken_file_is_named(run, toy_folder, name, damage):
    path = run / "cells" / LATE / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"\x07junk" * 40)
    if damage == "gone":
        path.unlink()
    result = bench("verify", run, "--subjects", toy_folder, "--cell", LATE)
    if name == "record.json" and damage == "gone":
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [f"– {LATE}  not finished", "0 of 0 cells hold; 1 had nothing to verify"]
        return
    assert result.exit_code == 1
    assert str(path) in result.stdout
    assert "Traceback" not in result.output


def test_cells_that_failed_or_never_ended_are_passed_over(run):
    edit_record(run, lambda record: record.update(status="failed", error="out of memory"))
    (run / "cells" / CELL / "record.json").unlink()
    result = bench("verify", run)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"– {CELL}  not finished",
        f"– {LATE}  failed: out of memory",
        "0 of 0 cells hold; 2 had nothing to verify",
    ]


def test_a_record_in_another_cells_folder_is_named(run, toy_subject):
    shutil.copy(run / "cells" / CELL / "record.json", run / "cells" / LATE / "record.json")
    assert f"is of another cell, {CELL}" in faults(verdict(run, toy_subject, scores=False))[0]


def test_what_is_no_run_or_no_cell_is_refused(run, tmp_path):
    with pytest.raises(DataError, match="not a run folder"):
        verify(tmp_path)
    with pytest.raises(UsageError, match=f"did you mean '{LATE}'"):
        verify(run, ["time-shift--toy"])
    assert bench("verify", tmp_path).exit_code == 2
    assert bench("verify", run, "--cell", "time-shift").exit_code == 2
