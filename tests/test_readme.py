"""README does what it says: its tutorial runs, its links lead somewhere, its verbs exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tutorial_runs(toy_folder: Path, tmp_path: Path):
    code = re.search(r"<!-- tutorial: my_method.py -->\n```python\n(.*?)```", README, re.S)
    entry = re.search(r"```toml\n\[project.entry-points.\"bench.methods\"\]\n([\w-]+) = \"(.*?)\"", README)
    assert code
    assert entry
    info = tmp_path / "my_method-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-method\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[bench.methods]\n{entry[1]} = {entry[2]}\n")
    (tmp_path / "my_method.py").write_text(code[1])
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-P", "-c", "from bench.cli import main; main()", "run", "--methods", "my-method"]
    command += ["--subjects", str(toy_folder), "--metrics", "psnr", "--out", str(tmp_path / "run"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["status"] == "ok"
    assert cell["metrics"]["psnr"]["value"] > 5


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith("http")]
    missing = [t for t in targets if t and not (ROOT / document).parent.joinpath(t).exists()]
    assert not missing


def test_the_verbs_it_names_exist():
    named = set(
        re.findall(r"\bbench ([a-z]+)\b(?! of| harness)", " ".join(re.findall(r"`[^`]+`|^bench .*$", README, re.M)))
    )
    assert named
    assert named <= set(main.list_commands(None))
