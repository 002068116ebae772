"""Which cells of the occupancy grid can hold anything, known before training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from methods.fields.occupancy import OccupancyGrid
from methods.radiance import rays
from methods.radiance.data import TrainingData
from methods.radiance.design import Schedule

_VIEWS = 9
_AGREE = 0.75
"""Share of the views whose mask a cell must fall into: heads and hair move."""
_GROWN = 1 / 32
"""By which share of its width a mask is grown."""


def open_cells(data: TrainingData, schedule: Schedule) -> Tensor:
    """bool [side³]: inside the visual hull of the head's masks (``hull``), else what a training camera sees (spec_ernerf §4)."""
    grid = OccupancyGrid(schedule.grid_side)
    centres = grid.centres(torch.arange(schedule.grid_side**3))
    return _hull(data, centres) if schedule.hull else _seen(data, centres)


def _seen(data: TrainingData, centres: Tensor) -> Tensor:
    """Cells that lie before at least one training camera, with half a cell's margin."""
    seen = torch.zeros(len(centres), dtype=torch.bool)
    for frame_id in data.ids:
        camera = data.subject.camera(frame_id)
        pixels, depth = rays.project(camera, centres)
        margin = torch.tensor([camera.fx, camera.fy]) / depth[:, None] * (2 / 128 / rays.SCALE)
        size = torch.tensor([camera.width, camera.height])
        seen |= (depth > 0) & ((pixels > -margin) & (pixels < size + margin)).all(1)
    return seen


def _hull(data: TrainingData, centres: Tensor) -> Tensor:
    """Cells that fall into the head's mask in most of a few views spread over the training frames."""
    picks = np.linspace(0, len(data.ids) - 1, _VIEWS).round().astype(int)
    votes = torch.zeros(len(centres))
    for position in picks:
        camera = data.subject.camera(data.ids[position])
        mask = torch.from_numpy(data.head_mask(int(position))).float()[None, None]
        reach = 2 * max(1, round(data.width * _GROWN)) + 1
        grown = F.max_pool2d(mask, reach, 1, reach // 2)[0, 0] > 0
        pixels, depth = rays.project(camera, centres)
        column, row = pixels.nan_to_num(-1).floor().long().unbind(1)
        inside = (depth > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        votes += inside & grown[row.clamp(0, camera.height - 1), column.clamp(0, camera.width - 1)]
    return votes >= _AGREE * len(picks)
