"""A segmentation network without its last operations, which cost a seventh of its time on a CPU and lose what it knew.

Such ``.tflite`` files end in: class scores at an eighth of the picture's side → enlarged → softmax → the largest class. Without
them the scores come out, and are enlarged straight to the frame's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_TAIL = ("SOFTMAX", "QUANTIZE", "ARG_MAX", "RESHAPE")
"""What may follow the enlargement, in this order; ARG_MAX must."""


@dataclass(frozen=True)
class Trimmed:
    """A network that gives class scores [1,h,w,classes]."""

    model: bytes
    centred: bool
    """Whether its enlargement matched pixels' centres; else their upper left corners."""


def trimmed(model: bytes) -> Trimmed | None:
    """The network cut before its enlargement; None: it doesn't end as described.

    Raises:
        ValueError, TypeError, struct.error: ``model`` is no such file.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    whole: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = whole.subgraphs[0]
    codes = [
        max(whole.operatorCodes[o.opcodeIndex].builtinCode, whole.operatorCodes[o.opcodeIndex].deprecatedBuiltinCode)
        for o in graph.operators
    ]
    called = [names.get(code, "") for code in codes]
    cut = next((place for place in reversed(range(len(called))) if called[place] == "RESIZE_BILINEAR"), None)
    if cut is None or "ARG_MAX" not in called[cut:] or any(name not in _TAIL for name in called[cut + 1 :]):
        return None
    options = graph.operators[cut].builtinOptions
    if options.alignCorners:
        return None
    graph.outputs = np.array([graph.operators[cut].inputs[0]], np.int32)
    graph.operators = graph.operators[:cut]
    whole.signatureDefs = []
    builder = flatbuffers.Builder(len(model))
    builder.Finish(whole.Pack(builder), b"TFL3")
    return Trimmed(bytes(builder.Output()), bool(options.halfPixelCenters))


def enlarged(scores: NDArray[Any], side: int, size: tuple[int, int], centred: bool) -> NDArray[np.uint8]:
    """[H,W] the largest class of ``scores`` [h,w,classes], linearly enlarged to (width, height).

    :param side: of the square picture that the network saw; the frame was resized to it with pixels' centres matched
    :param centred: how the network places its own grid in that picture (:class:`Trimmed`)
    """
    planes = np.ascontiguousarray(scores.transpose(2, 0, 1), np.float32)
    step = side / scores.shape[0]
    shift = 0.0 if centred else 0.5 - 0.5 / step  # of the grid's centres, in its pixels
    scale = [scores.shape[1] / size[0], scores.shape[0] / size[1]]
    place = np.array([[scale[0], 0, 0.5 * scale[0] - 0.5 + shift], [0, scale[1], 0.5 * scale[1] - 0.5 + shift]])
    largest, labels = np.full(size[::-1], -np.inf, np.float32), np.zeros(size[::-1], np.uint8)
    for k, plane in enumerate(planes):
        score = cv2.warpAffine(
            plane, place, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        labels[score > largest] = k
        np.maximum(largest, score, out=largest)
    return labels
