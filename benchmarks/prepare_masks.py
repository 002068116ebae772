"""How good the parsers, coefficients and action units of ``bench data prepare`` are: the tables of docs/prepare.md.

``python benchmarks/prepare_masks.py`` parses frames of the embedded subjects, where the truth is exact, with each parser that
can be had, and measures blinks, jaws and action units. With ``--data shared/data`` it also compares the offline parser with
the tflite one on real clips, and the units with OpenFace's. ``--weights FOLDER`` holds the model files.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from bench import catalogue, classes, weights
from bench.prepare import blendshapes, coefficients, masks, parsers, shape, units

GROUPS = {
    "background": (0,), "skin": (1, 6), "brows": (2, 3), "eyes": (4, 5), "ears": (7, 8, 9), "nose": (10,),
    "inner mouth": (11,), "lips": (12, 13), "neck": (14, 15), "cloth": (16,), "hair": (17, 18),
}  # fmt: skip
FILES = {
    name: weights.get(name).file for name in ("face-parser", "hair-segmenter", "face-landmarker", "bisenet-celebamask")
}
Picture = NDArray[np.uint8]
Labels = NDArray[np.uint8]
_RUN = slice(100, 132)
"""Frames in a row that flicker is measured on."""


def embedded(name: str) -> tuple[list[Picture], Path]:
    """(frames, folder) of an embedded subject; it is made if it isn't there."""
    subject = catalogue.resolve(name)
    return [subject.frame(i).image for i in sorted(subject.ids)], subject.root


def video(path: Path) -> list[Picture]:
    """All frames of a short clip."""
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def meshes(pictures: list[Picture]) -> NDArray[np.float32]:
    """[T,478,3], tracked from frame to frame as the mesh step does; frames without a face are NaN."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    out = np.full((len(pictures), 478, 3), np.nan, np.float32)
    with FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True) as model:
        for i, picture in enumerate(pictures):
            side = max(picture.shape)
            found = model.process(blendshapes.square(picture)).multi_face_landmarks
            if found:
                out[i] = np.array([(p.x, p.y, p.z) for p in found[0].landmark]) * side
    return out


def candidates(folder: Path) -> dict[str, parsers.Choice]:
    """The parsers that can be had."""
    files = {name: folder / file for name, file in FILES.items() if (folder / file).is_file()}
    out = {"offline": parsers.Choice("mesh", "Apache-2.0")}
    if "hair-segmenter" in files:
        out["offline + hair"] = parsers.Choice("mesh", "Apache-2.0", hair=files["hair-segmenter"])
    if "face-parser" in files:
        out["tflite"] = parsers.choose(files["face-parser"])
    if "bisenet-celebamask" in files:
        out["BiSeNet"] = parsers.choose(files["bisenet-celebamask"])
    return out


def loaded(choice: parsers.Choice, pictures: list[Picture], points: NDArray[np.float32]) -> parsers.FaceParser:
    """The parser, having seen 16 training frames."""
    train = np.flatnonzero(np.isfinite(points).all((1, 2)))[: len(points) * 10 // 11]
    picked = train[np.linspace(0, len(train) - 1, 16).astype(int)]
    return parsers.load(choice, ((Image.fromarray(pictures[i]), points[i]) for i in picked))


def cleaned(labels: Labels, picture: Picture, points: NDArray[np.float32]) -> Labels:
    """A raw answer as the masks step leaves it, but for the vote over time."""
    return masks.with_mouth(masks.sided(masks.without_islands(labels), points[:, :2]), picture, points[:, :2])[0]


def parsed(
    parser: parsers.FaceParser, pictures: list[Picture], points: NDArray[np.float32], every: int
) -> Iterator[tuple[int, Labels]]:
    """(frame number, clean classes) of every so many-th frame with a face."""
    for i in np.flatnonzero(np.isfinite(points).all((1, 2)))[::every]:
        yield int(i), cleaned(parser(Image.fromarray(pictures[i]), points[i]), pictures[i], points[i])


def flicker(
    parser: parsers.FaceParser, pictures: list[Picture], points: NDArray[np.float32], truth: list[Labels]
) -> dict[str, float]:
    """Share of pixels, in %, whose class changes from one frame to the next though the truth's doesn't."""
    raw = [parser(Image.fromarray(picture), mesh) for picture, mesh in zip(pictures, points, strict=True)]
    voted = [masks.vote(*raw[i - 1 : i + 2]) for i in range(1, len(raw) - 1)]
    clean = [cleaned(labels, pictures[i], points[i]) for i, labels in enumerate(voted, 1)]
    still = [a == b for a, b in zip(truth[1:-2], truth[2:-1], strict=True)]

    def share(maps: list[Labels]) -> float:
        return 100 * float(np.mean([((a != b) & s).mean() for a, b, s in zip(maps[:-1], maps[1:], still, strict=True)]))

    return {"raw": share(raw[1:-1]), "clean": share(clean)}


def ious(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> dict[str, float]:
    """Intersection over union a group of classes, over all frames together; NaN where neither has any."""
    out = {}
    for group, ids in GROUPS.items():
        both = [(classes.is_in(a, ids), classes.is_in(b, ids)) for a, b in pairs]
        union = sum(int((a | b).sum()) for a, b in both)
        out[group] = sum(int((a & b).sum()) for a, b in both) / union if union else float("nan")
    return out


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Pearson's; NaN where one never changes."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        return float(np.corrcoef(np.asarray(a, float), np.asarray(b, float))[0, 1])


def on_truth(name: str, folder: Path, every: int) -> dict[str, Any]:
    """Mask IoU a parser, and blink and jaw a source, of an embedded subject."""
    pictures, root = embedded(name)
    points, truth = meshes(pictures), np.load(root / "truth.npz")
    found: dict[str, Any] = {"IoU": {}, "flicker": {}, "correlation": {}}
    exact = [classes.load(root / f"parsing/{i}.png") for i in range(len(pictures))]
    for label, choice in candidates(folder).items():
        parser = loaded(choice, pictures, points)
        found["IoU"][label] = ious([(got, exact[i]) for i, got in parsed(parser, pictures, points, every)])
        found["flicker"][label] = flicker(parser, pictures[_RUN], points[_RUN], exact[_RUN])
    arkit = dict(zip(truth["arkit_names"].tolist(), truth["arkit"].T, strict=True))
    for label, source in sources(folder, pictures, points).items():
        found["correlation"][label] = {
            "blink": correlation(source.eyelid.mean(1), arkit["eyeBlinkLeft"] + arkit["eyeBlinkRight"]),
            "jawOpen": correlation(source.jaw[:, 0], arkit["jawOpen"]),
        }
    return found


def sources(folder: Path, pictures: list[Picture], points: NDArray[np.float32]) -> dict[str, Any]:
    """Coefficients a source."""
    train = len(pictures) * 10 // 11
    out = {"mesh": coefficients.from_mesh(shape.pose_free(points, train), train)[0]}
    if (folder / FILES["face-landmarker"]).is_file():
        table, _ = blendshapes.detect(folder / FILES["face-landmarker"], pictures)
        out["ARKit"] = coefficients.from_blendshapes(table, train)[0]
    return out


def on_openface(folder: Path, sample: Path) -> dict[str, Any]:
    """Correlation of the measured units with OpenFace's on the Obama sample."""
    pictures = video(sample / "obama_256.mp4")
    points, train = meshes(pictures), len(pictures) * 10 // 11
    openface = pd.read_csv(sample / "au.csv", skipinitialspace=True).iloc[: len(pictures)]
    tables = {"mesh": units.measured(shape.pose_free(points, train), train)}
    arkit = sources(folder, pictures, points).get("ARKit")
    if arkit:
        table = units.from_blendshapes(arkit.expression, arkit.eyelid, train)
        brows = arkit.expression[:, blendshapes.NAMES.index("browInnerUp")]  # the blinks, left out, come after it
        tables["ARKit"] = table.assign(
            AU01_r=brows, AU26_r=arkit.jaw[:, 0]
        )  # for comparison: the step doesn't use them
    return {k: {unit: correlation(t[unit], openface[unit]) for unit in t} for k, t in tables.items()}


