"""The benchmarks compare like with like, and the gate shuts: agreement and judgement only, no times."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from methods import kernels as compiled
from methods.fields.triplane import TriplaneEncoder, encode
from methods.ssim import ssim

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import contests
import gate
import iteration
import kernels
import on_cuda
import peers
import render
import tables
import timing
import workload

needs_kernels = pytest.mark.skipif(compiled.native is None, reason="the compiled kernels are not built: pip install .")
ROOT = Path(__file__).parents[1]
SMALL = (400, 48)


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Relative L2 distance."""
    return float((a.detach() - b.detach()).norm() / b.detach().norm().clamp_min(1e-12))


def small_contests() -> dict[str, contests.Contest]:
    made = [*kernels.at(*SMALL), contests.rasterising_in_torch(*SMALL), contests.hearing()]
    return {contest.name: contest for contest in made}


@needs_kernels
@pytest.mark.parametrize("name", ["rasterise", "rasterise in torch", "ssim", "encode", "mlp", "deform", "audio"])
def test_peers_do_what_the_kernel_does(name: str):
    contest = small_contests()[name]
    assert contest.peers
    ours = contest.ours()
    for peer, run in contest.peers.items():
        theirs = run()
        assert len(ours) == len(theirs) >= 2
        for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.shape == b.shape
            assert distance(a, b) < 1e-4, (peer, place)


def test_a_contest_would_notice_another_operation():
    x, y = torch.rand(2, 3, 40, 40)
    x.requires_grad_()
    assert distance(peers.l1_dssim_conv2d(x, y), peers.l1_dssim_separable(x, y)) < 1e-5
    assert distance(peers.ssim_conv2d(x, y), peers.l1_dssim_separable(x, y)) > 0.1


@needs_kernels
def test_the_yardstick_is_ssim_and_its_gradient():
    x, y = torch.rand(2, 3, 40, 40)
    x.requires_grad_()
    for a, b in zip(contests.both_ways(ssim, x, y)(), contests.both_ways(peers.ssim_conv2d, x, y)(), strict=True):
        assert distance(a, b) < 1e-5


@pytest.mark.parametrize("how", [peers.encode_grid_sample, peers.encode_grid_sample_batched])
def test_grid_sample_is_the_encoder_inside_and_outside_of_the_cube(how: peers.Encode):
    encoder = TriplaneEncoder(levels=5, base=4, desired=20, bound=0.15)
    torch.nn.init.uniform_(encoder.table)
    points = torch.rand(200, 3) * 0.4 - 0.2
    points[0], points[1] = 0.15, -0.15  # the cube's corners
    wanted = encode(points, encoder.table, encoder.levels, encoder.bound)
    torch.testing.assert_close(how(points, encoder.table, encoder.levels, encoder.bound), wanted, atol=1e-5, rtol=0)
    assert (wanted == 0).any()


@needs_kernels
@pytest.mark.parametrize("design", iteration.DESIGNS, ids=lambda design: design.name)
def test_all_stacks_take_the_same_step(design: Any):
    trainings = [iteration.Training(stack, design, *SMALL) for stack in iteration.STACKS.values()]
    losses = [training.loss() for training in trainings]
    assert max(losses) - min(losses) < 1e-5
    ours, *others = ([*t.cloud.raw.values(), *t.field.parameters()] for t in trainings)
    for theirs in others:
        for a, b in zip(ours, theirs, strict=True):
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None and a.numel():
                assert distance(a.grad, b.grad) < 2e-3


@needs_kernels
def test_what_is_measured_on_cuda_is_the_same_on_the_cpu():
    frame, encoder = on_cuda.frame(*SMALL, device="cpu"), on_cuda.encoder(SMALL[0], device="cpu")
    steps = [on_cuda.step(design, *SMALL, device="cpu") for design in iteration.DESIGNS]
    for contest in (frame, encoder, *steps):
        (peer,) = contest.peers.values()
        for ours, theirs in zip(contest.ours(), peer(), strict=True):
            assert distance(ours, theirs) < 1e-5, contest.name


@needs_kernels
def test_a_step_learns_and_keeps_the_cloud_in_place():
    training = iteration.Training(iteration.STACKS[contests.OURS], iteration.DESIGNS[0], *SMALL)
    before = training.cloud.xyz.detach().clone()
    training.step()
    moved = (training.cloud.xyz.detach() - before).abs().max()
    assert 0 < moved < 1e-6


