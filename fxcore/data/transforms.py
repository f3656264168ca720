"""Random changes of training images; geometry is shared by image, boxes and masks."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

from fxcore.params.model import Model
from fxcore.params.training import Augmentation
from fxcore.passes import Task

_BILINEAR = v2.InterpolationMode.BILINEAR
MIN_BOX = 1.0
"""Boxes that augmentation leaves smaller than this, in input pixels, are dropped."""


def training(task: Task, size: int, how: Augmentation, mirror: bool) -> v2.Compose:
    """Augment to (1, size, size) uint8: crop and resize, mirror, affine, brightness and contrast, in this order."""
    steps: list[torch.nn.Module] = []
    if how.crop < 1:
        steps.append(v2.RandomResizedCrop(size, scale=(how.crop, 1.0), interpolation=_BILINEAR, antialias=True))
    else:
        steps.append(v2.Resize((size, size), interpolation=_BILINEAR, antialias=True))
    if mirror and how.flip > 0:
        steps.append(v2.RandomHorizontalFlip(how.flip))
    if how.rotate or how.shift or how.zoom:
        shift = (how.shift, how.shift) if how.shift else None
        zoom = (1 - how.zoom, 1 + how.zoom) if how.zoom else None
        steps.append(v2.RandomAffine(how.rotate, shift, zoom, interpolation=_BILINEAR))
    if how.brightness or how.contrast:
        steps.append(v2.ColorJitter(how.brightness, how.contrast))
    if task is Task.LOCALIZATION:
        steps += [v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(MIN_BOX)]
    return v2.Compose(steps)


def plain(size: int) -> v2.Compose:
    """Resize to (1, size, size) and change nothing else: validation and test."""
    return v2.Compose([v2.Resize((size, size), interpolation=_BILINEAR, antialias=True)])


def normalise(images: Tensor, model: Model) -> Tensor:
    """Grey uint8 images as floats of the network's mean and spread, same shape."""
    return (images.float() / 255 - model.mean) / model.std
