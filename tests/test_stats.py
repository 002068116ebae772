"""Intervals and comparisons against simulated series whose true means and scatter are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from bench.errors import DataError
from bench.stats import Batched, best_and_ties, block_length, compare, frame_mean, holm, interval, mean_interval
from bench.stats.bootstrap import Blocks

Array = NDArray[np.float64]
SHORT = 400
"""Resamples where thousands of intervals are made."""


def autoregressive(phi: float, shape: tuple[int, ...], seed: int | np.random.Generator) -> Array:
    """Series of mean 0 and variance 1 along the last axis: ``x(t) = φ x(t-1) + noise``."""
    noise = np.random.default_rng(seed).normal(size=(*shape[:-1], shape[-1] + 200))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=-1)[..., 200:]


def coverage(
    series: Array, truth: float, statistic: Callable[[Array], float] = frame_mean, samples: int = SHORT
) -> float:
    """Share of the series [R, N(, F)] whose 95 % interval holds the true value."""
    found = [interval(one, statistic, samples=samples, seed=seed) for seed, one in enumerate(series)]
    assert None not in found
    return float(np.mean([low <= truth <= high for low, high in found]))


def coverage_table(runs: int) -> dict[tuple[float, int], float]:
    """Coverage of a mean's nominal 95 % by φ and number of frames: the table in ``bench.stats.interval``."""
    return {
        (phi, count): coverage(autoregressive(phi, (runs, count), 1), 0.0, samples=2000)
        for phi in (0.0, 0.5, 0.8, 0.9)
        for count in (37, 100, 300)
    }


def correlations(stacks: Array) -> Array:
    """Pearson's r of two columns, rows of NaN left out."""
    centred = stacks - np.nanmean(stacks, axis=1, keepdims=True)
    a, b = centred[..., 0], centred[..., 1]
    return np.nansum(a * b, axis=1) / np.sqrt(np.nansum(a * a, axis=1) * np.nansum(b * b, axis=1))


correlation = Batched(correlations, bounds=(-1.0, 1.0))


@pytest.mark.parametrize(("phi", "count"), [(0.0, 37), (0.5, 100), (0.8, 100)])
def test_intervals_hold_the_true_mean(phi: float, count: int) -> None:
    assert 0.90 <= coverage(autoregressive(phi, (300, count), 2), 0.0) <= 0.98


def test_intervals_of_very_short_drifting_series_are_not_hopeless() -> None:
    """37 frames that count for two: intervals of independent frames hold the mean in a third of the runs."""
    series = autoregressive(0.9, (400, 37), 3)
    naive = np.abs(series.mean(axis=1)) <= 2.03 * series.std(axis=1, ddof=1) / 37**0.5
    assert naive.mean() < 0.45
    assert coverage(series, 0.0) >= 0.82  # 0.86 in the long run


def test_intervals_see_drift_under_frame_noise() -> None:
    """Neighbours correlate by 0.45 only, but the noisy drift is as long as the clean one."""
    noisy = autoregressive(0.9, (200, 300), 4) + autoregressive(0.0, (200, 300), 5)
    assert coverage(noisy, 0.0) >= 0.9


@pytest.mark.slow
def test_coverage_table() -> None:
    table = coverage_table(1000)
    for phi in sorted({phi for phi, _ in table}):
        print(phi, *(f"{share:.3f}" for (row, _), share in table.items() if row == phi))
    for (phi, count), share in table.items():
        assert 0.85 <= share <= 0.98
        if phi <= 0.8 and count >= 100:
            assert share >= 0.90


def test_independent_frames_give_the_textbook_interval() -> None:
    """Student's t, and no wider on average than 10 %."""
    series = autoregressive(0.0, (40, 300), 6)
    widths = [high - low for low, high in (interval(one) for one in series)]
    textbook = 2 * 1.968 * series.std(axis=1, ddof=1) / 300**0.5
    assert 0.95 < np.mean(widths / textbook) < 1.10


