"""What tells the tri-plane radiance fields apart, and how long each preset trains.

Iteration numbers of the ``paper`` presets are the official code's (spec_ernerf §5, spec_synctalk §5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Region = Literal["face", "lower_face"]


@dataclass(frozen=True)
class Losses:
    """Weights and kinds of a method's losses."""

    pixel: Literal["mse", "l1"]
    """Of colours; the smoothness term takes the same."""
    doubt_inside: float
    """Of the uncertainty's own likelihood, inside the face."""
    doubt_outside: float
    """Of the uncertainty itself, outside the face."""
    audio_region: Region
    """Outside of it, attention to audio is pushed down."""
    eye_region: Literal["face", "lower_face"]
    """Inside of it, attention to the eyes is pushed down."""
    eye_by_audio: bool
    """Only where there is attention to audio (and a sixteenth of it); else everywhere in the region."""
    entropy: float = 1e-4
    attention: float = 1e-4
    smooth: float = 1e-5
    lips_lpips: float = 0.01
    patch_lpips: float = 0.1


@dataclass(frozen=True)
class Design:
    """A method as a set of switches (spec_synctalk says what it changed of ER-NeRF)."""

    name: str
    upper_face: int
    """Numbers that drive the upper face: 1 (blink, from AU45) or 7 (blendshapes of brows and lids)."""
    eye_hidden: int
    """Width of the net that attends to them."""
    eye_sigmoid: bool
    """Whether that attention is squashed to (0, 1)."""
    blink_jitter: float
    """A training frame's upper-face inputs are moved by up to this."""
    losses: Losses
    patch: int
    """Side of the square patches of the lips stage, pixels."""
    region_attention: bool = True
    """Position decides how much audio and upper face count; else they count everywhere alike."""
    triplane: bool = True
    """Three planes of 2-d grids; else one 3-d grid."""
    audio: bool = True
    """Hears; else driven by the upper face alone."""
    torso: bool = False
    """A torso field of its own over the static plate; else the test frame's torso."""
    portrait: bool = False
    """The face is blended onto the test frame."""
    ema: bool = False
    """Renders with the average of the weights; else with the last ones, as the official test does."""

    @property
    def sees(self) -> frozenset[str]:
        """What the method needs of a test frame (keys of :data:`bench.seeable.SEEABLE`)."""
        driver = "upper_face" if self.upper_face > 1 else "action_units"
        canvas = {"portrait_canvas"} if self.portrait else set()
        canvas |= set() if self.torso else {"torso_canvas"}
        return frozenset({"pose", "audio", driver, *canvas})

    @property
    def canvas_words(self) -> str:
        """The same for :attr:`bench.contract.MethodInfo.canvas`."""
        if self.portrait:
            return "own:gt-outside-face"
        return "own:plate" if self.torso else "own:plate+gt-torso"


@dataclass(frozen=True)
class Schedule:
    """A preset. All numbers are iterations unless said otherwise."""

    head: int
    lips: int
    torso: int
    """0 iterations unless the design has a torso."""
    rays: int
    """Pixels an iteration of head and torso, and nearly so many in the patches of the lips stage."""
    grid_side: int
    """Cells of the occupancy grid along an axis."""
    grid_every: int
    """The grid looks at the field again this often."""
    ema_every: int
    hull: bool = False
    """Only cells inside the visual hull of the head's masks can be occupied, and the audio net starts from the training
    frames' statistics (short presets); else those that a training camera sees."""
    gain: float = 1.0
    """Multiplies the learning rate of the nets (short presets)."""
    focus: float = 0.0
    """Share of the head stage's rays that go through the box around the face, and as many through the lips' square; the rest
    anywhere (short presets)."""


QUICK = Schedule(
    head=1_200, lips=200, torso=400, rays=2_048, grid_side=64, grid_every=32, ema_every=50, hull=True, gain=3.0, focus=0.3
)  # fmt: skip
STANDARD = Schedule(
    head=6_000, lips=800, torso=2_000, rays=4_096, grid_side=96, grid_every=64, ema_every=200, hull=True, gain=2.0, focus=0.2
)  # fmt: skip