def on_real(folder: Path, clips: list[Path], every: int) -> dict[str, Any]:
    """IoU of the offline parsers with the tflite one: agreement, since there is no truth."""
    out: dict[str, Any] = {}
    choices = candidates(folder)
    reference = choices.pop("tflite", None)
    for clip in clips if reference else []:
        pictures = video(clip)
        points = meshes(pictures)
        wanted = dict(parsed(loaded(reference, pictures, points), pictures, points, every))
        out[clip.stem] = {
            label: ious(
                [(got, wanted[i]) for i, got in parsed(loaded(choice, pictures, points), pictures, points, every)]
            )
            for label, choice in choices.items()
        }
    return out


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """A Markdown table."""
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    print(f"\n| {title} | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for label, row in table.items():
        cells = ("–" if not np.isfinite(row.get(c, np.nan)) else f"{row[c]:.2f}" for c in columns)
        print(f"| {label} | " + " | ".join(cells) + " |")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--subjects", default="ada,ben")
    options.add_argument("--weights", type=Path, default=weights.get("face-parser").path.parent)
    options.add_argument("--data", type=Path, help="folder with real/ and obama_sample/")
    options.add_argument("--every", type=int, default=10, help="every so many-th frame is parsed")
    given = options.parse_args()
    for name in given.subjects.split(","):
        found = on_truth(name, given.weights, given.every)
        show(f"{name}: IoU with the truth", found["IoU"])
        show(f"{name}: flicker, % of pixels", found["flicker"])
        show(f"{name}: correlation with the truth", found["correlation"])
    if given.data:
        sample = given.data / "obama_sample"
        clips = [*sorted((given.data / "real").glob("*.mp4")), sample / "obama_256.mp4"]
        for clip, rows in on_real(given.weights, clips, given.every).items():
            show(f"{clip}: IoU with tflite", rows)
        show("Obama: correlation with OpenFace", on_openface(given.weights, sample))


if __name__ == "__main__":
    main()