def test_correlations_have_intervals() -> None:
    common = autoregressive(0.5, (200, 100), 7)
    pairs = np.stack([common, 0.5 * common + 0.75**0.5 * autoregressive(0.5, (200, 100), 8)], axis=-1)
    assert 0.88 <= coverage(pairs, 0.5, correlation) <= 0.98


def test_batched_and_plain_statistics_agree() -> None:
    pairs = autoregressive(0.5, (37, 2), 9)
    pairs[5] = np.nan
    pairs[6, 1] = np.nan
    plain = interval(pairs, lambda rows: np.corrcoef(rows.T)[0, 1], samples=200)
    np.testing.assert_allclose(
        plain, interval(pairs, Batched(lambda s: correlations(_blank(s))), samples=200), rtol=1e-9
    )


def _blank(stacks: Array) -> Array:
    """Checks what a batched statistic is promised: whole rows of NaN."""
    gone = np.isnan(stacks)
    assert np.array_equal(gone.any(axis=-1), gone.all(axis=-1))
    return stacks


def test_intervals_end_at_the_bounds_of_a_statistic() -> None:
    line = autoregressive(0.9, (12,), 25)
    pairs = np.stack([line, line + 0.3 * autoregressive(0.0, (12,), 100)], axis=-1)
    unbounded = interval(pairs, Batched(correlations))
    assert unbounded[1] > 1
    assert interval(pairs, correlation) == (unbounded[0], 1.0)


def test_block_length_grows_with_dependence_and_stays_in_bounds() -> None:
    mean_length = [np.mean([block_length(s) for s in autoregressive(phi, (50, 300), 12)]) for phi in (0, 0.5, 0.9)]
    assert mean_length[0] < 3 < mean_length[1] < 12 < mean_length[2] <= 50
    walks = np.cumsum(autoregressive(0.0, (50, 37), 12), axis=1)
    assert max(block_length(walk) for walk in walks) == 12
    assert [block_length(np.ones(n)) for n in (0, 1, 2, 300)] == [1, 1, 1, 1]
    two = np.stack([autoregressive(0.0, (300,), 13), autoregressive(0.9, (300,), 13)], axis=-1)
    assert block_length(two) == block_length(two[:, 1]) > block_length(two[:, 0])


def test_block_length_of_politis_and_white() -> None:
    """For AR(1) the optimum is (6 φ² N / (1-φ²)²)^⅓: the estimate's median comes near it in long series."""
    found = np.median([block_length(s) for s in autoregressive(0.7, (100, 2000), 14)])
    assert found == pytest.approx((6 * 0.49 * 2000 / 0.51**2) ** (1 / 3), rel=0.2)


def test_every_frame_is_drawn_alike_and_blocks_stay_in_order() -> None:
    blocks = Blocks.draw(10, 4, 5000, np.random.default_rng(0))
    drawn: list[Array] = []
    blocks.of(np.arange(10.0), Batched(lambda stacks: drawn.append(stacks.copy()) or stacks[:, 0]))
    rows = np.concatenate(drawn)
    assert rows.shape == (5000, 10)
    steps = np.diff(rows, axis=1) % 10
    assert (steps[:, [0, 1, 2, 4, 5, 6, 8]] == 1).all()
    assert not (steps[:, 3] == 1).all()
    np.testing.assert_allclose(np.bincount(rows.astype(int).ravel()), 5000, rtol=0.05)


def test_gaps_keep_their_place_in_time() -> None:
    """Every other frame missing: neighbours in the list are two apart in time, and blocks must count time."""
    series = autoregressive(0.9, (300,), 15)
    seen: list[Array] = []

    def means(stacks: Array) -> Array:
        seen.append(stacks)
        return np.nanmean(stacks, axis=1)

    series[::2] = np.nan
    interval(series, Batched(means), samples=20)
    inside = np.isnan(seen[-1])
    length = block_length(series)
    assert length > 2
    assert all((row[:length:2] == row[0]).all() and (row[1:length:2] != row[0]).all() for row in inside)


