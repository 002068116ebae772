"""A method's TOML: what it may say, and what is said about one that says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.containers import find, template
from bench.containers.spec import read
from bench.errors import MethodError, UsageError

GOOD = """\
name = "tint"
title = "Tint"
summary = "Copies frames with a tint."
kind = "reference"
licence = "Apache-2.0"
sees = ["ground_truth"]

[image]
name = "tint:1"
memory = "64m"

[presets.quick]
iters = 3

[[train]]
stage = "head"
run = "train --data {data} --iters {iters}"
steps = 'it (?P<done>\\d+)/(?P<total>\\d+)'

[render]
run = "render {data} {checkpoint} {out}"
output = "{out}/frames/{id:06d}.png"
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / find.FILE


def test_a_good_one_is_read_whole(toml: Path):
    toml.write_text(GOOD)
    spec = read(toml)
    assert (spec.limits.hours, spec.image and spec.image.memory) == (12.0, 64 * 2**20)
    assert spec.variables("quick") == {"iters": 3}
    info = spec.info(spec.backend(native=False))
    assert (info.backend, info.presets, info.trains) == ("docker", ("quick",), True)
    assert spec.backend(native=True) == "official"


BAD = {
    "unknown key": ("memory =", "ram =", "unknown key image.ram"),
    "missing": ('licence = "Apache-2.0"\n', "", "licence is missing"),
    "size": ('"64m"', '"64 MB"', "image.memory: '64 MB' is no size: write a whole number and k, m, g or t, such as 24g"),
    "sees": ("ground_truth", "everything", "sees unknown things: everything"),
    "no place": ('[image]\nname = "tint:1"\nmemory = "64m"\n', "", "has either [image] or [command]"),
    "two images": ('name = "tint:1"', 'name = "tint:1"\ndockerfile = "D"', "image: names either dockerfile or name"),
    "no Dockerfile": ('name = "tint:1"', 'dockerfile = "Dockerfile"', "there is no Dockerfile beside it"),
    "outside": ('name = "tint:1"', 'dockerfile = "../D"', "is to lie beside the TOML"),
    "placeholder": ("{iters}", "{iter}", "run of stage 'head' names {iter} (known: data, device, iters, out, preset, seed)"),
    "ids while training": ("{iters}", "{ids}", "run of stage 'head' names {ids}"),
    "quotes": ("render {data}", "render '{data}", "run of [render] can't be split into words"),
    "own name": ("iters = 3", "seed = 3", "the presets' variable 'seed' is the harness's own name"),
    "output elsewhere": ('"{out}/frames/', '"/tmp/', "is to begin with {out}/"),
    "output climbs": ('"{out}/frames/', '"{out}/../', "is to begin with {out}/"),
    "output numbered twice": ("{id:06d}", "{id}_{k}", "may hold one of {id}, {k}, {n}"),
    "pattern": ("(?P<done>\\d+)", "(\\d+", "steps of stage 'head' is no pattern"),
    "pattern without a group": ("?P<done>", "", "steps of stage 'head' has no group (?P<done>…)"),
    "layout": ("[presets.quick]", '[inputs]\nlayout = "er-nref"\n[presets.quick]', "inputs: unknown layout 'er-nref' (known: talkbench,"),
    "preset": ("[presets.quick]", "[presets.fast]", "presets.fast"),
    "mount": ("[presets.quick]", '[inputs]\nat = "data"\n[presets.quick]', "'data' is no absolute path in the image"),
    "commit": ("[image]", 'commit = "main"\n[image]', "commit: String should match pattern"),
    "TOML": ("[image]", "[image", "can't be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_one_is_named_in_one_line(case: str, toml: Path):
    old, new, expected = BAD[case]
    assert old in GOOD
    toml.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(MethodError) as caught:
        read(toml)
    assert str(caught.value).startswith(str(toml))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_methods_are_found_in_files_folders_and_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file, folder, home = tmp_path / "one.toml", tmp_path / "some", tmp_path / "home"
    for path, name in ((file, "one"), (folder / "b" / find.FILE, "two"), (home / "methods" / "c" / find.FILE, "three")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GOOD.replace('name = "tint"', f'name = "{name}"', 1))
    (folder / "broken").mkdir()
    (folder / "broken" / find.FILE).write_text("name = 1")
    monkeypatch.setenv("BENCH_HOME", str(home))
    monkeypatch.setenv("BENCH_METHODS", f"{file}:{folder}")
    specs, broken = find.found()
    assert [one.spec.name for one in specs if one.path.is_relative_to(tmp_path)] == ["one", "two", "three"]
    assert [str(folder / "broken" / find.FILE) in str(error) for error in broken] == [True]
    monkeypatch.setenv("BENCH_METHODS", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="BENCH_METHODS names .*nowhere, which isn't there"):
        find.found()


def test_values_are_never_split_nor_read_by_a_shell():
    command = template.fill("sh -c 'echo ${HOME} {data}' {out}", {"data": "a b", "out": "$(rm x); 'y"})
    assert command == ["sh", "-c", "echo ${HOME} a b", "$(rm x); 'y"]


@pytest.mark.parametrize(
    ("output", "path", "number"),
    [
        ("{out}/{id:06d}.png", "000012.png", "000012"),
        ("{out}/validation/*_{n:04d}_rgb.png", "validation/ngp_ep0012_0003_rgb.png", "0003"),
        ("{out}/test/{k}.jpg", "test/7.jpg", "7"),
    ],
)
def test_an_outputs_number_is_read_from_its_name(output: str, path: str, number: str):
    match = template.output_pattern(output).fullmatch(path)
    assert match
    assert match["number"] == number


def test_stars_stay_within_a_folder_and_brackets_choose():
    videos = template.output_pattern("{out}/results/*[!h].mp4")
    assert videos.fullmatch("results/ngp_ep0012.mp4")
    assert not videos.fullmatch("results/ngp_ep0012_depth.mp4")
    assert not videos.fullmatch("results/more/ngp_ep0012.mp4")
