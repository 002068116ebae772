"""Fabricated runs for the tests of the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from make_run import make_ablation, make_hostile, make_run

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser():
    """Chromium under Playwright; skips where one of them isn't there."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser):
    """A page that must not complain, ask, or send a request to a network."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    yield tab
    tab.close()
    assert wrong == []


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> Path:
    """A run folder whose every text tries to break out of where it is shown; only for reading."""
    return make_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def fabricated(tmp_path_factory) -> Path:
    """A run folder with every state, only for reading."""
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture
def own_run(fabricated, tmp_path) -> Path:
    """A run folder that the test may change."""
    return shutil.copytree(fabricated, tmp_path / "run")


@pytest.fixture(scope="session")
def ablation(tmp_path_factory) -> Path:
    """A run folder with a method and three variants, only for reading."""
    return make_ablation(tmp_path_factory.mktemp("report"))


@pytest.fixture
def own_ablation(ablation, tmp_path) -> Path:
    """The same to change."""
    return shutil.copytree(ablation, tmp_path / "ablation")


@pytest.fixture(scope="session")
def page(fabricated) -> Path:
    """The fabricated run's report."""
    from bench.report import build

    return build(fabricated)
