"""What a program made: found, counted and measured before any of it is used."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench import video
from bench.containers import template
from bench.containers.spec import Render
from bench.errors import DataError, MethodError
from bench.video import Frame


@dataclass(frozen=True)
class Rendered:
    """The test frames as a program left them, checked."""

    ids: tuple[int, ...]
    source: str
    """``lossless``, or the codec that they went through."""
    pictures: tuple[Path, ...]
    """A picture a frame, in the frames' order; or one video."""
    is_video: bool

    def only(self, ids: Sequence[int]) -> Iterator[Frame]:
        """The frames ``ids``, which are some of these in the same order, one at a time.

        Raises:
            MethodError: one of them can't be decoded, or they are asked for in another order.
        """
        chosen = set(ids)
        if [number for number in self.ids if number in chosen] != list(ids):
            raise MethodError("a program renders test frames in their order only")
        try:
            if self.is_video:
                frames = zip(self.ids, video.read_video(self.pictures[0]), strict=True)
                yield from (frame for number, frame in frames if number in chosen)
            else:
                pictures = zip(self.ids, self.pictures, strict=True)
                yield from (video.read_image(path) for number, path in pictures if number in chosen)
        except DataError as error:
            raise MethodError(f"what it rendered can't be read: {error}") from error


def collect(out: Path, render: Render, ids: Sequence[int], size: tuple[int, int]) -> Rendered:
    """Find the rendered frames in ``out``.

    Args:
        ids: the frames there must be, in order.
        size: (width, height) that each must have.

    Raises:
        MethodError: one is missing, extra, there twice, of another size, unreadable, or lossy where the TOML denies it.
    """
    pattern = template.output_pattern(render.output)
    files = {path: match for path in _files(out) if (match := pattern.fullmatch(path.relative_to(out).as_posix()))}
    wanted = render.output.removeprefix("{out}/")
    if not files:
        raise MethodError(f"rendering left no {wanted}")
    try:
        if template.numbering(render.output):
            found = _pictures(_numbered(files, render.output, ids), ids, size, wanted)
        else:
            found = _video(list(files), ids, size, wanted)
    except DataError as error:
        raise MethodError(f"what it rendered can't be read: {error}") from error
    if found.source != "lossless" and not render.lossy:
        raise MethodError(f"rendering left {found.source} files, but its TOML doesn't say lossy = true under [render]")
    return found


def matches(out: Path, output: str) -> list[Path]:
    """Files below ``out`` that would count as rendered."""
    pattern = template.output_pattern(output)
    return [path for path in _files(out) if pattern.fullmatch(path.relative_to(out).as_posix())]


def _files(root: Path) -> Iterator[Path]:
    """Plain files only: a program's link could lead anywhere, reading a pipe would never end."""
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _numbered(files: dict[Path, re.Match[str]], output: str, ids: Sequence[int]) -> dict[int, Path]:
    """The pictures by frame id; one whose number is no frame's gets an id that isn't among ``ids``."""
    kind, found = template.numbering(output), dict[int, Path]()
    for path, match in files.items():
        number = int(match["number"])
        place = number - (kind == "n")
        if kind != "id":
            number = ids[place] if 0 <= place < len(ids) else -1 - number
        if (other := found.setdefault(number, path)) != path:
            raise MethodError(f"rendering left two pictures of frame {number}: {other.name} and {path.name}")
    return found


def _pictures(found: dict[int, Path], ids: Sequence[int], size: tuple[int, int], wanted: str) -> Rendered:
    missing, extra = [number for number in ids if number not in found], sorted(found.keys() - set(ids))
    if missing:
        raise MethodError(
            f"rendered {len(ids) - len(missing)} of {len(ids)} frames: {_listed(missing)} missing ({wanted})"
        )
    if extra:
        raise MethodError(
            f"rendered {len(extra)} frames more than the {len(ids)} asked for, such as {found[extra[0]].name}"
        )
    pictures = tuple(found[number] for number in ids)
    for number, path in zip(ids, pictures, strict=True):
        try:
            with Image.open(path) as image:
                _check_size(f"frame {number}", image.size, size)
        except (OSError, SyntaxError) as error:
            raise MethodError(f"frame {number} can't be read as a picture ({path.name})") from error
    lossless = all(path.suffix.lower() in video.LOSSLESS_IMAGES for path in pictures)
    return Rendered(tuple(ids), "lossless" if lossless else "jpeg", pictures, is_video=False)


def _video(files: list[Path], ids: Sequence[int], size: tuple[int, int], wanted: str) -> Rendered:
    if len(files) > 1:
        raise MethodError(f"rendering left {len(files)} files {wanted}, expected one: {files[0].name}, {files[1].name}")
    about = video.probe(files[0])
    if about.frames != len(ids):
        raise MethodError(f"rendered {about.frames} frames, {len(ids)} were asked for ({files[0].name})")
    _check_size(f"the video {files[0].name}", (about.width, about.height), size)
    return Rendered(tuple(ids), about.source, (files[0],), is_video=True)


def _check_size(what: str, found: tuple[int, int], size: tuple[int, int]) -> None:
    if found != size:
        raise MethodError(f"{what} is {found[0]}×{found[1]}, the subject's are {size[0]}×{size[1]}")


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:5])) + (", …" if len(ids) > 5 else "")
