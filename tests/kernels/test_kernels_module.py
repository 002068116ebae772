"""The compiled module itself: absence, threads, forks, Python threads, and the choice of the path."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from splat_oracle import cameras, cloud

from methods import kernels
from methods.gaussians import rasterize

needs_native = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
RENDER = """
import torch, warnings
from methods import kernels
from methods.gaussians import rasterize
view, K = torch.eye(4)[None].clone(), torch.tensor([[[20.0, 0, 8], [0, 20, 8], [0, 0, 1]]])
view[:, 2, 3] = 4
torch.manual_seed(0)
cloud = torch.randn(30, 3), torch.randn(30, 4), torch.rand(30, 3), torch.rand(30), torch.rand(30, 3)
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    for _ in range(2):
        image = rasterize(*cloud, view, K, 16, 16)[0]
print(kernels.native.path() if kernels.native else "none", len(heard), f"{image.sum().item():.3f}")
for warning in heard:
    print(warning.message)
"""


def run_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()


@needs_native
def test_without_the_module_the_twin_runs_and_says_so_once():
    absent = run_python(RENDER, BENCH_KERNELS="off")
    name, heard, value = absent[0].split()
    assert (name, heard) == ("none", "1")
    assert "slow torch code" in absent[1]
    assert "pip install" in absent[1]
    portable = run_python(RENDER, BENCH_KERNELS="portable")[0].split()
    assert portable[:2] == ["portable", "0"]
    assert float(portable[2]) == pytest.approx(float(value), abs=2e-3)


@needs_native
def test_path_and_threads_are_put_back():
    before = kernels.native.path(), kernels.native.threads()
    with kernels.using(path="portable", threads=5):
        assert (kernels.native.path(), kernels.native.threads()) == ("portable", 5)
    assert (kernels.native.path(), kernels.native.threads()) == before
    with pytest.raises(ValueError, match="no such path"), kernels.using(path="sse9"):
        pass
    with pytest.raises(ValueError, match="at least 1"):
        kernels.set_threads(0)


@needs_native
def test_many_python_threads_at_once():
    tensors, view = cloud(400, 3), cameras(64, 64)
    want = rasterize(*tensors, *view, 64, 64, backend="cpu")[0]
    with kernels.using(threads=2), ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda _: rasterize(*tensors, *view, 64, 64, backend="cpu")[0], range(40)))
    assert all(torch.equal(image, want) for image in images)


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_renders_too():
    tensors, view = cloud(400, 3), cameras(64, 64)
    with kernels.using(threads=2):
        want = rasterize(*tensors, *view, 64, 64, backend="cpu")[0]
        child = os.fork()
        if child == 0:  # without the parent's helper threads
            same = all(torch.equal(rasterize(*tensors, *view, 64, 64, backend="cpu")[0], want) for _ in range(5))
            os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@needs_native
def test_wrong_shapes_never_reach_the_kernels():
    with pytest.raises(TypeError):
        kernels.native.grid_forward(1, 2, 3, 4)
    lattice = kernels.native.Lattice([(15.0, 17, 296)], 0.15)
    with pytest.raises(ValueError, match="table does not fit"):
        kernels.native.grid_forward(lattice, torch.zeros(3, 5), torch.zeros(2, 3), torch.zeros(2, 3))
