"""The bars of a training step: to scale, alike in colour, readable as text, and absent where nothing was measured."""

from __future__ import annotations

import re

import pytest
from make_run import HOSTILE, METHODS
from test_report_page import Elements

from bench.records import StageProfile, load_record, save
from bench.report import build
from bench.report.charts import styles
from bench.report.data import Run, load
from bench.report.profile import Profile, profile


def looked_at(run: Run) -> Profile | None:
    return profile(run, styles([(name, False) for name in run.methods]))


def with_profiles(own_run, profiles: dict[str, dict[str, StageProfile]]) -> Run:
    """The run with these profiles, by cell, and no others."""
    for path in own_run.glob("cells/*/record.json"):
        if path.parent.name.startswith(tuple(METHODS)):
            record = load_record(path)
            save(path, record.model_copy(update={"profile": profiles.get(path.parent.name, {})}))
    return load(own_run)


def test_bars_are_on_one_scale(own_run):
    run = with_profiles(
        own_run,
        {
            "degstalk--ada--quick--s0": {"face": StageProfile(steps=10, milliseconds={"motion": 30, "other": 10})},
            "er-nerf--ada--quick--s0": {
                "head": StageProfile(steps=7, milliseconds={"march": 60, "motion": 15, "other": 5})
            },
        },
    )
    found = looked_at(run)
    assert [(bar.method, bar.subject, bar.stage, bar.steps, bar.total) for bar in found.bars] == [
        ("degstalk", "ada, seed 0", "face", 10, "40.0 ms"),
        ("er-nerf", "ada, seed 0", "head", 7, "80.0 ms"),
    ]
    assert found.legend == (("motion", "c0"), ("march", "c1"), ("other", "ref"))
    drawn = [[(s.css, s.at, s.width) for s in bar.segments] for bar in found.bars]
    assert drawn[0] == [("c0", 0, 37.5), ("ref", 37.5, 12.5)]
    assert drawn[1] == [("c0", 0, 18.75), ("c1", 18.75, 75), ("ref", 93.75, 6.25)]
    assert [bar.numbers for bar in found.bars] == [("30.0", "—", "10.0"), ("15.0", "60.0", "5.00")]
    assert found.bars[1].segments[1].text == "march 60.0 ms (75%)"
    assert [(tick.at, tick.text) for tick in found.ticks] == [(0, "0"), (25, "20"), (50, "40"), (75, "60"), (100, "80")]


def test_more_parts_than_colours_look_different_all_the_same(fabricated):
    legend = looked_at(load(fabricated)).legend
    assert len(legend) > 10
    assert len({look for _, look in legend}) == len(legend)
    assert legend[-1] == ("other", "ref")


def test_a_stage_that_took_no_time_can_be_drawn(own_run):
    nothing = {"face": StageProfile(steps=3, milliseconds={"other": 0.0})}
    (bar,) = looked_at(with_profiles(own_run, {"degstalk--ada--quick--s0": nothing})).bars
    assert bar.segments == ()


def test_nothing_is_shown_where_nothing_was_measured(own_run):
    assert looked_at(with_profiles(own_run, {})) is None
    assert "training step" not in build(own_run).read_text(encoding="utf-8")


def test_the_page_tells_every_number(page):
    parsed = Elements(page.read_text(encoding="utf-8"))
    section = "".join(parsed.text).partition("Time of a training step")[2]
    words = " ".join(section.split())
    assert "motion 9.30 ms (17%)" in words  # the tooltip
    assert "degstalk ada, seed 0, face60055.8 ms0.4109.304.203.105.5012.47.708.800.6202.90—0.900" in words  # the table
    labels = [a["aria-label"] for _, a in parsed.elements if "a step: " in (a.get("aria-label") or "")]
    assert len(labels) == 10
    assert labels[0].startswith("degstalk, ada, seed 0, face: 55.8 ms a step: frame 0.410 ms (1%), motion 9.30 ms")


@pytest.mark.parametrize("name", [HOSTILE, '" onload="alert(3)'])
def test_names_of_parts_and_stages_are_text(own_run, name):
    with_profiles(
        own_run, {"degstalk--ada--quick--s0": {name: StageProfile(steps=1, milliseconds={name: 3, "other": 1})}}
    )
    parsed = Elements(build(own_run).read_text(encoding="utf-8"))
    assert sum("type" not in attributes for tag, attributes in parsed.elements if tag == "script") == 1
    assert not [a for _, a in parsed.elements if "onload" in a]
    assert "".join(parsed.text).count(name) >= 4


def test_colours_of_bars_are_defined(page):
    text = page.read_text(encoding="utf-8")
    used = {css for classes in re.findall(r'<rect class="mark ([^"]+)"', text) for css in classes.split()}
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert {"c0", "ref", "hollow"} <= used
    assert {css for css in used if f".{css} {{" not in style} == set()


def test_the_bars_are_shown_though_no_curve_was_kept(own_run):
    for path in own_run.glob("cells/*/training*"):
        if path.is_file():
            path.unlink()
        else:
            for picture in path.iterdir():
                picture.unlink()
    text = build(own_run).read_text(encoding="utf-8")
    assert text.count('href="#training"') == text.count('id="training"') == 1


def test_libraries_stand_with_versions(page):
    words = "".join(Elements(page.read_text(encoding="utf-8")).text)
    assert words.count("rasteriser librarygsplat 1.5.3") == 4
