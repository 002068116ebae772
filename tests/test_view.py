"""The page of `bench data view`, and the drawings it shares with prepare.html."""

from __future__ import annotations

import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench import catalogue, checks, picture_sheet, view
from bench.cli import main
from bench.subject import Subject


@pytest.fixture(scope="module")
def tiny():
    return checks.survey(catalogue.resolve("tiny"))


@pytest.fixture(scope="module")
def page(tiny) -> str:
    return view.render(tiny, checks.run(tiny))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_everything_is_in_the_page_and_nothing_runs(page):
    parser = Tags()
    parser.feed(page)
    names = [tag for tag, _ in parser.tags]
    assert "script" not in names
    assert "link" not in names
    pictures = [attributes for tag, attributes in parser.tags if tag == "img"]
    assert len(pictures) >= 6 * 6 + 1
    for attributes in pictures:
        assert attributes["alt"]
        data = base64.b64decode(attributes["src"].removeprefix("data:image/jpeg;base64,"))
        assert max(Image.open(io.BytesIO(data)).size) <= 300
    assert "://" not in re.sub(r'xmlns="[^"]*"', "", page)
    for word in ("reprojection", "loudness", "AU45 / 2", "Provenance", "hair canvas", "light-dark("):
        assert word in page


def test_names_from_files_are_escaped(own_toy):
    meta = json.loads((own_toy / "subject.json").read_text())
    evil = "<script>alert(1)</script>"
    meta |= {"name": evil, "title": evil, "provenance": {evil: evil}, "language": evil}
    (own_toy / "subject.json").write_text(json.dumps(meta))
    survey = checks.survey(Subject(own_toy))
    assert "<script" not in view.render(survey, checks.run(survey))


def test_telling_frames_are_chosen_and_none_twice(tiny):
    picks = view.chosen(tiny)
    ids = [frame for frame, _ in picks]
    assert len(set(ids)) == len(ids)
    assert (ids[0], 49 in ids) == (0, True)
    why = dict(picks)
    assert "widest mouth" in why[int(tiny.ids[np.argmax(tiny.mouth_opening)])]


def test_angles_are_the_heads(tiny):
    """Against the embedded subject's exact angles: the same turns, to a hundredth of a degree."""
    truth = np.load(tiny.subject.root / "truth.npz")["angles"]
    found = view._angles(tiny)
    changes = np.abs(np.diff(found, axis=0)).max(0)
    assert (changes > 0.05).any()
    for axis in range(3):  # each of ours moves as one of the recipe's does
        matched = [abs(np.corrcoef(found[:, axis], truth[:, other])[0, 1]) for other in range(3)]
        assert max(matched) > 0.99, (axis, matched)


def test_the_command_writes_one_file(own_toy, tmp_path):
    out = tmp_path / "page.html"
    result = CliRunner().invoke(main, ["data", "view", str(own_toy), "--out", str(out), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"subject": "toy", "page": str(out)}
    assert out.read_text().startswith("<!doctype html>")
    assert list(tmp_path.glob("page*")) == [out]


def test_curves_are_well_formed_and_in_place():
    values = np.array([0.0, 1, np.nan, 0.5, 0.25])
    svg = picture_sheet.curves([picture_sheet.Strip("a<b", "px", (("<one>", values),))], split=4)
    root = ET.fromstring(svg)
    ns = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{ns}polyline")
    assert len(lines) == 2  # the gap parts them
    points = [tuple(map(float, pair.split(","))) for line in lines for pair in line.get("points").split()]
    x0, y0, width, height = (float(root.find(f"{ns}rect").get(key)) for key in ("x", "y", "width", "height"))
    assert points[0] == (x0, y0 + height)
    assert points[1] == pytest.approx((x0 + width / 4, y0), abs=0.06)
    assert points[-1] == pytest.approx((x0 + width, y0 + 0.75 * height), abs=0.06)
    assert float(root.find(f"{ns}line").get("x1")) == pytest.approx(x0 + width, abs=0.06)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.000442, 0.381, ["0.381", "0"]),
        (-6.7642, 12.91, ["12.9", "-6.8"]),
        (-0.0, 1, ["1", "0"]),
        (7, 7, ["7.5", "6.5"]),
    ],
)
def test_the_axis_is_labelled_in_few_digits(low, high, labels):
    svg = picture_sheet.curves([picture_sheet.Strip("mouth", "px", (("gap", np.array([low, high])),))])
    texts = [text.text for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert texts[1:3] == labels


def test_long_lines_are_thinned_but_keep_their_peaks():
    values = np.zeros(20_000)
    values[12_345] = 1
    (run,) = picture_sheet._runs(values)
    assert len(run) <= 802
    assert [12_345, 1] in run.tolist()
    assert picture_sheet._runs(np.full(3, np.nan)) == []
    assert picture_sheet.curves([]).startswith("<svg")


def test_axes_point_where_the_head_does(toy_subject):
    origin, x, y, z = picture_sheet.axes_ends(toy_subject.camera(0))
    assert x - origin == pytest.approx([0.2 * 64, 0], abs=1e-3)  # to the picture's right
    assert y - origin == pytest.approx([0, -0.2 * 64], abs=1e-3)  # up
    assert np.abs(z - origin).max() < 0.2  # towards the camera
    drawn = picture_sheet.with_axes(toy_subject.frame(0))
    red = (drawn[..., 0] > 200) & (drawn[..., 1] < 100) & (drawn[..., 2] < 100)
    assert red[31:34, 36:44].sum() > 8


def test_classes_and_landmarks_are_drawn(toy_subject):
    frame = toy_subject.frame(3)
    tinted = picture_sheet.with_classes(frame)
    assert np.array_equal(tinted[frame.labels == 0], frame.image[frame.labels == 0])
    hair = frame.labels == 17
    assert (
        np.abs(tinted[hair].astype(int) - picture_sheet.COLOURS[17]).mean()
        < np.abs(frame.image[hair].astype(int) - picture_sheet.COLOURS[17]).mean()
    )
    assert (tinted[frame.teeth] == 255).all()
    dots = picture_sheet.with_landmarks(frame, 256)
    assert dots.shape == (256, 256, 3)
    x, y = np.round(frame.landmarks[30] * 4).astype(int)
    assert dots[y, x].tolist() == [0, 255, 0]
