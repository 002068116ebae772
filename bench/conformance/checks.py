"""The checks, in their order; each says in one line what holds, or what doesn't."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.audit.measure import PLATES
from bench.conformance.trial import Trial
from bench.contract import Conditioning, checked_frames
from bench.errors import BenchError
from bench.pixels import quantised


class Failed(Exception):
    """A check doesn't hold, for this reason."""


class Skipped(Exception):
    """A check says nothing here, for this reason."""


@dataclass(frozen=True)
class Check:
    """One clause of the contract."""

    name: str
    holds: Callable[[Trial], str]
    """What was seen, in a few words; raises :class:`Failed` or :class:`Skipped`."""


@dataclass(frozen=True)
class Outcome:
    """What became of a check."""

    check: str
    state: Literal["ok", "failed", "skipped"]
    detail: str


def run(trial: Trial) -> Iterator[Outcome]:
    """Every check, as it comes to an end; after one that can't be done without, the others are skipped."""
    stopped = ""
    for check in CHECKS:
        if stopped:
            yield Outcome(check.name, "skipped", f"{stopped} failed")
            continue
        outcome = _outcome(check, trial)
        if outcome.state == "failed" and check.name == "runs":
            stopped = check.name
        yield outcome


def _outcome(check: Check, trial: Trial) -> Outcome:
    try:
        return Outcome(check.name, "ok", check.holds(trial))
    except Skipped as reason:
        return Outcome(check.name, "skipped", str(reason))
    except (Failed, BenchError) as reason:
        return Outcome(check.name, "failed", " ".join(str(reason).split()))
    except Exception as error:  # whatever a plugin raises
        return Outcome(check.name, "failed", f"{type(error).__name__}: {' '.join(str(error).split())}")


def _described(trial: Trial) -> str:
    info = trial.method.info
    if lacking := [name for name in ("title", "summary", "licence", "canvas") if not getattr(info, name).strip()]:
        raise Failed(f"MethodInfo lacks {', '.join(lacking)}")
    return f"{info.title}: sees {', '.join(sorted(info.sees)) or 'nothing'} of a test frame"


def _runs(trial: Trial) -> str:
    record = trial.first
    if record.status != "ok":
        raise Failed(f"{record.error}; log: {trial.job('first').folder.log}")
    trained = f"trained in {record.train_seconds['total']:.1f} s, " if "total" in record.train_seconds else ""
    return f"{trained}{record.frames} frames of {record.size[0]}×{record.size[1]}"


def _deterministic(trial: Trial) -> str:
    again, first = trial.finish(trial.job("second")), trial.first
    if again.status != "ok":
        raise Failed(f"the first run went well, the second failed: {again.error}")
    for part in ("checkpoint", "frames"):
        if again.provenance.get(part) != first.provenance.get(part):
            raise Failed(
                f"two runs with one seed on the CPU gave different {part}: seed every generator from task.seed"
            )
    return "two runs with one seed: the same checkpoint and frames"


def _resumes(trial: Trial) -> str:
    if not trial.method.info.trains:
        raise Skipped("nothing is trained")
    job = trial.job("killed")
    if not trial.kill_in_training(job):
        raise Skipped("its training has no stage of several steps to be killed in")
    record = trial.finish(job)
    if record.status != "ok":
        raise Failed(f"killed in training and started again, it failed: {record.error}")
    if record.provenance.get("checkpoint") != trial.first.provenance.get("checkpoint"):
        raise Failed(
            "killed in training and started again, it gave another checkpoint: task.out holds what the first try left"
        )
    return "killed half way and started again: the same checkpoint"


def _stateless(trial: Trial) -> str:
    if trial.method.info.backend != "native":
        raise Skipped("a program renders all its frames at once, in their order")
    ids = trial.subject.test_ids
    whole = dict(zip(ids, _rendered(trial, ids), strict=True))
    some = list(reversed(ids))[::2]
    for number, frame in zip(some, _rendered(trial, some), strict=True):
        if (frame != whole[number]).any():
            raise Failed(
                f"frame {number} looks otherwise when other frames are asked for: a frame is to follow from its conditioning alone"
            )
    return "every other frame, backwards: the same pictures"


def _copies(trial: Trial) -> str:
    share, plates = trial.first.copied_share, [plate for plate in PLATES if plate in trial.method.info.sees]
    if share is None:
        raise Skipped(trial.first.provenance.get("not audited", "not audited"))
    if share > 0 and not plates:
        raise Failed(f"{share:.1%} of the picture is the test frame's, but sees declares no plate")
    return f"{share:.1%} of the picture is the test frame's" + (f" ({', '.join(plates)})" if plates else "")


def _fails_cleanly(trial: Trial) -> str:
    if not trial.method.info.trains:
        raise Skipped("nothing is trained")
    empty = trial.folder / "empty"
    empty.mkdir()
    given = [
        Conditioning(trial.subject.frame(i), trial.subject, trial.method.info.sees) for i in trial.subject.test_ids[:1]
    ]
    try:
        list(trial.method.load(empty, "cpu").render(given))
    except BenchError as error:
        return f"an empty checkpoint folder: {' '.join(str(error).split())[:120]}"
    except Exception as error:  # whatever a plugin raises
        raise Failed(
            f"an empty checkpoint folder raises {type(error).__name__}: raise bench.errors.RecordError that says to train again"
        ) from error
    raise Failed("an empty checkpoint folder renders all the same")


def _rendered(trial: Trial, ids: list[int]) -> list[NDArray[np.uint8]]:
    checkpoint: Path = trial.job("first").folder.checkpoint
    given = [Conditioning(trial.subject.frame(number), trial.subject, trial.method.info.sees) for number in ids]
    made = trial.method.load(checkpoint, "cpu").render(given)
    return [quantised(frame, "u8-round").copy() for frame in checked_frames(trial.method.info, given, iter(made))]


CHECKS = (
    Check("described", _described),
    Check("runs", _runs),
    Check("deterministic", _deterministic),
    Check("resumes", _resumes),
    Check("frames stand alone", _stateless),
    Check("copies what it says", _copies),
    Check("fails cleanly", _fails_cleanly),
)