@needs_kernels
def test_both_renderers_draw_the_same_picture():
    contest = render.contest(*SMALL)
    (ours,), (theirs,) = contest.ours(), contest.peers["good torch"]()
    assert ours.shape == (SMALL[1], SMALL[1], 3)
    assert ours.std() > 0.05
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_the_workload_is_a_head_in_the_middle_of_the_picture():
    scene = workload.head(2000, 512)
    view = scene.view
    seen = scene.means @ view.viewmat[0, :3, :3].T + view.viewmat[0, :3, 3]
    pixels = seen @ view.K[0].T / seen[:, 2:]
    tall = np.ptp(pixels[scene.means[:, 1] < 0.05][:, 1].numpy())
    assert 250 < tall < 420
    assert scene.means.abs().max() < 0.15  # the fields' cube
    torch.testing.assert_close(scene.quats.norm(dim=1), torch.ones(2000))


def test_candidates_take_turns_and_ratios_are_paired():
    turns: list[str] = []

    def turn(name: str) -> Any:
        return lambda: (turns.append(name), sum(range(100_000)))

    samples = timing.interleave({"a": turn("a"), "b": turn("b")}, rounds=2)
    assert {name: len(times) for name, times in samples.items()} == {"a": 2, "b": 2}
    order = [t for i, t in enumerate(turns) if i == 0 or turns[i - 1] != t]
    assert order == ["a", "b", "a", "b", "a"]  # warming up, a round, the same in reverse
    # in a round twice as slow both are: the ratio doesn't move
    assert timing.ratio([20.0, 40.0, 20.0], [10.0, 20.0, 10.0]) == {"median": 2, "low": 2, "high": 2}


def results_at(value: float, folder: Path) -> Path:
    """Results with all ratios that the gate asks for at ``value`` times their threshold."""
    found: dict[str, Any] = {}
    for asked in tomllib.loads(gate.THRESHOLDS.read_text(encoding="utf-8"))["gate"]:
        for case in asked["cases"]:
            cases = found.setdefault(asked["script"], {"script": asked["script"], "setting": {}, "cases": {}})["cases"]
            ratios = cases.setdefault(case, {}).setdefault(asked["contest"], {"ratios": {}})["ratios"]
            ratios[asked["peer"]] = dict.fromkeys(("median", "low", "high"), value * asked["least"])
    for script, result in found.items():
        (folder / f"{script}.json").write_text(json.dumps(result))
    return folder


def run_gate(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", str(ROOT / "benchmarks" / "gate.py"), "--results", str(folder), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("value", "code", "statuses"), [(1.0, 0, {"reached"}), (0.95, 0, {"short"}), (0.85, 3, {"missed", "short"})]
)
def test_the_gate(value: float, code: int, statuses: set[str], tmp_path: Path):
    done = run_gate(results_at(value, tmp_path))
    assert done.returncode == code, done.stderr
    verdicts = json.loads(done.stdout)
    assert {v["status"] for v in verdicts} == statuses
    assert all(v["told"] for v in verdicts if v["status"] == "short" and code)


def test_one_missed_ratio_shuts_the_gate(tmp_path: Path):
    results_at(2.0, tmp_path)
    file = tmp_path / "kernels.json"
    result = json.loads(file.read_text())
    result["cases"]["20k@512"]["rasterise"]["ratios"]["conv2d SSIM"]["median"] = 1.0
    file.write_text(json.dumps(result))
    done = run_gate(tmp_path)
    assert done.returncode == 3
    assert "1 of" in done.stderr


def test_a_ratio_that_was_not_measured_is_an_error(tmp_path: Path):
    results_at(2.0, tmp_path)
    (tmp_path / "iteration.json").unlink()
    done = run_gate(tmp_path)
    assert done.returncode == 1
    assert "no result for" in done.stderr


@needs_kernels
def test_the_gate_asks_for_ratios_that_are_measured():
    measured = {(c.name, peer) for c in small_contests().values() for peer in c.candidates}
    measured |= {("iteration", name) for name in iteration.STACKS} | {("frame", render.REAL_TIME)}
    sizes = {kernels.case(*s) for s in (*kernels.SIZES, *iteration.SIZES, *render.SIZES)}
    for asked in tomllib.loads(gate.THRESHOLDS.read_text(encoding="utf-8"))["gate"]:
        assert (asked["contest"], asked["peer"]) in measured
        assert all(case.split()[-1] in sizes or case == "one frame" for case in asked["cases"])


def test_tables_are_filled_in_and_the_rest_stays():
    document = "a\n<!-- table: render -->\nold\n<!-- end -->\nb\n<!-- table: other -->\nkept\n<!-- end -->\n"
    filled = tables.fill(document, {"render": "new"})
    assert filled == document.replace("old", "new")


def test_the_document_has_a_place_for_every_table():
    document = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    filled = tables.fill(document, dict.fromkeys(("targets", "kernels", "iteration", "render", "curves"), "here"))
    assert filled.count("\nhere\n") == 5
