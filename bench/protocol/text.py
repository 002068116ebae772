"""A protocol's rules in plain words, and what changes from one protocol to another."""

from __future__ import annotations

from dataclasses import dataclass

from bench.protocol import Protocol

_TRUTH = {
    "frame": "the frame as filmed (ori_imgs)",
    "background_pasted": "the frame with its background replaced by the static plate, stored as JPEG 95 (gt_imgs)",
}
_CANVAS = {
    "own": "frames as the method delivers them",
    "portrait": "the inside of the face, with a soft edge, blended onto the frame as filmed",
}
_QUANTISE = {"u8-round": "floats are rounded to 8 bits", "u8-floor": "floats are cut off to 8 bits"}
_CODEC = {
    "none": "none: frames are compared as they come",
    "h264-crf10": "both sides go through H.264 (x264, CRF 10, yuv420p) first, unless they come as H.264",
    "jpeg75": "the prediction goes through JPEG at quality 75 first, unless it comes as JPEG",
}
_LENGTH = {
    "exact": "a missing frame, or one too many, is an error",
    "shorter": "two videos are compared up to the shorter one's end; n says how many frames that is",
}
_AGGREGATION = {"frame-mean": "mean over frames (PSNR: of decibels)"}


@dataclass(frozen=True)
class Change:
    """One rule in which two protocols differ."""

    rule: str
    a: str
    b: str


def rules(protocol: Protocol) -> dict[str, str]:
    """Every rule of the protocol by its name, in words.

    >>> from bench import protocol
    >>> rules(protocol.get("neutral"))["codec"]
    'none: frames are compared as they come'
    """
    expects = f"; officially over: {protocol.expects}" if protocol.expects else ""
    return {
        "frames": f"the subject's {protocol.split} split, whole",
        "ground truth": _TRUTH[protocol.truth],
        "canvas": _CANVAS[protocol.canvas] + expects,
        "8 bits": _QUANTISE[protocol.quantise],
        "codec": _CODEC[protocol.codec],
        "length": _LENGTH[protocol.length],
        "regions": "the whole frame" + (f", then {', '.join(protocol.regions)}" if protocol.regions else " only"),
        "metrics": ", ".join(map(_metric, protocol.metrics, protocol.metrics.values())),
        "frames to number": _AGGREGATION[protocol.aggregation],
        "landmarks": protocol.detector,
        "unscored frames": _coverage(protocol.min_coverage),
        "audit": f"{protocol.audit} frames rendered again to find copied pixels" if protocol.audit else "none",
    }


def differences(a: Protocol, b: Protocol) -> list[Change]:
    """The rules in which ``a`` and ``b`` differ, in the order of :func:`rules`."""
    left, right = rules(a), rules(b)
    return [Change(rule, left[rule], right[rule]) for rule in left if left[rule] != right[rule]]


def _metric(name: str, options: dict[str, str]) -> str:
    return name + (f" ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else "")


def _coverage(bound: float) -> str:
    if bound == 0:
        return "left out however many there are, and counted in n"
    if bound == 1:
        return "one frame without a face makes the metric invalid: the official script ends there"
    return f"left out and counted in n; below {bound:.0%} of frames the metric is invalid"
