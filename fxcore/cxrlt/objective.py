"""The losses of self-supervision: DINO on [CLS], iBOT on masked patches, KoLeo (DINOv2; CXR-LT spec, losses)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.functional import normalize
from torch.nn.utils.parametrizations import weight_norm

from fxcore.cxrlt.prototypes import cross_entropy, sinkhorn
from fxcore.cxrlt.vit import VisionNetwork
from fxcore.params.cxrlt import Projection, SelfSupervision
from fxcore.params.cxrlt import Vit as Sizes
from fxcore.training.parallel import ALONE, Group

GLOBALS = 2
"""Global crops an image."""
_TINY = 1e-8


class Projector(nn.Module):
    """From tokens to the unit sphere, and the directions there: DINO's head."""

    def __init__(self, width: int, channels: int, how: Projection) -> None:
        """`channels` of the sphere."""
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, how.hidden),
            nn.GELU(),
            nn.Linear(how.hidden, how.hidden),
            nn.GELU(),
            nn.Linear(how.hidden, channels),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = weight_norm(nn.Linear(channels, how.prototypes, bias=False))
        with torch.no_grad():
            self.prototypes.parametrizations.weight.original0.fill_(1.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, width) → (N, channels) on the unit sphere, in the precision of the tokens; normalised in float32."""
        made = self.mlp(tokens)
        return normalize(made.float(), dim=-1, eps=1e-6).to(made.dtype)

    @property
    def directions(self) -> Tensor:
        """Prototypes (K, channels); logits are their products with the sphere's points."""
        found: Tensor = self.prototypes.weight
        return found


@dataclass(frozen=True, slots=True)
class Seen:
    """What a network makes of the crops it is given.

    `cls` (crops, width) and their points on the sphere `points`, global crops first; `patches`, points of the masked patches;
    the prototypes of both heads.
    """

    cls: Tensor
    points: Tensor
    patches: Tensor
    dino: Tensor
    ibot: Tensor


class Learner(nn.Module):
    """A backbone with the two heads of self-supervision; student and teacher are one each."""

    def __init__(self, sizes: Sizes, resolution: int, how: SelfSupervision) -> None:
        super().__init__()
        self.backbone = VisionNetwork(sizes, resolution, checkpointing=how.checkpointing)
        self.dino = Projector(sizes.width, how.projection.dino, how.projection)
        self.ibot = Projector(sizes.width, how.projection.ibot, how.projection)

    def forward(self, globals_: Tensor, locals_: Tensor | None, masked: Tensor) -> tuple[Tensor, ...]:
        """Crops in 0..1, (2B, 1, G, G) and (LB, 1, L, L) or none; `masked` (2B, patches) → the fields of `Seen`.

        With local crops it is the student: it does not see the masked patches. Without them, the teacher: it sees them all.
        """
        crops = [(globals_, None)] if locals_ is None else [(globals_, masked), (locals_, None)]
        tokens = self.backbone(crops)
        cls = torch.cat([one[:, 0] for one in tokens])
        points, patches = self.dino(cls), self.ibot(tokens[0][:, self.backbone.prefix :][masked])
        return cls, points, patches, *(one.directions.to(points.dtype) for one in (self.dino, self.ibot))


def koleo(cls: Tensor, group: Group = ALONE) -> Tensor:
    """Mean of -log of the distance to the nearest other row, on the unit sphere, float32: (B, width) → scalar.

    The nearest is looked for among the rows of all processes; 0 where there is no other. Source: Sablayrolles et al. 2019.
    """
    rows = normalize(cls.float(), dim=-1, eps=_TINY)
    whole = rows if group.size == 1 else torch.cat(all_gather(rows))
    if len(whole) < 2:
        return rows.sum() * 0
    with torch.no_grad():
        near = rows @ whole.T
        own = torch.arange(len(rows), device=rows.device)
        near[own, own + group.rank * len(rows)] = -2.0
        nearest = near.argmax(dim=1)
    return -torch.log((rows - whole[nearest]).norm(dim=1) + _TINY).mean()


def cls_pairs(images: int, locals_: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which of the teacher's rows each [CLS] of the student is held against, and how much it counts.

    Crops lie crop by crop: global 1 of all images, global 2, local 1, … A local crop is held against both global ones, a global
    crop against the other. Each pair is a mean over images, and the sum is divided by the number of pairs, 2 · locals + 2.
    """
    own = torch.arange(images, device=device)
    crossed = torch.stack([torch.cat([own + images, own]), torch.cat([own, own])], dim=1)
    both = torch.stack([own, own + images], dim=1).repeat(locals_, 1)
    ones = torch.tensor([[1.0, 0.0]], device=device).expand(GLOBALS * images, 2)
    weights = torch.cat([ones, torch.ones(len(both), 2, device=device)])
    return torch.cat([crossed, both]), weights / (images * (GLOBALS * locals_ + GLOBALS))


def patch_weights(masked: Tensor) -> Tensor:
    """How much each masked patch counts, (patches, 1): 1 by the number in its crop, by the number of all global crops, masked or not."""
    number = masked.sum(dim=1)
    return (1 / number.clamp(min=1))[:, None].expand_as(masked)[masked][:, None] / len(masked)


def losses(
    student: Seen, teacher: Seen, masked: Tensor, how: SelfSupervision, temperature: float, group: Group = ALONE
) -> dict[str, Tensor]:
    """The weighted terms of a batch, each a scalar; gradients of the processes are averaged, so each is a mean of its own crops.

    Args:
        student: of masked global and of local crops.
        teacher: of the same global crops, whole; without gradients.
        masked: (2B, patches), of the global crops.
        how: weights, temperatures, prototypes at a time.
        temperature: of the teacher now.
        group: processes whose teachers' assignments are balanced together.
    """
    chunk, device = how.projection.chunk, student.cls.device
    images = len(masked) // GLOBALS
    assigned = sinkhorn(teacher.points, teacher.dino, temperature, how.sinkhorn, chunk, group)
    index, weights = cls_pairs(images, len(student.points) // images - GLOBALS, device)
    found = {
        "dino": cross_entropy(student.points, student.dino, how.student_temperature, assigned, index, weights, chunk)
    }
    found["ibot"] = _patches(student, teacher, masked, how, temperature, group)
    first, second = student.cls[: len(masked)].chunk(GLOBALS)
    found["koleo"] = koleo(first, group) + koleo(second, group)
    factors = {"dino": how.dino, "ibot": how.ibot, "koleo": how.koleo}
    return {name: factors[name] * value for name, value in found.items()}


def _patches(
    student: Seen, teacher: Seen, masked: Tensor, how: SelfSupervision, temperature: float, group: Group
) -> Tensor:
    number = len(student.patches)
    if group.sum(torch.tensor(float(number), device=masked.device)) == 0:
        return (student.ibot.sum() + student.patches.sum()) * 0
    assigned = sinkhorn(teacher.patches, teacher.ibot, temperature, how.sinkhorn, how.projection.chunk, group)
    index = torch.arange(number, device=masked.device)[:, None]
    return cross_entropy(
        student.patches,
        student.ibot,
        how.student_temperature,
        assigned,
        index,
        patch_weights(masked),
        how.projection.chunk,
    )
