"""What a frozen backbone makes of labelled images: the features that heads are trained on (CXR-LT spec, heads)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from fxcore.cxrlt.vit import VisionNetwork
from fxcore.data.loaders import one_thread
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.files import snakemake
from fxcore.params.cxrlt import Fit, Vit
from fxcore.seeding import seed_torch
from fxcore.slices.cxrlt import SslSlice
from fxcore.tensorfile import part, read
from fxcore.training import runtime

Key = tuple[int, int, int]
"""Number of the store, row, and a seed; the seed -1 takes the image as it is."""
PLAIN = -1


def frozen(path: Path, blocks: int) -> Frozen:
    """The teacher of a stage, for features of the last `blocks`.

    Raises:
        InputError: the file is no stage of a backbone.
    """
    tensors, facts = read(path)
    try:
        slice_ = SslSlice.model_validate(facts["provenance"]["params"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: is no backbone; make it again with: {snakemake('--', str(path))}") from error
    network = VisionNetwork(slice_.vit, slice_.stage.resolution)
    network.load_state_dict(part(tensors, "teacher.backbone"))
    return Frozen(network.eval().requires_grad_(False), slice_.vit, slice_.stage.resolution, blocks)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A backbone that is not trained, at one resolution."""

    network: VisionNetwork
    vit: Vit
    resolution: int
    blocks: int

    @property
    def width(self) -> int:
        """Channels of a feature: those of the last blocks side by side."""
        return self.blocks * self.vit.width

    def __call__(self, images: Tensor, precision: str) -> tuple[Tensor, Tensor]:
        """Images (B, 1, S, S) in 0..1 → [CLS] (B, width), float32, and patches (B, N, width); registers are dropped.

        Patches are in the precision named, since they are the most that heads hold.
        """
        with torch.no_grad(), runtime.autocast(precision, images.device):
            tokens = torch.cat(self.network.features(images, self.blocks), dim=-1)
        return tokens[:, 0].float(), tokens[:, self.network.prefix :].to(runtime.kind(precision))


class LabelledImages(Dataset[Tensor]):
    """Images of several stores as heads see them, indexed by (store, row, seed)."""

    def __init__(self, stores: Sequence[Store], side: int, how: Fit) -> None:
        self.stores, self.rescale = stores, how.rescale
        bicubic = {"interpolation": v2.InterpolationMode.BICUBIC, "antialias": True}
        self.plain = v2.Resize((side, side), **bicubic)
        self.random = v2.Compose(
            [v2.RandomResizedCrop(side, scale=(how.crop, 1.0), **bicubic), v2.RandomHorizontalFlip(how.flip)]
        )

    def __getitem__(self, key: Key) -> Tensor:
        store, row, seed = key
        picture = torch.from_numpy(self.stores[store].image(row))[None]
        if seed == PLAIN:
            return self._stretched(self.plain(picture))
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            return self._stretched(self.random(picture))

    def _stretched(self, picture: Tensor) -> Tensor:
        """Grey uint8 → 0..1, the darkest pixel at 0 and the brightest at 1; a picture of one value as it is."""
        low, high = (int(of) for of in picture.aminmax())
        if not self.rescale or low == high:
            return picture.float() / 255
        return (picture.float() - low) / (high - low)


def loaded(
    images: LabelledImages, batches: Sequence[list[Key]], workers: int, device: torch.device
) -> Iterator[Tensor]:
    """The given batches, in order, on the device: (B, 1, S, S) in 0..1."""
    loader: DataLoader[Tensor] = DataLoader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=one_thread if workers else None,
        generator=torch.Generator(),
    )
    for batch in loader:
        yield batch.to(device, non_blocking=True)