def test_intervals_with_gaps_hold_the_true_mean() -> None:
    series = autoregressive(0.8, (200, 200), 16)
    series[:, 50:70] = np.nan
    series[np.random.default_rng(0).random(series.shape) < 0.1] = np.nan
    assert 0.90 <= coverage(series, 0.0) <= 0.98


def test_infinite_psnr_is_left_to_the_statistic() -> None:
    series = 30 + autoregressive(0.5, (100,), 17)
    series[10] = np.inf
    gap = series.copy()
    gap[10] = np.nan
    assert interval(series) == interval(gap)
    assert frame_mean(series) == pytest.approx(np.delete(series, 10).mean(), rel=1e-14)
    mse = Batched(lambda stacks: -10 * np.log10(np.nanmean(10 ** (-stacks / 10), axis=1)))
    low, high = interval(series, mse)
    assert low < mse(series) < high
    assert mse(series) > mse(gap)  # the identical frame counts as an error of 0


def test_no_interval_without_meaning() -> None:
    series = autoregressive(0.0, (37,), 18)
    few = np.full(37, np.nan)
    few[:7] = 1.0
    assert np.isnan(frame_mean(np.full(4, np.nan)))
    assert np.isnan(frame_mean(np.array([])))
    for none in (few, np.full(37, np.inf), series[:7], np.array([])):
        assert interval(none) is None
    assert interval(np.ones((37, 2)), correlation) is None
    found = mean_interval({"may": {0: series}, "obama": {0: few}})
    assert (found.low, found.high, found.levels) == (None, None, ())
    assert found.value == pytest.approx((series.mean() + 1) / 2)


def test_constant_series_have_no_width() -> None:
    constant = np.full(300, 0.1)
    constant[::7] = np.nan
    assert interval(constant) == (pytest.approx(0.1),) * 2
    low, high = interval(constant)
    assert low == high


def test_equal_seeds_give_equal_intervals_in_any_order_of_subjects() -> None:
    groups = {name: {0: autoregressive(0.5, (50,), i)} for i, name in enumerate("abcdef")}
    assert mean_interval(groups) == mean_interval(dict(reversed(groups.items())))
    assert mean_interval(groups) != mean_interval(groups, seed=1)


def make_groups(
    rng: np.random.Generator, subjects: int, seeds: int, *, between: float, seed_scatter: float = 0.0
) -> dict[str, dict[int, Array]]:
    """Subjects' and seeds' true values scatter; frames have one noise for all of a subject's seeds and a smaller one of each."""
    groups = {}
    for k, centre in enumerate(between * rng.normal(size=subjects)):
        common = autoregressive(0.5, (100,), rng)
        own = seed_scatter * rng.normal(size=seeds)
        groups[f"s{k}"] = {s: centre + own[s] + common + 0.3 * autoregressive(0.5, (100,), rng) for s in range(seeds)}
    return groups


