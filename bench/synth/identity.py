"""Who is drawn: head shape, colours, hair style and voice, for the named subjects or from a seed alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.errors import unknown

Colour = tuple[float, float, float]

_YOUNG = "macrodetails/{}-young"
_BUILD = "macrodetails/universal-{}-young-averagemuscle-averageweight"


@dataclass(frozen=True)
class Identity:
    """Everything that makes one person; colours are sRGB in 0…1, ``shape`` maps shape targets to weights."""

    name: str
    title: str
    sex: str
    hair_style: str
    shape: Mapping[str, float]
    skin: Colour
    lips: Colour
    hair: Colour
    iris: Colour
    cloth: Colour
    backdrop: Colour
    voice: str
    seed: int
    rate: int = 150
    wave: float = 1.0
    stubble: float = 0.0
    length: float = 1.0

    @property
    def hair_words(self) -> str:
        """The hair in words, for ``subject.json``."""
        return {"long": "long", "short": "short"}[self.hair_style]


def _shape(sex: str, ethnicity: Mapping[str, float], **details: float) -> dict[str, float]:
    macro = {_YOUNG.format(f"{race}-{sex}"): weight for race, weight in ethnicity.items()}
    return {
        **macro,
        _BUILD.format(sex): 1.0,
        **{key.replace("__", "/").replace("_", "-"): v for key, v in details.items()},
    }


_ADA = Identity(
    name="ada",
    title="Ada (synthetic), long hair",
    sex="female",
    hair_style="long",
    shape=_shape(
        "female",
        {"caucasian": 0.75, "asian": 0.25},
        head__head_oval=0.4,
        mouth__mouth_upperlip_volume_incr=0.25,
        mouth__mouth_lowerlip_volume_incr=0.3,
        mouth__mouth_angles_up=0.25,
        eyebrows__eyebrows_angle_up=0.5,
        nose__nose_scale_horiz_decr=0.15,
    ),
    skin=(0.87, 0.68, 0.58),
    lips=(0.74, 0.37, 0.37),
    hair=(0.30, 0.205, 0.145),
    iris=(0.33, 0.38, 0.33),
    cloth=(0.25, 0.36, 0.42),
    backdrop=(0.66, 0.70, 0.72),
    voice="en-us+f3",
    seed=11,
)
_BEN = Identity(
    name="ben",
    title="Ben (synthetic), short hair",
    sex="male",
    hair_style="short",
    shape=_shape(
        "male",
        {"caucasian": 0.8, "african": 0.2},
        head__head_rectangular=0.3,
        chin__chin_bones_incr=0.2,
        eyebrows__eyebrows_angle_up=0.6,
        mouth__mouth_angles_up=0.2,
    ),
    skin=(0.78, 0.58, 0.47),
    lips=(0.68, 0.44, 0.39),
    hair=(0.25, 0.175, 0.125),
    iris=(0.37, 0.25, 0.15),
    cloth=(0.52, 0.49, 0.44),
    backdrop=(0.62, 0.67, 0.70),
    voice="en+m3",
    seed=23,
    stubble=0.6,
)


def identity(name: str, seed: int | None = None) -> Identity:
    """The identity called ``name``: a named one, or a new one drawn from ``seed``."""
    if seed is not None:
        return drawn(name, seed)
    if name not in NAMED:
        raise unknown("synthetic identity without a seed", name, NAMED)
    return NAMED[name]


# Shape targets that a drawn identity may move, with the largest weight either way ("-decr"/"-incr" or a pair of opposites).
_DRAWN_PAIRS = (
    ("head/head-scale-horiz-decr", "head/head-scale-horiz-incr", 0.35),
    ("head/head-fat-decr", "head/head-fat-incr", 0.35),
    ("chin/chin-width-decr", "chin/chin-width-incr", 0.5),
    ("chin/chin-height-decr", "chin/chin-height-incr", 0.35),
    ("nose/nose-scale-horiz-decr", "nose/nose-scale-horiz-incr", 0.5),
    ("nose/nose-scale-depth-decr", "nose/nose-scale-depth-incr", 0.4),
    ("nose/nose-hump-decr", "nose/nose-hump-incr", 0.4),
    ("nose/nose-point-down", "nose/nose-point-up", 0.4),
    ("mouth/mouth-scale-horiz-decr", "mouth/mouth-scale-horiz-incr", 0.3),
    ("mouth/mouth-upperlip-volume-decr", "mouth/mouth-upperlip-volume-incr", 0.4),
    ("mouth/mouth-lowerlip-volume-decr", "mouth/mouth-lowerlip-volume-incr", 0.4),
    ("forehead/forehead-scale-vert-decr", "forehead/forehead-scale-vert-incr", 0.3),
)
_SKINS = ((0.85, 0.67, 0.58), (0.83, 0.64, 0.52), (0.73, 0.53, 0.41), (0.58, 0.40, 0.30), (0.43, 0.28, 0.21))
_HAIRS = ((0.12, 0.09, 0.075), (0.20, 0.135, 0.095), (0.33, 0.215, 0.13), (0.52, 0.38, 0.22), (0.43, 0.20, 0.11))
_IRISES = ((0.35, 0.23, 0.14), (0.30, 0.38, 0.30), (0.33, 0.42, 0.52), (0.42, 0.36, 0.24))
_CLOTHS = (
    (0.20, 0.36, 0.45),
    (0.52, 0.49, 0.44),
    (0.45, 0.20, 0.22),
    (0.22, 0.38, 0.28),
    (0.30, 0.29, 0.36),
    (0.62, 0.50, 0.30),
)


def drawn(name: str, seed: int) -> Identity:
    """A new identity, the same for the same seed."""
    rng = np.random.default_rng([seed, 0])

    def one(options: tuple[Colour, ...], spread: float) -> Colour:
        r, g, b = np.clip(np.array(options[rng.integers(len(options))]) * (1 + spread * rng.uniform(-1, 1)), 0.02, 0.95)
        return float(r), float(g), float(b)

    sex = ("female", "male")[rng.integers(2)]
    female = sex == "female"
    share = rng.dirichlet([0.8, 0.8, 0.8])
    shape = _shape(sex, dict(zip(("caucasian", "asian", "african"), (float(s) for s in share), strict=True)))
    for low, high, most in _DRAWN_PAIRS:
        weight = float(rng.uniform(-most, most))
        shape[high if weight > 0 else low] = abs(weight)
    shape["eyebrows/eyebrows-angle-up"] = 0.5
    shape["mouth/mouth-angles-up"] = 0.2
    tone = int(rng.integers(len(_SKINS)))
    skin = one(_SKINS[tone : tone + 1], 0.04)
    lips = (skin[0] * 0.86, skin[1] * (0.64 if female else 0.74), skin[2] * (0.70 if female else 0.78))
    style = "long" if rng.random() < (0.8 if female else 0.15) else "short"
    return Identity(
        name=name,
        title=f"{name} (synthetic, seed {seed}), {style} hair",
        sex=sex,
        hair_style=style,
        shape=shape,
        skin=skin,
        lips=lips,
        hair=one(_HAIRS[: len(_HAIRS) - tone], 0.15),
        iris=one(_IRISES, 0.1),
        cloth=one(_CLOTHS, 0.15),
        backdrop=one(((0.66, 0.70, 0.72), (0.70, 0.66, 0.62), (0.60, 0.66, 0.62)), 0.06),
        voice=f"{('en-us', 'en')[rng.integers(2)]}+{'f' if female else 'm'}{rng.integers(1, 5)}",
        seed=seed,
        rate=int(rng.integers(140, 166)),
        wave=float(rng.uniform(0.4, 1.5)),
        stubble=0.0 if female else float(rng.uniform(0.0, 0.8)),
        length=float(rng.uniform(0.85, 1.05)),
    )


NAMED = {
    "ada": _ADA,
    "ben": _BEN,
    "tiny": dataclasses.replace(_ADA, name="tiny", title="Tiny (synthetic), for quick tests", seed=5),
}
