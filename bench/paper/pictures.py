"""Figures of frames: subjects × methods with zoomed crops, and the seams that an ablation is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import metrics
from bench.errors import BenchError, DataError
from bench.paper import choice
from bench.paper.choice import Box, Choice
from bench.paper.figure import COLOURS, TALLEST, WIDE, Drawn, look, short, to_pdf
from bench.paper.shown import Shown
from bench.report.data import Run
from bench.report.players import GROUND_TRUTH
from bench.stills import LOSSLESS, rendered, truth
from bench.subject import Frame
from bench.video import Frame as Picture

_LARGEST = 1.6
"""Inches of a frame's side, where there are few."""
_LABEL = 0.22
"""Inches above the first row, for the columns' names."""
_LETTERS = 13
"""Letters of such a name that fit into an inch."""


@dataclass(frozen=True)
class _Panel:
    """One frame of a subject, of each method."""

    subject: str
    chosen: Choice
    pictures: Mapping[str, Picture]
    """Ground truth first."""
    boxes: tuple[Box, ...]
    source: str
    """Of the ground truth."""


def qualitative(run: Run, shown: Sequence[Shown], notes: list[str]) -> Drawn | None:
    """Subjects × methods; None, with a note, where no subject has two methods' frames."""
    panels = [panel for each in shown if (panel := _noted(run, each, _face_boxes, notes))]
    if not panels:
        notes.append("the qualitative figure: no subject has frames of two methods")
        return None
    columns = list(dict.fromkeys(label for panel in panels for label in panel.pictures))
    cell = min(WIDE / len(columns), (TALLEST - _LABEL) / (1.5 * len(panels)), _LARGEST)
    caption = f"{_rule(panels)} Crops: {_crops(panels)}. {_told(panels)}"
    pdf = _draw_rows(panels, columns, cell)
    return Drawn("qualitative", "frames of each method", caption, pdf, facts=[_facts(panel) for panel in panels])


def ablation(run: Run, shown: Sequence[Shown], name: str, method: str, notes: list[str]) -> Drawn | None:
    """A method and its variants on the subject where they differ most: the frame, then the seams of hair and of the neck."""
    panels = [panel for each in shown if (panel := _noted(run, each, _seam_boxes, notes))]
    if not panels:
        notes.append(
            f"the ablation figure of {method}: no subject has frames of it and of a variant, and a folder to find seams in"
        )
        return None
    panel = max(panels, key=lambda one: one.chosen.spread)
    caption = (
        f"Ablation of {method} on {panel.subject}, the subject with the largest spread. {_rule([panel])} Below the frame: "
        f"{_crops([panel])}; each crop is the square that holds most of its seam. {_told([panel])}"
    )
    return Drawn(name, f"the ablation of {method}", caption, _draw_columns(panel), facts=[_facts(panel)])


def _noted(run: Run, each: Shown, boxes: Any, notes: list[str]) -> _Panel | None:
    if len(each.cells) < 2:
        return None
    try:
        return _panel(run, each, boxes, notes)
    except BenchError as error:
        notes.append(f"frames of {each.subject}: {error}")
        return None


def _panel(run: Run, each: Shown, boxes: Any, notes: list[str]) -> _Panel | None:
    chosen = choice.most_disputed(list(each.cells.values()))
    if chosen is None:
        return None
    gt = truth(run, each.subject, [chosen.place])
    methods = {label: rendered(cell, [chosen.place]).frames[chosen.place] for label, cell in each.cells.items()}
    height, width = next(iter(methods.values())).shape[:2]
    # A preview is padded to an even size.
    pictures = {GROUND_TRUTH: gt.frames[chosen.place][:height, :width], **methods}
    if len({picture.shape for picture in pictures.values()}) > 1:
        raise DataError("its methods' frames are not all of one size")
    return _Panel(each.subject, chosen, pictures, tuple(boxes(each, chosen, methods, notes)), gt.source)


def _face_boxes(each: Shown, chosen: Choice, methods: Mapping[str, Picture], notes: list[str]) -> Iterator[Box]:
    """Where methods differ most, and the mouth, if the subject is here."""
    pictures = list(methods.values())
    try:
        yield choice.mouth_box(_frame(each, chosen))
    except BenchError as error:
        notes.append(f"the mouth of {each.subject} in the qualitative figure: {error}")
    yield choice.disagreement(pictures)


def _seam_boxes(each: Shown, chosen: Choice, methods: Mapping[str, Picture], notes: list[str]) -> Iterator[Box]:
    yield from choice.seams(_frame(each, chosen))


def _frame(each: Shown, chosen: Choice) -> Frame:
    return choice.opened(next(iter(each.cells.values())), chosen.frame_id)


