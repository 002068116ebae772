"""Frames and crops are chosen by their rule: what was planted is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import small_run

from bench.errors import BenchError
from bench.paper.choice import disagreement, most_disputed, mouth_box, opened, seams
from bench.paper.shown import shown
from bench.regions import mouth
from bench.report.data import load


@pytest.fixture
def own_run(tmp_path, subject_root):
    return small_run.make(
        tmp_path / "run", {"degstalk": 0.0, "er-nerf": 1.0}, ("toy",), (0, 1), roots={"toy": subject_root}
    )


def _set(run, name, place, **values):
    path = run / "cells" / name / "frames.parquet"
    table = pd.read_parquet(path)
    for column, value in values.items():
        table.loc[place, column] = value
    table.to_parquet(path)


def _cells(run):
    return list(shown(load(run), {"degstalk", "er-nerf"})[0].cells.values())


def test_one_cell_a_method_with_the_lowest_seed(own_run):
    (each,) = shown(load(own_run), {"er-nerf", "degstalk"})
    assert list(each.cells) == ["degstalk", "er-nerf"]
    assert {cell.key.seed for cell in each.cells.values()} == {0}


def test_the_frame_on_which_methods_differ_most(own_run):
    _set(own_run, "er-nerf--toy--quick--s0", 11, psnr_face=5.0)
    _set(own_run, "er-nerf--toy--quick--s0", 23, psnr=5.0)  # the face counts where both have it
    found = most_disputed(_cells(own_run))
    assert (found.place, found.frame_id, found.measure) == (11, 11 + small_run.FIRST_ID, "psnr@face")
    assert found.spread > 10


def test_without_face_values_the_whole_frame_counts_and_unscored_frames_do_not(own_run):
    path = own_run / "cells/degstalk--toy--quick--s0/frames.parquet"
    pd.read_parquet(path).drop(columns="psnr_face").to_parquet(path)
    _set(own_run, "er-nerf--toy--quick--s0", 7, psnr=np.nan)
    _set(own_run, "er-nerf--toy--quick--s0", 8, psnr=np.inf)
    _set(own_run, "er-nerf--toy--quick--s0", 23, psnr=5.0)
    found = most_disputed(_cells(own_run))
    assert (found.place, found.measure) == (23, "psnr")
    assert most_disputed(_cells(own_run)[:1]) is None


def test_the_square_in_which_pictures_differ():
    one = np.zeros((64, 96, 3), np.uint8)
    other = one.copy()
    other[40:48, 70:78] = 200
    box = disagreement([one, other])
    assert box.side == 16
    assert box.of(other).sum() == other.sum()
    assert (box.left + 8, box.top + 8) == (74, 44)  # in its middle
    assert box.of(other).shape == (16, 16, 3)


def test_seams_lie_where_the_parts_meet(own_run, subject_root):
    frame = opened(_cells(own_run)[0], small_run.FIRST_ID)
    hair, neck = seams(frame)
    assert (hair.name, neck.name) == ("seam of hair and face", "seam of neck and head")
    for box, parts in ((hair, {1, 17}), (neck, {1, 14})):
        inside = frame.labels[box.top : box.top + box.side, box.left : box.left + box.side]
        assert parts <= set(np.unique(inside).tolist())
    lips = mouth(frame)
    box = mouth_box(frame)
    assert lips[
        box.top : box.top + box.side, box.left : box.left + box.side
    ].all()  # the toy's mouth is larger than a crop


def test_another_subject_is_refused(own_run):
    small_run.change(own_run, "degstalk--toy--quick--s0", provenance={"subject": "another"})
    with pytest.raises(BenchError, match="is not the subject that degstalk--toy--quick--s0 was scored on"):
        opened(_cells(own_run)[0], small_run.FIRST_ID)
