"""The command line's manners."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from bench import __version__
from bench.cli import main


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom bench.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pydantic', 'rich', 'PIL', 'scipy', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for word in ("run", "score", "report", "doctor", "Train, render and score methods on subjects."):
        assert word in result.stdout


@pytest.mark.parametrize("verb", list(main.verbs))
def test_every_verb_explains_itself(verb):
    result = bench(verb, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_version():
    assert bench("--version").stdout == f"bench {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("rnu",), "unknown command 'rnu': did you mean 'run'?"),
        (("data", "lst"), "unknown command 'lst': did you mean 'list'"),
        (("methods", "info", "copygt"), "unknown method 'copygt': did you mean 'copy-gt'?"),
        (("data", "info", "aada"), "unknown subject 'aada': did you mean 'ada'"),
        (("run",), "Missing option '--methods'. (see `bench run --help`)"),
        (("--frobnicate",), "--frobnicate"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, line):
    result = bench(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert line in result.stderr
    assert result.stderr.count("\n") == 1


def test_errors_of_other_kinds_keep_their_code(tmp_path):
    result = bench("status", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path} is not a run folder: it has no run.json\n"


def test_debug_shows_the_traceback(tmp_path):
    from bench.errors import RecordError

    with pytest.raises(RecordError):
        bench("status", str(tmp_path), "--debug")


def test_no_verb_shows_help():
    result = bench()
    assert result.exit_code == 2
    assert "Run and score:" in result.stderr


def test_an_interrupt_is_130(monkeypatch):
    from bench.cli import protocols

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(protocols, "console", interrupt)
    result = bench("protocols", "list")
    assert result.exit_code == 130
    assert result.stderr.strip() == "error: interrupted"


def test_a_reader_that_leaves_is_no_error():
    code = "from bench.cli import main\nmain(['metrics', 'list', '--json'])"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("list",), "methods"),
        (("methods", "list"), "methods"),
        (("data", "list"), "subjects"),
        (("protocols", "list"), "protocols"),
        (("metrics", "list"), "metrics"),
        (("weights", "list"), "weights"),
        (("data", "info", "tiny"), "size"),
        (("data", "verify", "tiny"), "sha256"),
        (("methods", "info", "degstalk"), "sees"),
    ],
)
def test_json_is_one_document_and_the_table_is_for_people(arguments, key):
    assert key in json.loads(bench(*arguments, "--json").stdout)
    plain = bench(*arguments)
    assert plain.exit_code == 0
    assert plain.stdout
    assert not plain.stdout.startswith("{")


def test_list_names_everything_at_a_glance():
    text = bench("list").stdout
    for word in ("degstalk", "talkinggaussian", "copy-gt", "ada", "ben", "tiny", "quick", "paper"):
        assert word in text


def test_what_a_method_sees_is_told():
    assert "nothing of a test frame" in bench("methods", "info", "mean-frame").stdout
    assert "the frame itself" in bench("methods", "info", "copy-gt").stdout


@pytest.mark.usefixtures("plugins")
def test_a_broken_plugin_is_listed_as_broken():
    rows = {row["name"]: row for row in json.loads(bench("methods", "list", "--json").stdout)["methods"]}
    assert "can't be imported" in rows["t-absent"]["error"]
    assert rows["copy-gt"]["kind"] == "reference"


def test_verify_names_the_broken_file(own_toy):
    assert bench("data", "verify", str(own_toy)).exit_code == 0
    (own_toy / "teeth_mask/5.npy").write_bytes(b"")
    result = bench("data", "verify", str(own_toy))
    assert result.exit_code == 2
    assert str(own_toy / "teeth_mask/5.npy") in result.stderr


def test_doctor_has_a_remedy_for_what_is_missing():
    result = bench("doctor", "--json")
    findings = json.loads(result.stdout)["findings"]
    assert {"python", "torch", "cpu", "gpu", "cpu kernels", "methods", "landmarks mediapipe"} <= {
        f["what"] for f in findings
    }
    assert all(f["remedy"] for f in findings if f["state"] != "ok")
    assert result.exit_code == (1 if any(f["state"] == "broken" for f in findings) else 0)


def test_synth_refuses_before_it_works(tmp_path):
    assert "embedded subject" in bench("data", "synth", "ada").stderr
    assert "letters, digits" in bench("data", "synth", "a b", "--seed", "1").stderr
    assert f"{tmp_path} exists" in bench("data", "synth", "eve", "--seed", "1", "--out", str(tmp_path)).stderr
