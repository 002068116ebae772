"""What tells the deformable-Gaussian methods and their variants apart, and how long each preset trains.

Iteration numbers of the ``paper`` presets are the official code's (spec_talkinggaussian §4, spec_degstalk §4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Design:
    """A method as a set of switches (spec_talkinggaussian §10 lists the differences)."""

    name: str
    embedding: int
    """Width of the learnable per-Gaussian vector z; 0 for none."""
    coefficients: bool
    """Driven by the subject's expression and eyelid coefficients; else by six upper-face action units."""
    hair_canvas: bool
    """Hair, ears and scene come from the frame's own pixels; else hair is rendered over the torso canvas."""
    jaw_loss: float
    """Weight of the mouth branch's jaw prediction; 0 for none."""
    mouth_sampling: Literal["warm-up", "motion"]
    """When the face stage favours mouths of a given size: every 15th warm-up iteration, or every 30th later one."""
    blink_phase: int
    """Blink frames are favoured at iterations ≡ this (mod 15)."""
    close_mouth: bool
    """Close the mouth mask 3×3 in the face stage's last iterations."""
    fusion: bool = True
    """Train a third stage on whole frames; else the two branches are composited as they are."""
    rim: bool = True
    """The canvas with hair keeps a rim of up to 6 px inside the face's contour."""
    encoded_embedding: bool = False
    """z goes into the tri-plane encoder, H(μ⊕z) as DEGSTalk's Eq. 5 has it; else beside its output, H(μ)⊕z."""
    shape: bool = False
    """Also driven by the subject's shape coefficients, where it has some; needs ``coefficients``."""
    dssim: float = 0.2
    """λ: weight of 1 − SSIM in every stage."""
    lpips: float = 0.5
    """γ: weight of LPIPS at the end of the mouth and the fusion stage (the face stage has weights of its own)."""
    colours_only: bool = False
    """The fusion stage trains spherical harmonics only; else also the face's opacity and the mouth's z."""

    @property
    def canvas(self) -> str:
        """What the layers are drawn over: the name of a :class:`bench.subject.Frame`'s picture, and of what ``sees`` calls it."""
        if not self.hair_canvas:
            return "torso_canvas"
        return "hair_canvas" if self.rim else "bare_hair_canvas"

    @property
    def canvas_words(self) -> str:
        """The same for :attr:`bench.contract.MethodInfo.canvas`."""
        if not self.hair_canvas:
            return "own:plate+gt-torso"
        return "own:gt-hair+torso" if self.rim else "own:gt-hair+torso-rim"

    @property
    def direct_inputs(self) -> int:
        """Expression inputs that bypass the small net: two eyelids, or AU45."""
        return 2 if self.coefficients else 1

    @property
    def expression_code(self) -> int:
        """Width of the expression code e."""
        return 16 if self.coefficients else 6

    @property
    def sees(self) -> frozenset[str]:
        """What the method needs of a test frame (keys of :data:`bench.seeable.SEEABLE`)."""
        driver = "expression" if self.coefficients else "action_units"
        return frozenset({"pose", "audio", driver, self.canvas})


@dataclass(frozen=True)
class Branch:
    """Schedule of a branch's own stage (mouth or face). All numbers are iterations unless said otherwise."""

    iterations: int
    warm: int
    """Static render before this, motion from it on."""
    sh_every: int
    densify_from: int
    densify_every: int
    densify_until: int
    curriculum_until: int
    """S: the sampling curriculum ends and the field's learning rate drops."""
    decay_span: int
    """The field's learning-rate factor is 0.1^(it/decay_span) after S."""
    xyz_decay: int
    hair_until: int
    """Face: until here hair is ignored in six of seven iterations."""
    attention_from: int
    """Face: attention maps are pushed towards zero on lips and hair after this. A short preset waits with it: where action
    units are mostly 0, the push is all that the expression attention feels at first, and its ReLU dies of it."""
    lpips_from: int
    freeze_from: int
    """Mouth: from here on only colours (and z) learn, over black."""
    init: int
    """Number of Gaussians at the start."""
    threshold: float
    """Screen gradient (NDC) that densifies."""
    limit: int
    """Never more Gaussians than this."""
    head_start: bool = False
    """Short presets: start inside the visual hull of the branch's masks instead of in the cube ±0.1, and with nets
    scaled to the training frames (:mod:`methods.fields.initial`)."""
    xyz_gain: float = 1.0
    """Multiplies the means' learning rate (short presets)."""
    net_gain: float = 1.0
    """Multiplies the field nets' learning rate (short presets)."""
    half_until: int = 0
    """Train at half the frame size before this iteration."""


