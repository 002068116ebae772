"""A run of methods, variants and references, and the kit that it gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run
import toy

from bench.paper import Kit, build

METHODS = {
    "degstalk": 0.0, "talkinggaussian": 2.0, "degstalk[-H]": 3.0, "degstalk[-E]": 0.5, "mean-frame": 9.0, "copy-gt": 0.0,
}  # fmt: skip


@pytest.fixture(scope="session")
def subject_root(tmp_path_factory) -> Path:
    """The toy subject with as many test frames as the small run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "FRAMES", small_run.FIRST_ID + small_run.FRAMES)
        patch.setattr(toy, "TRAIN", small_run.FIRST_ID)
        return toy.make(tmp_path_factory.mktemp("subjects") / "toy")


@pytest.fixture(scope="session")
def run(tmp_path_factory, subject_root) -> Path:
    """Two subjects, of which only ``toy`` has its folder."""
    folder = tmp_path_factory.mktemp("paper") / "run_1"
    return small_run.make(folder, METHODS, subjects=("toy", "lou_b.c"), roots={"toy": subject_root})


@pytest.fixture(scope="session")
def kit(run, tmp_path_factory) -> Kit:
    """The run's kit, only for reading."""
    return build(run, tmp_path_factory.mktemp("paper") / "kit")
