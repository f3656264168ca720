"""What a network says of image files: a JSON and an overlay an image, and a page that shows them all.

An image whose JSON is already there, of the same bytes, weights, heads and options, is not predicted again; the JSON is written last.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from fxcore.complaint import nearest
from fxcore.data import images, rle, transforms
from fxcore.data.radiograph import radiographs, read
from fxcore.errors import InputError
from fxcore.files import read_json, sha256, write_json
from fxcore.models import artifact
from fxcore.models.artifact import Weights
from fxcore.models.foundation import Classification, Localization, Prediction, Segmentation
from fxcore.models.localization.boxes import best
from fxcore.predict import overlay, page
from fxcore.predict.options import Options
from fxcore.progress import Progress

log = logging.getLogger(__name__)

Found = dict[str, Any]
"""What is written of one image."""
PARTS = {"image", "image_sha256", "weights", "heads", "datasets", "synthetic", "overlay"}
"""Of it, those that tell it from other JSON."""


@dataclass(frozen=True, slots=True)
class Job:
    """One image to predict: its file and bytes, and where its results go, without suffix."""

    source: Path
    sha256: str
    output: Path

    @property
    def json(self) -> Path:
        """Its predictions."""
        return self.output.with_name(f"{self.output.name}.json")

    @property
    def overlay(self) -> Path:
        """Its picture."""
        return self.output.with_name(f"{self.output.name}.png")


class Predictor:
    """A network and the heads that are asked."""

    def __init__(
        self, weights: Weights, name: str, datasets: Sequence[str], device: torch.device, how: Options
    ) -> None:
        """`name` of the weights file; `datasets` whose heads are asked, all where there is none.

        Raises:
            InputError: the network has no head of such a dataset, or no heads at all.
        """
        data = weights.card.data
        if unknown := [key for key in datasets if key not in data]:
            raise InputError(f"--datasets {unknown[0]}: {name} has no such heads; {nearest(unknown[0], data)}")
        if not data:
            raise InputError(f"{name}: is a part of a network without heads; it can start a training, not predict")
        self.card, self.device, self.how = weights.card, device, how
        self.model = weights.model.to(device)
        self.datasets = list(datasets) or list(data)
        options = {"detections": how.detections, "threshold": how.threshold}
        self.made_by = {"weights": {"file": name, "sha256": weights.sha256}, "heads": self.datasets, **options}

    def prepare(self, picture: NDArray[np.uint8]) -> Tensor:
        """The picture as the network was trained on: (1, image_size, image_size), grey 0..255."""
        size = self.card.model.image_size
        square = torch.from_numpy(images.resize(picture, self.card.store_size or size).copy())[None]
        return transforms.plain(size)(square)

    def predict(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Found]:
        """What all heads say of some pictures, in their own pixels; one pass through the backbone."""
        found: list[Found] = [{} for _ in pictures]
        with torch.inference_mode():
            inputs = torch.stack([self.prepare(one) for one in pictures]).to(self.device)
            normalised = transforms.normalise(inputs, self.card.model)
            for name, task, said in self.model.everything(normalised, self.datasets):
                classes = self.card.data[name].classes[task]
                for at, (of_image, picture) in enumerate(zip(found, pictures, strict=True)):
                    entry = of_image.setdefault(name, {"title": self.card.data[name].title})
                    entry[task] = self._said(said, at, classes, (picture.shape[0], picture.shape[1]))
        return found

    def _said(self, said: Prediction, at: int, classes: tuple[str, ...], size: tuple[int, int]) -> Any:
        match said:
            case Classification(logits=logits):
                scores = logits[at].float().sigmoid().tolist()
                return {label: round(score, 6) for label, score in zip(classes, scores, strict=True)}
            case Localization(logits=logits, boxes=boxes):
                return list(_boxes(logits[at], boxes[at], classes, size, self.how.detections))
            case Segmentation(logits=logits):
                large = interpolate(logits[at : at + 1].float(), size=size, mode="bilinear", align_corners=False)
                masks = (large[0] > 0).cpu().numpy()
                return {label: rle.encode(mask) for label, mask in zip(classes, masks, strict=True)}

    def describe(self, job: Job, picture: NDArray[np.uint8], heads: Mapping[str, Any]) -> Found:
        """What is written of an image."""
        height, width = picture.shape
        return {
            "image": job.source.name,
            "image_sha256": job.sha256,
            "width": width,
            "height": height,
            "synthetic": any(one.synthetic for one in self.card.data.values()),
            "overlay": job.overlay.name,
            "datasets": heads,
            **self.made_by,
        }

    def done(self, job: Job) -> Found | None:
        """What an earlier call wrote of the same bytes with the same weights, heads and options."""
        try:
            found: Found = read_json(job.json)
        except InputError:
            return None
        same = found.get("image_sha256") == job.sha256 and all(found.get(key) == of for key, of in self.made_by.items())
        return found if same and job.overlay.exists() else None


def _boxes(
    logits: Tensor, boxes: Tensor, classes: tuple[str, ...], size: tuple[int, int], most: int
) -> Iterator[dict[str, Any]]:
    """Boxes in pixels as x, y, width, height, the highest score first."""
    scores, labels, corners = (one[0].cpu() for one in best(logits[None], boxes[None], most))
    height, width = size
    pixels = (corners * torch.tensor([width, height, width, height])).tolist()
    for score, label, (left, top, right, bottom) in zip(scores.tolist(), labels.tolist(), pixels, strict=True):
        box = [round(value, 2) for value in (left, top, right - left, bottom - top)]
        yield {"label": classes[label], "score": round(score, 6), "box": box}


def jobs(paths: Sequence[Path], output: Path) -> list[Job]:
    """The images of some files and folders, each with a name of its own below `output`.

    Raises:
        InputError: there is no image, a name is no text, or two would have one name.
    """
    files = radiographs(paths)
    if odd := next((path for path in files if any("\ud800" <= one <= "\udfff" for one in path.name)), None):
        raise InputError(f"{odd}: its name is no text in UTF-8, and results are; rename it")
    stems = [path.stem for path in files]
    names = [path.stem if stems.count(path.stem) == 1 else path.name.replace(".", "_") for path in files]
    if twice := next((at for at, name in enumerate(names) if name in names[:at]), None):
        first = files[names.index(names[twice])]
        raise InputError(f"{files[twice]}: has the same name as {first}; predict them into two folders with --out")
    return [Job(path, sha256(path), output / name) for path, name in zip(files, names, strict=True)]


def predict(
    paths: Sequence[Path], weights: Path, datasets: Sequence[str], output: Path, device: torch.device, how: Options
) -> str:
    """Predict image files and write a JSON and an overlay for each, and the page; a line that says so.

    Raises:
        InputError: nothing can be predicted; or, after all others are written, that some images were refused.
    """
    wanted = jobs(paths, output)
    predictor = Predictor(artifact.read(weights), weights.name, datasets, device, how)
    found = {job: done for job in wanted if (done := predictor.done(job))}
    left = [job for job in wanted if job not in found]
    progress = Progress("predict", len(left), "images")
    refused: list[str] = []
    for some in (left[at : at + how.batch] for at in range(0, len(left), how.batch)):
        pictures: dict[Job, NDArray[np.uint8]] = {}
        for job in some:
            try:
                pictures[job] = read(job.source)
            except InputError as error:
                refused.append(str(error))
        if pictures:
            found |= _write(predictor, pictures)
        progress.advance(len(some))
    if found:
        page.write(output, [*(found[job] for job in wanted if job in found), *_others(output, wanted)], how.threshold)
    if refused:
        for line in refused[1:]:
            log.warning("%s", line)
        rest = f"; {len(refused)} of {len(wanted)} images were refused, the others are done" if len(wanted) > 1 else ""
        raise InputError(f"{refused[0]}{rest}")
    return f"{page.images(len(wanted))} ({len(wanted) - len(left)} there already): {output / 'index.html'}"


def _others(output: Path, wanted: Sequence[Job]) -> Iterator[Found]:
    """What earlier calls wrote into a folder of images that this one was not asked for, by name."""
    mine = {job.json for job in wanted}
    for path in sorted(output.glob("*.json")):
        if path in mine:
            continue
        with suppress(InputError):  # damaged, or somebody else's: it is asked for again, or never was ours
            found = read_json(path)
            if found.keys() >= PARTS and (output / found["overlay"]).exists():
                yield found


def _write(predictor: Predictor, pictures: Mapping[Job, NDArray[np.uint8]]) -> dict[Job, Found]:
    """Overlays, and after each its JSON, so that what is half done is done again."""
    found: dict[Job, Found] = {}
    for (job, picture), heads in zip(pictures.items(), predictor.predict(list(pictures.values())), strict=True):
        found[job] = predictor.describe(job, picture, heads)
        overlay.draw(picture, found[job], job.overlay, predictor.how.threshold)
        write_json(job.json, found[job])
    return found
