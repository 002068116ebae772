"""The six subjects' cards: whole, honest about what is unknown, and the way to get each."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import shutil
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench import cards, catalogue
from bench.cli import main
from bench.errors import AbsentError, DataError, RecordError

SIX = {"macron", "obama", "jae-in", "may", "engl", "shaheen"}
VIDEO = b"not really a video" * 1000


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path: Path):
    """A web server on this machine; its folder is yielded with its address."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, directory=str(folder), **more)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{web.server_address[1]}"
        web.shutdown()


@pytest.fixture
def shelf(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cards of our own instead of the shipped ones: *here* with an address, *away* without."""
    folder, address = server
    (folder / "here.mp4").write_bytes(VIDEO)
    shelf = tmp_path / "content/datasets/cards"
    shelf.mkdir(parents=True)
    text = Path(__file__).parents[2].joinpath("datasets/cards/engl.toml").read_text()
    for name, more in (("here", f'url = "{address}/here.mp4"'), ("away", "")):
        (shelf / f"{name}.toml").write_text(text.replace('name = "engl"', f'name = "{name}"\n{more}'))
    monkeypatch.setattr("bench.paths.content", lambda *parts: tmp_path.joinpath("content", *parts))
    return shelf


def test_the_six_are_there_and_say_whose_word_each_fact_is():
    found = cards.all_cards()
    assert set(found) == SIX
    for name, card in found.items():
        assert card.name == name
        known = {
            field
            for field in ("source", "language", "sex", "hair", "size", "fps", "frames", "split", "sha256")
            if not str(getattr(card, field)).startswith("unknown")
        }
        assert known <= set(card.facts_from), (name, known - set(card.facts_from))
        assert card.size == ((450, 450) if name == "obama" else (512, 512))
        assert re.search(rf"bench data (prepare|fetch) .*{name}", card.steps[-1])
        assert re.fullmatch(r"unknown|[0-9a-f]{64}", card.sha256)
        if isinstance(card.frames, int) and (first := re.search(r"(\d+)-(\d+) test", card.split)):
            assert int(first[1]) == card.frames * 10 // 11
            assert int(first[2]) == card.frames - 1


def test_obamas_frames_and_split_are_those_of_the_tracking(tmp_path):
    sample = Path(__file__).resolve().parents[3] / "shared/data/obama_sample"
    if not sample.exists():
        pytest.skip(f"no real sample: {sample} is absent")
    ids = [frame["img_id"] for frame in json.loads((sample / "transforms_val.json").read_text())["frames"]]
    card = cards.all_cards()["obama"]
    assert (ids[0], ids[-1]) == (card.frames * 10 // 11, card.frames - 1)


def test_the_table_in_the_docs_is_the_cards():
    text = Path(__file__).parents[2].joinpath("docs/subjects.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("| ")}
    for card in cards.all_cards().values():
        cells = [cell.strip() for cell in rows[card.name].strip("|").split("|")]
        size = f"{card.size[0]}×{card.size[1]}"
        way = "`bench data fetch`" if card.url else "by hand"
        assert cells == [
            card.name,
            card.language,
            card.sex,
            card.hair,
            size,
            str(card.frames),
            card.split,
            way,
            card.source,
        ]


def test_a_card_is_listed_but_not_part_of_all(toy_folder, home):
    assert set(catalogue.here()).isdisjoint(SIX)
    assert not set(catalogue.defaults()) & SIX
    rows = {row["name"]: row for row in json.loads(bench("data", "list", "--json").stdout)["subjects"]}
    assert rows["may"]["origin"] == "to be fetched"
    shutil.copytree(toy_folder, home / "subjects/may")
    assert "may" in catalogue.here()
    assert catalogue.entries()["may"].card["hair"] == "bob with flyaways"
    shown = json.loads(bench("data", "info", "may", "--json").stdout)
    assert shown["card"]["language"] == "English"


def test_all_subjects_are_those_with_data():
    from bench.run import preflight

    assert set(preflight._subjects(["all"])) == {"ada", "ben", "tiny"}


def test_a_card_alone_is_refused_with_the_command(home):
    with pytest.raises(AbsentError, match="obama is not on this machine: bench data fetch obama --prepare"):
        catalogue.resolve("obama")
    result = bench("run", "--methods", "copy-gt", "--subjects", "macron")
    assert result.exit_code == 1
    assert result.stderr == "error: macron is not on this machine: bench data fetch macron\n"


def test_info_shows_a_card():
    found = json.loads(bench("data", "info", "obama", "--json").stdout)
    assert found["frames"] == 8000
    assert found["how"] == "bench data fetch obama --prepare"
    plain = bench("data", "info", "obama").stdout
    assert "450×450" in plain
    assert "8000" in plain


def test_fetch_downloads_once_and_names_the_next_command(shelf, home, server):
    result = bench("data", "fetch", "here", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert Path(found["video"]).read_bytes() == VIDEO
    assert found["sha256"] == hashlib.sha256(VIDEO).hexdigest()
    assert found["next"] == f"bench data prepare {home}/videos/engl.mp4 --name here --size 512"
    (server[0] / "here.mp4").unlink()
    assert bench("data", "fetch", "here").stdout.startswith("bench data prepare ")


def test_a_wrong_hash_is_loud_and_nothing_is_kept(shelf, home):
    card = shelf / "here.toml"
    card.write_text(card.read_text().replace('sha256 = "unknown"', f'sha256 = "{"0" * 64}"'))
    result = bench("data", "fetch", "here")
    assert result.exit_code == 1
    assert "is not the expected file" in result.stderr
    assert not (home / "videos/engl.mp4").exists()
    (home / "videos").mkdir(exist_ok=True)
    (home / "videos/engl.mp4").write_bytes(b"another")
    with pytest.raises(RecordError, match="is not here's video: sha256 .* remove it"):
        cards.fetch(cards.all_cards()["here"])


def test_what_no_script_can_fetch_is_told_step_by_step(shelf):
    result = bench("data", "fetch", "away")
    assert result.exit_code == 1
    assert "no script can fetch away: (1) no public source" in result.stderr
    assert "(2) bench data prepare" in result.stderr


def test_an_address_that_does_not_answer(shelf, server):
    (server[0] / "here.mp4").unlink()
    with pytest.raises(AbsentError, match="here.mp4 can't be fetched"):
        cards.fetch(cards.all_cards()["here"])


def test_fetch_and_prepare_in_one(shelf):
    """What came is no video, and it is prepare that says so: both steps ran."""
    result = bench("data", "fetch", "here", "--prepare")
    assert result.exit_code in (1, 2)
    assert "sha256" in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fps = 25", 'fps = "25"'), "size .* or fps 25"),
        (('sex = "unknown"', ""), "sex"),
        (('sex = "unknown"', 'sex = "unknown"\ncolour = 3'), "unknown field colour"),
        (('frames = "unknown"', 'frames = "many"'), "frames 'many'"),
    ],
)
def test_a_broken_card(shelf, change, message):
    path = shelf / "away.toml"
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(DataError, match=f"away.toml is not a subject card .*{message}"):
        catalogue.entries()


def test_names_that_are_no_cards():
    assert "did you mean 'obama'" in bench("data", "fetch", "obma").stderr
    assert "ada is here already" in bench("data", "fetch", "ada").stderr
