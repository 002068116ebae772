"""What of a test frame can be shown to a method: the words of ``MethodInfo.sees``."""

from __future__ import annotations

from collections.abc import Mapping

SEEABLE: Mapping[str, str] = {
    "pose": "camera of the frame (inverse head pose)",
    "audio": "audio feature windows around the frame",
    "expression": "expression, eyelid and shape coefficients of the whole face, mouth shapes included",
    "action_units": "upper-face action units AU01, 04, 05, 06, 07, 45",
    "upper_face": "seven upper-face blendshapes: five of the brows, two blinks",
    "torso_canvas": "the frame's own torso and neck pixels over the static plate",
    "hair_canvas": "the frame's own hair, ears, torso and surroundings, and a rim of its face",
    "bare_hair_canvas": "the frame's own hair, ears, torso and surroundings, nothing of its face",
    "portrait_canvas": "the frame with the inside of its face blanked softly, and where that is",
    "ground_truth": "the frame itself (reference methods only)",
    "subject": "the whole prepared folder, as the authors' code expects it: what that reads there can't be seen from here",
}
"""What of a test frame can be handed to a method, and what that means."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "pose": ("camera",), "audio": ("audio",), "expression": ("expression", "eyelid", "shape"), "action_units": ("action_units",),
    "torso_canvas": ("torso_canvas",), "hair_canvas": ("hair_canvas",), "bare_hair_canvas": ("bare_hair_canvas",),
    "upper_face": ("upper_face",), "portrait_canvas": ("portrait_canvas", "portrait_weights"),
    "ground_truth": ("ground_truth", "landmarks"), "subject": ("subject",),
}  # fmt: skip
"""Which properties of a :class:`bench.contract.Conditioning` each key of ``sees`` opens."""
