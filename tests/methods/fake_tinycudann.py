"""A stand-in for tinycudann 1.7 on the CPU: its documented layouts, written from its sources' facts, not from our encoder.

Grids: ``include/tiny-cuda-nn/encodings/grid.h`` and ``common_device.h`` (grid_scale, grid_resolution, grid_index,
pos_fract). Nets: ``fully_fused_mlp.cu`` behind an identity encoding, which pads inputs with ones. Plain and slow.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

PRECISION = torch.float16  # of nets; a test may set float32 to see layouts without rounding
made: list[nn.Module] = []


def round_up(value, multiple):
    return -(-value // multiple) * multiple


class Encoding(nn.Module):
    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        super().__init__()
        made.append(self)
        config = dict(encoding_config)
        assert n_input_dims == 2
        assert dtype in (None, torch.float16, torch.float32)
        assert config.pop("otype") in ("Grid", "HashGrid")
        assert config.pop("interpolation", "Linear") == "Linear"
        assert config.pop("n_features_per_level") == 1  # the default is 2
        self.count = config.pop("n_levels")
        self.most = 2 ** config.pop("log2_hashmap_size")
        self.base = config.pop("base_resolution")
        growth = np.float32(config.pop("per_level_scale"))
        assert not config, f"unknown keys {list(config)}"
        assert all(type(value) is int for value in (self.count, self.most, self.base))
        self.precision = torch.float32 if dtype == torch.float32 else torch.float16
        self.log2_growth = np.log2(growth)
        self.offsets = [0]
        for level in range(self.count):
            nodes = self.resolution(level) ** 2
            self.offsets.append(self.offsets[-1] + min(round_up(nodes, 8), self.most))
        start = torch.rand(self.offsets[-1], generator=torch.Generator().manual_seed(seed)) * 2e-4 - 1e-4
        self.params = nn.Parameter(start)
        self.n_output_dims = self.count

    def scale(self, level):
        return np.exp2(np.float32(level) * self.log2_growth, dtype=np.float32) * np.float32(self.base) - np.float32(1)

    def resolution(self, level):
        return int(np.ceil(self.scale(level))) + 1

    def forward(self, x):
        assert x.shape[1] == 2
        assert len(x) > 0
        assert x.dtype == torch.float32
        assert ((x >= 0) & (x <= 1)).all()  # elsewhere tinycudann wraps around, without a word
        params = self.params.to(self.precision)
        assert params.shape == (self.offsets[-1],)
        out = torch.zeros(len(x), self.count, dtype=self.precision)
        for level in range(self.count):
            table = params[self.offsets[level] : self.offsets[level + 1]]
            position = x * float(self.scale(level)) + 0.5
            cell = position.detach().floor()
            fraction = position - cell
            for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
                weight = torch.ones(len(x))
                for axis in (0, 1):
                    weight = weight * (fraction[:, axis] if corner[axis] else 1 - fraction[:, axis])
                nodes = cell.numpy().astype(np.uint32) + np.array(corner, np.uint32)
                out[:, level] += (
                    weight.to(self.precision) * table[self.index(nodes, self.resolution(level), len(table))]
                )
        return out

    @staticmethod
    def index(nodes, resolution, size):
        """Entry of each node: row by row if the level has room for all, else hashed; modulo the size either way."""
        if resolution * resolution > size:
            entry = nodes[:, 0] ^ (nodes[:, 1] * np.uint32(2654435761))
        else:
            entry = nodes[:, 0] + nodes[:, 1] * np.uint32(resolution)
        return torch.from_numpy((entry % np.uint32(size)).astype(np.int64))


class Network(nn.Module):
    def __init__(self, n_input_dims, n_output_dims, network_config, seed=1337):
        super().__init__()
        made.append(self)
        config = dict(network_config)
        assert config.pop("otype") == "FullyFusedMLP"
        assert config.pop("activation") == "ReLU"
        assert config.pop("output_activation") == "None"
        width, hidden = config.pop("n_neurons"), config.pop("n_hidden_layers")
        assert not config, f"unknown keys {list(config)}"
        assert width in (16, 32, 64, 128)
        assert hidden >= 1
        self.inputs, self.n_output_dims = n_input_dims, n_output_dims
        self.shapes = [(width, round_up(n_input_dims, 16))]
        self.shapes += [(width, width)] * (hidden - 1)
        self.shapes += [(round_up(n_output_dims, 16), width)]
        self.params = nn.Parameter(torch.zeros(sum(a * b for a, b in self.shapes)))

    def forward(self, x):
        assert x.shape[1] == self.inputs
        assert len(x) > 0
        assert x.dtype == torch.float32
        rest = self.params.to(PRECISION).float()
        assert rest.ndim == 1
        signal = torch.ones(len(x), self.shapes[0][1])
        signal = torch.cat([x, signal[:, self.inputs :]], 1).to(PRECISION).float()
        for k, (rows, columns) in enumerate(self.shapes):
            matrix, rest = rest[: rows * columns].view(rows, columns), rest[rows * columns :]
            signal = (signal @ matrix.T).to(PRECISION).float()
            if k + 1 < len(self.shapes):
                signal = signal.relu()
        assert len(rest) == 0
        return signal.to(PRECISION)[:, : self.n_output_dims]
