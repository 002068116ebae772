"""A finished checkpoint: ``model.safetensors``, and ``model.json`` that says what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from bench.errors import RecordError
from bench.paths import atomic_file, write_text


def write(out: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any], stages: Sequence[str]) -> None:
    """The model first, its card last: the card's presence means that the model is whole. Then the stages' states go."""
    with atomic_file(out / "model.safetensors") as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary)
    write_text(out / "model.json", json.dumps(card, indent=1) + "\n")
    for stage in stages:
        (out / f"{stage}.safetensors").unlink(missing_ok=True)


@contextmanager
def fitting(checkpoint: Path) -> Iterator[None]:
    """Loading tensors into modules, with the error for those that don't fit.

    Raises:
        RecordError: a tensor is missing or has another shape.
    """
    try:
        yield
    except (KeyError, RuntimeError) as error:
        raise RecordError(
            f"{checkpoint}/model.safetensors doesn't fit its model.json ({error}); train again"
        ) from error
