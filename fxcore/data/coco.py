"""COCO JSON files: boxes, and masks in any of their three forms. The images a file lists are the annotated ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pycocotools import mask as coco_mask

from fxcore.data import jsonfile
from fxcore.data.images import MOST_PIXELS
from fxcore.data.records import Box, Mask, Rle, Stated
from fxcore.errors import InputError

MOST_ROUNDS = 100
"""A polygon is no longer than so many times half the way around its image."""


class Annotation(NamedTuple):
    """One annotation: its class, content and place in the file, and what the file states of its image."""

    label: str
    content: dict[str, Any]
    image: Stated
    where: str


class Listed(NamedTuple):
    """One image with its annotations, none of which says that nothing is there."""

    stated: Stated
    annotations: list[Annotation]

    def boxes(self) -> tuple[Box, ...]:
        """The annotations as boxes.

        Raises:
            InputError: an annotation whose `bbox` is not four numbers.
        """
        return tuple(Box(one.label, _xywh(one), one.where) for one in self.annotations)

    def masks(self) -> tuple[Mask, ...]:
        """The annotations as masks.

        Raises:
            InputError: an annotation whose `segmentation` is in none of COCO's forms.
        """
        return tuple(Mask(one.label, _rle(one), one.where) for one in self.annotations)


def read(path: Path, classes: Sequence[str]) -> dict[str, Listed]:
    """The file's images by `file_name`, with annotations whose categories are all among `classes`.

    Raises:
        InputError: anything else.
    """
    content = _content(path)
    try:
        names = {one["id"]: str(one["file_name"]) for one in content["images"]}
        stated = {one["id"]: _stated(one, path) for one in content["images"]}
        categories = {one["id"]: str(one["name"]) for one in content["categories"]}
    except (LookupError, OverflowError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: an image or category lacks {error}; expected id, file_name, height, width and id, name"
        ) from error
    if strange := sorted(set(categories.values()) - set(classes)):
        raise InputError(
            f"{path}: category {strange[0]!r} is in no head; add it to the classes in params or remove it"
            f" (known: {', '.join(classes)})"
        )
    found = {name: Listed(stated[number], []) for number, name in names.items()}
    for number, one in enumerate(content["annotations"]):
        if not isinstance(one, dict):
            raise InputError(f"{path}, annotation {number}: expected image_id, category_id, and bbox or segmentation")
        where = f"{path}, annotation {one.get('id', number)}"
        image, category = one.get("image_id"), one.get("category_id")
        if not isinstance(image, Hashable) or image not in names:
            raise InputError(
                f"{where}: image_id {image} is not among the images; list the image or remove the annotation"
            )
        if not isinstance(category, Hashable) or category not in categories:
            raise InputError(
                f"{where}: category_id {category} is not among the categories; add it or correct the annotation"
            )
        found[names[image]].annotations.append(Annotation(categories[category], one, stated[image], where))
    return found


def _stated(image: dict[str, Any], path: Path) -> Stated:
    """The size of an image, which masks are drawn in before anybody has looked at it."""
    width, height = int(image["width"]), int(image["height"])
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise InputError(
            f"{path}, image {image['id']}: is {width} × {height} pixels; expected the size of a radiograph"
        )
    return Stated(width, height, f"{path}, image {image['id']}")


def _content(path: Path) -> dict[str, Any]:
    content = jsonfile.load(path)
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(key), list) for key in lists):
        raise InputError(f"{path}: expected a COCO file with the lists {', '.join(lists)}")
    return content


def _xywh(annotation: Annotation) -> tuple[float, float, float, float]:
    bbox: Any = annotation.content.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(jsonfile.is_number, bbox)):
        raise InputError(f"{annotation.where}: bbox is {bbox!r}; expected [left, top, width, height]")
    left, top, width, height = map(float, bbox)
    return left, top, width, height


def _rle(annotation: Annotation) -> Rle:
    """Compressed or plain run lengths, or polygons, as compressed run lengths."""
    shape: Any = annotation.content.get("segmentation")
    match shape:
        case {"size": [int(height), int(width)], "counts": str(counts)}:
            return {"size": [height, width], "counts": counts}
        case {"size": [int(height), int(width)], "counts": [*runs]} if _fill(runs, height, width):
            made = coco_mask.frPyObjects(shape, height, width)
        case [*polygons] if polygons and all(_is_polygon(one, annotation.image) for one in polygons):
            image = annotation.image
            made = coco_mask.merge(coco_mask.frPyObjects(polygons, image.height, image.width))
        case _:
            raise InputError(
                f"{annotation.where}: segmentation cannot be read; expected run lengths that fill the image,"
                " or polygons of at least three points"
            )
    return {"size": [int(side) for side in made["size"]], "counts": made["counts"].decode()}


def _fill(runs: list[Any], height: int, width: int) -> bool:
    pixels = height * width if height > 0 and width > 0 else 0
    return 0 < pixels <= MOST_PIXELS and all(type(run) is int and run >= 0 for run in runs) and sum(runs) == pixels


def _is_polygon(points: Any, image: Stated) -> bool:
    if not isinstance(points, list) or not all(map(jsonfile.is_number, points)):
        return False
    # Pycocotools walks along the sides, pixel by pixel.
    steps = sum(abs(one - before) for before, one in zip(points, points[2:] + points[:2], strict=True))
    return len(points) >= 6 and len(points) % 2 == 0 and steps <= MOST_ROUNDS * (image.width + image.height)
