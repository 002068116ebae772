"""The ground-truth audit: how much of each picture a method took from the test frame itself (design §4).

A sample of test frames is rendered twice, the second time with every pixel of the test frames moved by
:data:`DELTA` levels. The plates follow from the pixels, so they change where they hold something of the test frame and
nowhere else; cameras, sound, coefficients, classes, landmarks and the static plate stay as they are. What then changes in
the output came from the test frame: the change over the change put in is the *copied share* of a pixel, 0 … 1.

It asks nothing of a method but to render, so it works for whatever renders a :class:`~bench.contract.Conditioning`.
Whoever writes the conditioning to files for another process, such as a container, writes that of a :class:`Disturbed`
subject the second time.

What it can't see:

- Pixels of test frames that a method has kept from training, or reads from the subject's files behind the harness's back.
- What is told in other ways than by pixels: expression coefficients and action units are measured on the test frame and
  give away its mouth. That is in ``MethodInfo.sees``.
- Whether a changed pixel was copied or computed. A method that looks at the frame and draws something else from what it
  sees there is charged with the change in its drawing.
- Frames outside the sample. The sample is rendered as one short sequence, so a method that carries something from frame
  to frame is audited at larger steps than it was rendered at.
"""

from __future__ import annotations

from bench.audit.disturbed import DELTA, Disturbed, disturb
from bench.audit.measure import Audit, Summary, copied, run_audit, sample
from bench.audit.store import exists, load, read, save, synthesised

__all__ = [
    "DELTA", "Audit", "Disturbed", "Summary", "copied", "disturb", "exists", "load", "read", "run_audit", "sample", "save",
    "synthesised",
]  # fmt: skip
