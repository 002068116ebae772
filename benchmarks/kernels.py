"""Speed of each compiled kernel as a ratio to torch doing the same, forward and backward.

``python benchmarks/kernels.py [--rounds 9] [--quick] [--json FILE]``

For each size all candidates take turns. The rasteriser has one more yardstick, which stands for other CPU rasterisers: SSIM
as a grouped 11 × 11 convolution on an image of the same size (docs/performance.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import contests
import results
import timing

SIZES = ((5_000, 128), (20_000, 128), (10_000, 256), (20_000, 512))
TWIN_ROUNDS = 3
"""Of torch's rasteriser, which takes a second for the smallest size."""


def case(n: int, size: int) -> str:
    """A size's name."""
    return f"{n / 1000:g}k@{size}"


def at(n: int, size: int) -> list[contests.Contest]:
    """The contests that depend on a size."""
    return [
        contests.rasterising(n, size),
        contests.similarity(size),
        contests.encoding(n),
        contests.network(n),
        contests.deforming(n),
    ]


def main() -> None:
    given = results.options(__doc__, "kernels", rounds=9).parse_args()
    timing.settle()
    cases = {}
    with timing.setting(rounds=given.rounds, quick=given.quick) as setting:
        for n, size in SIZES[:1] if given.quick else SIZES:
            cases[case(n, size)] = contests.measure(at(n, size), given.rounds)
        cases[case(*SIZES[0])] |= contests.measure(
            [contests.rasterising_in_torch(*SIZES[0])], min(given.rounds, TWIN_ROUNDS)
        )
        cases["one frame"] = contests.measure([contests.hearing()], given.rounds)
        for name, found in cases.items():
            results.show(name, found)
    results.write(given.json, {"script": "kernels", "setting": setting, "cases": cases})


if __name__ == "__main__":
    main()
