"""docs/tutorial.md, block by block, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[1] / "docs/tutorial.md"


def test_every_block_works(tmp_path: Path) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    told = []
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        told.append(done.stdout)
    assert "class Plugin" in told[0]
    assert "✗" not in told[2]
    assert told[2].count("✓") == 7
    assert "| my-method | tiny |" in told[3]
    assert "which is the value" in told[3]
    assert (tmp_path / "first/report/index.html").is_file()
    assert 'name = "my-program"' in told[4]