def _rule(panels: Sequence[_Panel]) -> str:
    frames = ", ".join(f"{panel.subject} {panel.chosen.frame_id}" for panel in panels)
    titles = list(dict.fromkeys(metrics.title(panel.chosen.measure) for panel in panels))
    return (
        f"Frames ({frames}) are those on which the methods differ most: largest standard deviation of {' or '.join(titles)} over "
        "the methods shown, of all test frames."
    )


def _crops(panels: Sequence[_Panel]) -> str:
    names = list(dict.fromkeys(box.name for panel in panels for box in panel.boxes))
    return ", ".join(names)


def _told(panels: Sequence[_Panel]) -> str:
    lossy = [panel.subject for panel in panels if panel.source != LOSSLESS]
    return f"The ground truth of {', '.join(lossy)} is from its H.264 preview." if lossy else ""


def _facts(panel: _Panel) -> dict[str, Any]:
    return {
        "subject": panel.subject,
        **asdict(panel.chosen),
        "boxes": [asdict(box) for box in panel.boxes],
        "ground_truth": panel.source,
    }


def _draw_rows(panels: Sequence[_Panel], columns: Sequence[str], cell: float) -> bytes:
    """A row a subject: each frame with two crops below it."""
    from matplotlib.figure import Figure

    with look():
        width, height = cell * len(columns), 1.5 * cell * len(panels) + _LABEL
        figure = Figure(figsize=(width, height))
        at = _Places(figure, width, height)
        for row, panel in enumerate(panels):
            top = _LABEL + 1.5 * cell * row
            for column, label in enumerate(columns):
                if (picture := panel.pictures.get(label)) is None:
                    continue
                at.picture(picture, column * cell, top, cell, panel.boxes)
                for place, box in enumerate(panel.boxes):
                    at.crop(picture, box, (column + place / 2) * cell, top + cell, cell / 2, place)
        _name_columns(figure, columns)
        return to_pdf(figure)


def _draw_columns(panel: _Panel) -> bytes:
    """A column a variant: the frame, then its crops at full width."""
    from matplotlib.figure import Figure

    columns = list(panel.pictures)
    cell = WIDE / len(columns)
    rows = 1 + len(panel.boxes)
    with look():
        height = cell * rows + _LABEL
        figure = Figure(figsize=(WIDE, height))
        at = _Places(figure, WIDE, height)
        for column, label in enumerate(columns):
            at.picture(panel.pictures[label], column * cell, _LABEL, cell, panel.boxes)
            for place, box in enumerate(panel.boxes):
                at.crop(panel.pictures[label], box, column * cell, _LABEL + cell * (place + 1), cell, place)
        _name_columns(figure, columns)
        return to_pdf(figure)


@dataclass(frozen=True)
class _Places:
    """Puts pictures on a figure, in inches from its upper left corner."""

    figure: Any
    width: float
    height: float

    def _axes(self, left: float, top: float, side: float) -> Any:
        gap = 0.02
        inches = (left + gap, self.height - top - side + gap, side - 2 * gap, side - 2 * gap)
        axes = self.figure.add_axes([v / s for v, s in zip(inches, (self.width, self.height) * 2, strict=True)])
        axes.set(xticks=[], yticks=[])
        return axes

    def picture(self, picture: Picture, left: float, top: float, side: float, boxes: Sequence[Box]) -> None:
        """A whole frame with the crops' outlines."""
        from matplotlib.patches import Rectangle

        axes = self._axes(left, top, side)
        axes.imshow(picture, interpolation="none")
        axes.set_axis_off()
        for place, box in enumerate(boxes):
            corner = (box.left - 0.5, box.top - 0.5)
            axes.add_patch(Rectangle(corner, box.side, box.side, fill=False, edgecolor=_colour(place), linewidth=0.8))

    def crop(self, picture: Picture, box: Box, left: float, top: float, side: float, place: int) -> None:
        """A part of it, in a frame of its outline's colour."""
        axes = self._axes(left, top, side)
        axes.imshow(box.of(picture), interpolation="none")
        for spine in axes.spines.values():
            spine.set(visible=True, edgecolor=_colour(place), linewidth=1.0)


def _colour(place: int) -> str:
    return (COLOURS[5], COLOURS[4])[place % 2]


def _name_columns(figure: Any, columns: Sequence[str]) -> None:
    width, height = figure.get_size_inches()
    longest = int(_LETTERS * width / len(columns))
    for place, label in enumerate(columns):
        x = (place + 0.5) / len(columns)
        figure.text(x, 1 - 0.07 / height, short(label, longest), ha="center", va="top", fontsize=7)
