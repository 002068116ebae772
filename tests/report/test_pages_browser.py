"""All pages in a real browser: nothing hostile comes alive, anyone can read them, nothing jumps while they load."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from make_run import ATTACKS, HOSTILE

from bench.report import build
from bench.report.comparison import compare_runs
from bench.report.comparison_text import build as build_comparison
from bench.report.leaderboard import build as build_leaderboard
from bench.report.merge import merge

AXE = "axe-core@4.14.1"


@pytest.fixture(scope="module")
def pages(fabricated, page, tmp_path_factory) -> dict[str, Path]:
    """One page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    site = build_leaderboard([fabricated], folder / "board").parent
    compared = build_comparison(compare_runs(fabricated, fabricated), folder / "compare.html")
    method, subject = site / "methods" / "degstalk.html", site / "subjects" / "ada.html"
    return {"report": page, "compare": compared, "board": site / "index.html", "method": method, "subject": subject}


KINDS = ["report", "compare", "board", "method", "subject"]


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    """axe-core's script, from npm's registry; it isn't part of the repository."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine, from which axe-core comes")
    folder = tmp_path_factory.mktemp("axe")
    fetched = subprocess.run([npm, "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, timeout=120)
    if fetched.returncode:
        pytest.skip(f"npm can't fetch {AXE}: {fetched.stderr.strip().splitlines()[-1:]}")
    shutil.unpack_archive(folder / fetched.stdout.split()[-1], folder)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "theme"), [*((kind, "light") for kind in KINDS), pytest.param("report", "dark", marks=pytest.mark.slow)]
)
def test_axe_finds_no_serious_violation(tab, pages, axe, kind, theme):
    tab.emulate_media(color_scheme=theme)
    tab.goto(pages[kind].as_uri())
    tab.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    tab.evaluate(axe)
    found = tab.evaluate("axe.run(document, {iframes: false})")
    serious = [
        f"{one['id']} ({one['impact']}): {node['html']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert serious == []
    assert len(found["passes"]) > 10


_SHIFTS = """
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
  }).observe({type: "layout-shift", buffered: true});
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_jumps(tab, pages, kind):
    tab.add_init_script(_SHIFTS)
    tab.goto(pages[kind].as_uri())
    for _ in range(8):
        tab.mouse.wheel(0, 700)
        tab.wait_for_timeout(60)
    assert sum(tab.evaluate("window.shifts")) < 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways(tab, pages, kind, width):
    tab.set_viewport_size({"width": width, "height": 844})
    tab.goto(pages[kind].as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_hostile_comes_alive(tab, hostile, tmp_path):
    """Dialogs, errors and requests fail the test through ``tab``; elements that the attacks would make fail it here."""
    site = build_leaderboard([hostile], tmp_path / "board").parent
    compared = build_comparison(compare_runs(hostile, hostile), tmp_path / "compare.html")
    seen = ""
    for file in [build(hostile), compared, *sorted(site.rglob("*.html"))]:
        tab.goto(file.as_uri())
        for part in tab.locator("details").all():
            part.evaluate("part => { part.open = true; }")
        for part in tab.locator(".subject").all():
            part.scroll_into_view_if_needed()
        made = "img[src='x'], svg[onload], [onerror], body > script:not([type]), [title*='{{'] script"
        assert tab.locator(made).count() == 0, file
        assert tab.locator("head script").count() == 1
        seen += tab.locator("body").inner_text()
    for attack in (*ATTACKS[:3], HOSTILE):
        assert attack in seen
    assert "49" not in tab.locator("h1").inner_text()


def test_pages_of_hostile_names_lie_in_their_folders(hostile, tmp_path):
    site = build_leaderboard([hostile], tmp_path / "board").parent
    names = {file.relative_to(site).as_posix() for file in site.rglob("*") if file.is_file()}
    assert all(set(name) <= set("/.-_+@[]") | {c for c in name if c.isalnum()} for name in names)
    assert len([name for name in names if name.startswith("methods/")]) == 3
    assert len(merge([hostile], tmp_path).run.subjects) == 2
