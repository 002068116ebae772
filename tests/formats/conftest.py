"""The Obama sample beside the checkout, where it is there; its pictures never enter the repository."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared/data"


@pytest.fixture(scope="session")
def obama() -> Path:
    """Folder of the sample."""
    folder = DATA / "obama_sample"
    if not (folder / "obama_256.mp4").exists():
        pytest.skip(f"no real sample: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def parser() -> Path:
    """The face parser."""
    model = DATA / "weights/bisenetv2_celebamaskhq_448_int8.tflite"
    if not model.exists():
        pytest.skip(f"no face parser: {model} is absent")
    pytest.importorskip("ai_edge_litert", reason="pip install 'talkbench[parser]'")
    return model
