"""The same training code on a GPU and on the CPU: a branch with its gradients, then 500 steps and the frames they lead to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from bench.subject import Subject
from methods.baselines.talkinggaussian.plugin import TalkingGaussian
from methods.degstalk.plugin import Degstalk

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "methods")]
from branch_oracle import compare, drawn  # noqa: E402
from steps import assert_alike, train  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a CUDA device: run `nox -s gpu` where there is one"
    ),
]


def test_a_branch_equals_the_cpus():
    # Fast maths may put an alpha on the other side of the 1/255 below which nothing is drawn.
    compare(drawn("cuda"), drawn("cpu"), pixel=2 / 255, gradient_error=2e-2)


@pytest.mark.parametrize("kind", [Degstalk, TalkingGaussian])
def test_500_steps_lead_where_the_cpus_do(kind, toy_subject: Subject, tmp_path: Path):
    """Bounds: a third, for AVX2 and portable kernels on the CPU come up to a quarter and 0.3 dB apart in these steps."""
    steps = (120, 330, 50)
    runs = [train(kind(), toy_subject, device, tmp_path / device, steps) for device in ("cuda", "cpu")]
    assert_alike(*runs, start=1e-2, loss=1 / 3, number=0.2, decibels=1.0)
