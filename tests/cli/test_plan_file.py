"""``--plan bench.toml``: the flags' names in a file, the command line before it; several protocols in one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.cli.plan_file import read
from bench.cli.run import command
from bench.records import load_plan

pytestmark = pytest.mark.usefixtures("plugins")


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def plan(tmp_path: Path, toy_folder: Path) -> Path:
    file = tmp_path / "bench.toml"
    file.write_text(
        f'methods = ["t-float", "mean-frame"]\nsubjects = ["{toy_folder}"]\nseeds = [0, 1]\nmetrics = "psnr"\n'
        f'references = false\nreuse = false\njobs = 2\ntime-limit = 5\nout = "{tmp_path / "run"}"\n',
        encoding="utf-8",
    )
    return file


def planned(*arguments: object) -> Any:
    result = bench(*arguments, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_file_gives_the_options_and_the_command_line_goes_before_it(plan: Path, tmp_path: Path):
    document = planned("run", "--plan", plan)
    assert document["run"] == str(tmp_path / "run")
    assert [(cell["method"], cell["seed"]) for cell in document["cells"]] == [
        ("t-float", 0), ("t-float", 1), ("mean-frame", 0), ("mean-frame", 1)
    ]  # fmt: skip
    assert document["estimate"]["at_once"] == 2
    document = planned("run", "--seeds", 3, "--plan", plan, "--methods", "t-float", "--jobs", 1)
    assert [(cell["method"], cell["seed"]) for cell in document["cells"]] == [("t-float", 3)]
    assert document["estimate"]["at_once"] == 1
    plan.write_text(plan.read_text().replace("[0, 1]", "7"))
    assert {cell["seed"] for cell in planned("run", "--plan", plan)["cells"]} == {7}


def test_the_run_keeps_the_command_that_needs_no_file(plan: Path, tmp_path: Path, toy_folder: Path):
    assert bench("run", "--plan", plan, "--seeds", 0, "--methods", "t-float").exit_code == 0
    command = load_plan(tmp_path / "run").command
    assert command == (
        f"bench run --methods t-float --subjects {toy_folder} --seeds 0 --metrics psnr --no-references "
        f"--out {tmp_path / 'run'} --jobs 2 --time-limit 5.0 --no-reuse"
    )
    again = planned(*command.split()[1:])
    assert [cell["state"] for cell in again["cells"]] == ["done"]


def test_an_ablation_takes_a_plan_too(plan: Path):
    plan.write_text(plan.read_text().replace('methods = ["t-float", "mean-frame"]', 'rows = ["-H"]'))
    assert [cell["variant"] for cell in planned("ablate", "t-varied", "--plan", plan, "--seeds", 0)["cells"]] == [
        "",
        "-H",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("subject = 3", "unknown key of {plan} 'subject': did you mean 'subjects'?"),
        ("force = true", "unknown key of {plan} 'force'"),
        ("methods = 3", '{plan}: methods = 3: expected a list of texts, such as ["a", "b"]'),
        ('methods = ["a", 1]', "{plan}: methods = ['a', 1]: expected a list of texts"),
        ('seeds = ["0"]', "{plan}: seeds = ['0']: expected a list of whole numbers, such as [0, 1]"),
        ("seeds = [true]", "{plan}: seeds = [True]: expected a list of whole numbers"),
        ('jobs = "two"', "{plan}: jobs = 'two': expected a whole number"),
        ("jobs = true", "{plan}: jobs = true: expected a whole number"),
        ("time-limit = [1]", "{plan}: time-limit = [1]: expected a number"),
        ('references = "no"', "{plan}: references = 'no': expected true or false"),
        ("out = 1", "{plan}: out = 1: expected a text"),
        ("[run]\npreset = 1", "unknown key of {plan} 'run'"),
        ('jobs = 0\nmethods = "t-well"', "Invalid value for '--jobs'"),
        ('preset = "quik"\nmethods = "t-well"', "'quik' is not one of 'quick', 'standard', 'paper'"),
        ("methods = [", "--plan {plan} can't be read: "),
        ("a = " + "[" * 5000, "--plan {plan} can't be read: "),
        ("", "Missing option '--methods'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, line: str, tmp_path: Path):
    file = tmp_path / "bench.toml"
    file.write_text(text, encoding="utf-8")
    result = bench("run", "--plan", file)
    assert result.exit_code == 2
    assert line.format(plan=file) in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("page", ["README.md", "docs/running.md"])
def test_the_plans_in_the_documents_can_be_read(page: str, tmp_path: Path):
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in text.split("```toml\n")[1:]]
    (block,) = [block for block in blocks if "methods = [" in block]
    (tmp_path / "bench.toml").write_text(block, encoding="utf-8")
    found = read(tmp_path / "bench.toml", command)
    assert found["methods"] == ["degstalk", "degstalk[-H]", "talkinggaussian"]
    assert found["protocol"] == ["neutral", "degstalk-paper"]


def test_a_file_that_is_not_there(tmp_path: Path):
    result = bench("run", "--plan", tmp_path / "nowhere.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "can't be read" in result.stderr


def test_each_protocol_has_a_run_folder(toy_folder: Path, tmp_path: Path):
    arguments = (
        "run", "--methods", "t-float", "--subjects", toy_folder, "--metrics", "psnr", "--no-references", "--out",
        tmp_path / "run", "--protocol", "neutral,degstalk-paper",
    )  # fmt: skip
    names = ["neutral", "degstalk-paper"]
    assert [run["protocol"] for run in planned(*arguments)["runs"]] == names
    result = bench(*arguments, "--json")
    assert result.exit_code == 0, result.output
    runs = json.loads(result.stdout)["runs"]
    assert [(run["protocol"], run["run"]) for run in runs] == [(name, str(tmp_path / f"run-{name}")) for name in names]
    assert [load_plan(Path(run["run"])).protocol for run in runs] == names
    first, second = (run["cells"][0]["metrics"]["psnr"] for run in runs)
    assert "quant:u8-round" in first["signature"]
    assert "quant:u8-floor" in second["signature"]
    text = bench(*arguments).stdout
    assert text.index(f"run       {tmp_path / 'run-neutral'}") < text.index(
        f"run       {tmp_path / 'run-degstalk-paper'}"
    )


def test_no_protocol_is_refused(toy_folder: Path):
    result = bench("run", "--methods", "t-float", "--subjects", toy_folder, "--protocol", ",")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--protocol is empty" in result.stderr
