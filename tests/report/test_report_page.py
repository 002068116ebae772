"""The page: complete, self-contained, and safe with hostile names."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
from html.parser import HTMLParser

import pytest
from make_run import FRAMES, HOSTILE

from bench.report import build, charts, media
from bench.report.html import script_json


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._script = dict(attrs)

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = None

    def handle_data(self, data):
        if self._script is None:
            self.text.append(data)
        else:
            self.scripts.append((self._script, data))


@pytest.fixture(scope="session")
def text(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def parsed(text):
    return Elements(text)


def test_nothing_comes_from_a_network(text, parsed):
    assert not re.search(r"https?://|@import|url\((?!#heat\))", text)
    for _, attributes in parsed.elements:
        for name in ("src", "href"):
            link = attributes.get(name) or "#"
            assert link.startswith(("#", "data:", "media/"))


def test_policy_allows_only_the_pages_own_script(parsed):
    policy = next(a["content"] for tag, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    script = "".join(text for attributes, text in parsed.scripts if "type" not in attributes)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_hostile_names_are_text(parsed):
    assert sum("type" not in attributes for tag, attributes in parsed.elements if tag == "script") == 1
    words = "".join(parsed.text)
    assert HOSTILE in words
    assert "</pre><script>alert(2)</script>" in words


def _data(parsed):
    return json.loads("".join(text for attributes, text in parsed.scripts if attributes.get("id") == "data"))


def test_data_is_strict_json_that_cannot_end_its_element(parsed):
    data = _data(parsed)
    assert len(data["subjects"]) == 2
    track = data["subjects"][0]["tracks"][1]
    assert len(track["values"]["psnr"]) == FRAMES
    assert any(None in t["values"].get("lmd", []) for s in data["subjects"] for t in s["tracks"])
    hostile = "</script><!-- & \u2028 ]]>"
    assert not set("<>&\u2028") & set(script_json({hostile: hostile}))
    assert json.loads(script_json({hostile: hostile})) == {hostile: hostile}
    with pytest.raises(ValueError, match="not JSON compliant|Out of range"):
        script_json(math.nan)


def test_videos_are_inside_and_whole(parsed, fabricated):
    inside = {a["data-media"]: base64.b64decode(text) for a, text in parsed.scripts if "data-media" in a}
    assert len(inside) == 12
    assert inside["media/ada--ground-truth.mp4"] == (fabricated / "ground_truth" / "ada.mp4").read_bytes()


def test_many_videos_are_linked(own_run, monkeypatch):
    monkeypatch.setattr(media, "LIMIT", 1000)
    text = build(own_run).read_text(encoding="utf-8")
    parsed = Elements(text)
    assert not any("data-media" in attributes for attributes, _ in parsed.scripts)
    assert "lie in the folder media/ beside this page" in text
    links = {track["video"] for view in _data(parsed)["subjects"] for track in view["tracks"]}
    assert "media/degstalk--ada--quick--s0.mp4" in links
    assert any(link.startswith("media/bo_b--ground-truth-") for link in links)
    for link in links - {""}:
        assert (own_run / "report" / link).stat().st_size > 0
    monkeypatch.undo()
    build(own_run)
    assert not (own_run / "report" / "media").exists()


def test_states_and_reasons_are_shown(parsed):
    words = " ".join("".join(parsed.text).split())
    for part in ("∞ (identical)", "NaN loss at step 3", "LMD coverage 12/50", "is not a readable record", "pending"):
        assert part in words
    titles = [a.get("title") or "" for tag, a in parsed.elements if tag == "td"]
    assert any("bench weights fetch lpips" in title for title in titles)


def test_sort_keys(parsed):
    keys = [a["data-key"] for tag, a in parsed.elements if tag == "td" and "data-key" in a]
    assert "inf" in keys
    assert all(key in ("", "inf") or math.isfinite(float(key)) for key in keys)


def test_fragments_lead_somewhere(parsed):
    ids = {a["id"] for _, a in parsed.elements if "id" in a}
    assert {a["href"][1:] for _, a in parsed.elements if (a.get("href") or "").startswith("#")} <= ids


def test_same_run_same_bytes(fabricated, text):
    assert build(fabricated).read_text(encoding="utf-8") == text


def test_optional_files_may_be_missing_or_broken(own_run):
    shutil.rmtree(own_run / "ground_truth")
    cell = own_run / "cells" / "er-nerf--ada--quick--s0"
    (cell / "frames.parquet").write_bytes(b"no parquet")
    (cell / "training.csv").write_text("a,b\n1,2\n")
    (cell / "preview.mp4").write_bytes((cell / "preview.mp4").read_bytes()[:2000])
    (own_run / "cells" / "degstalk--ada--quick--s0" / "training.csv").unlink()
    shutil.rmtree(own_run / "cells" / "copy-gt--bo&b--quick--s0")
    words = " ".join("".join(Elements(build(own_run).read_text(encoding="utf-8")).text).split())
    assert "frames.parquet can't be read" in words
    assert "training.csv lacks column stage" in words
    assert "preview.mp4" in words


def test_a_run_that_has_only_begun(own_run):
    shutil.rmtree(own_run / "cells")
    shutil.rmtree(own_run / "ground_truth")
    text = build(own_run).read_text(encoding="utf-8")
    assert "No videos or per-frame values yet." in text
    assert "pending" in text


def test_references_are_switched_on_where_nothing_else_can_be_seen(own_run):
    for method in ("degstalk", "talkinggaussian", "er-nerf"):
        shutil.rmtree(own_run / "cells" / f"{method}--ada--quick--s0")
    boxes = [a for _, a in Elements(build(own_run).read_text(encoding="utf-8")).elements if "data-show" in a]
    assert ["checked" in box for box in boxes] == [True, True, True, True, True, False, False]


def test_unreadable_stray_records_are_named(own_run):
    stray = own_run / "cells" / "stray" / "record.json"
    stray.parent.mkdir()
    stray.write_text("{")
    assert "cells/stray/record.json is not a readable record" in build(own_run).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "log"), [([1.0, 2.0], False), ([3.0], False), ([0.0], False), ([1e-4, 5.0], True), ([], True)]
)
def test_scales_hold_their_values(values, log):
    scale = charts.Scale.around(values, log)
    assert all(0 <= scale.at(value) <= 100 for value in values)
    assert all(-0.1 <= tick.at <= 100.1 for tick in scale.ticks())
    assert scale.ticks()


def test_curves_break_at_gaps():
    x, y = charts.Scale(0, 4), charts.Scale(0, 1)
    assert charts.path([0, 1, 2, 3], [0.5, math.nan, 0.5, 0.5], x, y).count("M") == 2


def test_colours_are_one_per_method_and_grey_for_references():
    found = charts.styles([("a", False), ("b", False), ("floor", True)])
    assert len({style.css for style in found.values()}) == 3
    assert found["floor"].colour == "ref"