@pytest.mark.parametrize(
    ("subjects", "seeds", "between", "seed_scatter", "levels"),
    [
        (6, 1, 1.0, 0.0, ("frames", "subjects")),
        (6, 1, 0.1, 0.0, ("frames", "subjects")),
        (6, 3, 0.3, 0.3, ("frames", "seeds", "subjects")),
        (2, 3, 0.0, 0.4, ("frames", "seeds")),
    ],
)
def test_intervals_hold_the_scatter_of_all_levels(
    subjects: int, seeds: int, between: float, seed_scatter: float, levels: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(20)
    found = [
        mean_interval(
            make_groups(rng, subjects, seeds, between=between, seed_scatter=seed_scatter), samples=SHORT, seed=i
        )
        for i in range(100)
    ]
    assert {one.levels for one in found} == {levels}
    assert 0.90 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.99
    widths = np.median([one.high - one.low for one in found])
    assert widths < 1.5 * 2 * 1.96 * np.std([one.value for one in found])


def test_noise_of_frames_is_not_counted_again_between_seeds() -> None:
    """Seeds that differ by their frames' noise alone: counted twice, intervals would be √2 too wide."""
    series = autoregressive(0.5, (80, 6, 100), 22)
    found = [mean_interval({"may": dict(enumerate(seeds))}, samples=SHORT) for seeds in series]
    widths = np.mean([one.high - one.low for one in found])
    truth = np.std(series.mean(axis=2)) / 6**0.5
    assert 0.95 < widths / (2 * 1.96 * truth) < 1.35


def test_two_subjects_are_taken_as_fixed() -> None:
    """However far apart they are."""
    near = make_groups(np.random.default_rng(21), 2, 1, between=0.0)
    far = {name: {0: seeds[0] + 100 * (name == "s1")} for name, seeds in near.items()}
    one, other = mean_interval(near), mean_interval(far)
    assert one.levels == other.levels == ("frames",)
    assert other.high - other.low == pytest.approx(one.high - one.low)
    assert other.value == pytest.approx(one.value + 50)


def test_means_are_over_seeds_then_subjects() -> None:
    groups = {"a": {0: np.zeros(20), 1: np.ones(20)}, "b": {0: np.full(20, 3.0)}}
    assert mean_interval(groups).value == 1.75


def pairs(runs: int, count: int, seed: int) -> tuple[Array, Array]:
    """Two methods' series: a large common part, and small ones of their own."""
    common = 3 * autoregressive(0.9, (runs, count), seed)
    return tuple(common + autoregressive(0.6, (runs, count), seed + k) for k in (1, 2))


def test_false_positives_and_power_of_the_paired_test() -> None:
    """A difference of 0.5, a sixth of the frames' scatter: unpaired, hardly anything would be found."""
    equal, found = [], []
    for i, (a, b) in enumerate(zip(*pairs(300, 200, 30), strict=True)):
        equal.append(compare({"may": {0: a}}, {"may": {0: b}}, samples=SHORT, seed=i).p)
        found.append(compare({"may": {0: a + 0.5}}, {"may": {0: b}}, samples=SHORT, seed=i).p)
    assert 0.02 <= np.mean(np.array(equal) <= 0.05) <= 0.09
    assert np.mean(np.array(found) <= 0.05) >= 0.5


def test_comparison_of_a_series_with_itself() -> None:
    series = {"may": {0: autoregressive(0.5, (100,), 31)}}
    found = compare(series, series)
    assert (found.delta, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_never_0() -> None:
    series = autoregressive(0.5, (100,), 32)
    assert compare({"may": {0: series + 50}}, {"may": {0: series}}, samples=999).p == 0.001


def test_comparisons_leave_out_frames_unscored_in_either() -> None:
    a, b = (one[0].copy() for one in pairs(1, 100, 33))
    a[10], b[20], a[30] = np.nan, np.nan, np.inf
    found = compare({"may": {0: a}}, {"may": {0: b}})
    assert found.delta == pytest.approx(np.delete(a - b, [10, 20, 30]).mean())


def test_comparisons_are_on_what_both_methods_have() -> None:
    one, other = (series[0] for series in pairs(1, 50, 34))
    a = {"may": {0: one, 1: one + 9}, "obama": {0: one + 99}}
    b = {"may": {0: other, 2: other - 9}, "shaheen": {0: other}}
    found = compare(a, b)
    assert found.levels == ("frames",)
    assert found == compare({"may": {0: one}}, {"may": {0: other}})


def test_comparisons_with_a_difference_in_few_frames_have_no_p() -> None:
    few = np.full(50, np.nan)
    few[:5] = 1.0
    found = compare({"may": {0: few}}, {"may": {0: np.zeros(50)}})
    assert (found.delta, found.low, found.high, found.p, found.levels) == (1.0, None, None, None, ())


def test_broken_input_is_named() -> None:
    series = np.zeros(20)
    for call, words in (
        (lambda: compare({"may": {0: series}}, {"may": {0: series[1:]}}), "may: series of shape"),
        (lambda: compare({"may": {0: series}}, {"obama": {0: series}}), "share no subject"),
        (lambda: mean_interval({"may": {0: series, 1: series[1:]}}), "of the same frames"),
        (lambda: mean_interval({"may": {}}), "no series"),
        (lambda: interval(np.zeros((20, 2, 2))), "a series is"),
    ):
        with pytest.raises(DataError, match=words):
            call()


def test_holm_by_hand() -> None:
    """multipletests([…], method="holm"): sorted p × 5, 4, 3, 2, 1, never falling, at most 1."""
    found = holm([0.02, 0.001, 0.3, 0.012, 0.9])
    assert found == pytest.approx([0.06, 0.005, 0.6, 0.048, 0.9])
    assert holm([0.6, 0.5, 0.7]) == [1.0, 1.0, 1.0]
    assert holm([0.04, 0.03]) == [0.06, 0.06]
    assert holm([]) == []


def test_best_and_ties() -> None:
    a, b = (one[0] for one in pairs(1, 300, 40))
    methods = {"good": {"may": {0: a}}, "equal": {"may": {0: b + (a - b).mean() - 0.01}}, "bad": {"may": {0: b - 3}}}
    ranking = best_and_ties(methods)
    assert (ranking.best, ranking.ties, set(ranking.p)) == ("good", {"equal"}, {"equal", "bad"})
    assert ranking.p["bad"] == pytest.approx(2 / 2001)
    assert not ranking.is_significant
    del methods["equal"]
    assert best_and_ties(methods).is_significant
    lowest = best_and_ties(methods, higher_is_better=False)
    assert (lowest.best, lowest.is_significant) == ("bad", True)


def test_a_better_mean_over_easier_frames_is_no_victory() -> None:
    """``picky`` isn't scored on the hard half; on the easy half it is the worse."""
    easy = autoregressive(0.5, (100,), 42)
    even = np.where(np.arange(100) < 50, easy, easy - 9)
    picky = np.where(np.arange(100) < 50, easy - 1, np.nan)
    ranking = best_and_ties({"picky": {"may": {0: picky}}, "even": {"may": {0: even}}})
    assert ranking.p["even"] < 0.001
    assert (ranking.best, ranking.ties, ranking.is_significant) == ("picky", {"even"}, False)


def test_rankings_with_nothing_to_compare() -> None:
    series = autoregressive(0.5, (50,), 41)
    few = np.where(np.arange(50) < 5, series - 9, np.nan)
    alone = best_and_ties({"a": {"may": {0: series}}, "absent": {}, "unscored": {"may": {0: np.full(50, np.nan)}}})
    assert (alone.best, alone.ties, alone.p, alone.is_significant) == ("a", frozenset(), {}, False)
    untested = best_and_ties({"a": {"may": {0: series}}, "few": {"may": {0: few}}})
    assert (untested.best, untested.ties, untested.p, untested.is_significant) == ("a", {"few"}, {}, False)
    assert best_and_ties({}).best is None
    assert best_and_ties({"a": {"may": {0: series}}, "b": {"obama": {0: series}}}).best is None


@pytest.mark.slow
def test_rankings_of_equal_methods() -> None:
    """What ``best_and_ties`` says of its error rates."""
    some_worse, first_lost, significant = [], [], []
    for run in range(1000):
        rng = np.random.default_rng(run)
        common = 3 * autoregressive(0.9, (300,), rng)
        ranking = best_and_ties(
            {m: {"may": {0: common + autoregressive(0.8, (300,), rng)}} for m in "abcd"}, samples=SHORT
        )
        some_worse.append(len(ranking.ties) < 3)
        first_lost.append("a" not in ranking.ties | {ranking.best})
        significant.append(ranking.is_significant)
    print(np.mean(some_worse), np.mean(first_lost), np.mean(significant))
    assert np.mean(some_worse) <= 0.1
    assert np.mean(first_lost) <= 0.05
    assert np.mean(significant) <= 0.01