@dataclass(frozen=True)
class Fuse:
    """Schedule of the fusion stage."""

    iterations: int
    lpips_from: int


@dataclass(frozen=True)
class Schedule:
    """A preset: all three stages."""

    mouth: Branch
    face: Branch
    fuse: Fuse


_UNLIMITED = 1_000_000

PAPER = Schedule(
    mouth=Branch(
        iterations=50_000,
        warm=3_000,
        sh_every=1_000,
        densify_from=500,
        densify_every=100,
        densify_until=45_000,
        curriculum_until=39_000,
        decay_span=49_000,
        xyz_decay=45_000,
        hair_until=0,
        attention_from=3_000,
        lpips_from=49_000,
        freeze_from=49_000,
        init=10_000,
        threshold=2e-4,
        limit=_UNLIMITED,
    ),
    face=Branch(
        iterations=50_000,
        warm=3_000,
        sh_every=1_000,
        densify_from=500,
        densify_every=100,
        densify_until=49_000,
        curriculum_until=40_000,
        decay_span=50_000,
        xyz_decay=45_000,
        hair_until=46_000,
        attention_from=3_000,
        lpips_from=47_000,
        freeze_from=_UNLIMITED,
        init=2_000,
        threshold=5e-4,
        limit=_UNLIMITED,
    ),
    fuse=Fuse(iterations=10_000, lpips_from=5_000),
)


def _short(branch: Branch, iterations: int, warm: int, **changes: object) -> Branch:
    """``branch`` in fewer iterations: the warm-up as given, everything after it in the paper's proportions."""
    ratio = (iterations - warm) / (branch.iterations - branch.warm)

    def at(paper: int) -> int:
        return paper if paper >= _UNLIMITED else warm + round((paper - branch.warm) * ratio)

    return replace(
        branch,
        iterations=iterations,
        warm=warm,
        sh_every=max(1, warm // 3),
        densify_from=warm // 4,
        densify_until=at(branch.densify_until),
        curriculum_until=at(branch.curriculum_until),
        decay_span=at(branch.decay_span),
        xyz_decay=at(branch.xyz_decay),
        hair_until=at(branch.hair_until) if branch.hair_until else 0,
        attention_from=(warm + iterations) // 2,
        lpips_from=at(branch.lpips_from),
        freeze_from=at(branch.freeze_from),
        head_start=True,
        **changes,  # type: ignore[arg-type]
    )


QUICK = Schedule(
    mouth=_short(PAPER.mouth, 450, 100, densify_every=50, init=1_500, limit=3_000, xyz_gain=4, net_gain=4),
    face=_short(
        PAPER.face, 2_200, 400, densify_every=50, init=5_000, limit=5_000, xyz_gain=4, net_gain=4, half_until=1_850
    ),
    fuse=Fuse(iterations=150, lpips_from=100),
)
STANDARD = Schedule(
    mouth=_short(PAPER.mouth, 1_500, 200, densify_every=50, init=2_500, limit=5_000, xyz_gain=3, net_gain=3),
    face=_short(
        PAPER.face, 5_000, 800, densify_every=50, init=8_000, limit=10_000, xyz_gain=3, net_gain=3, half_until=2_500
    ),
    fuse=Fuse(iterations=600, lpips_from=300),
)
