"""What each pass trains: the lock-release table as data (Foundation X, section 3; design, lock plan).

Frozen means frozen: no gradient, evaluation mode (no drop path, no BatchNorm drift), no optimiser step.
"""

from __future__ import annotations

from torch import nn

from fxcore.models.foundation import FoundationX
from fxcore.params.training import Rates
from fxcore.passes import Mode, Pass, Task

LOCK_PLAN: dict[tuple[Task, Mode], tuple[str, ...]] = {
    (Task.CLASSIFICATION, Mode.LOCK): ("classification_heads.{dataset}",),
    (Task.CLASSIFICATION, Mode.RELEASE): (
        "backbone.body",
        "backbone.norm",
        "projector",
        "classification_heads.{dataset}",
    ),
    (Task.LOCALIZATION, Mode.LOCK): ("queries", "decoders.{decoder}", "localization_heads.{dataset}"),
    (Task.LOCALIZATION, Mode.RELEASE): (
        "backbone.body",
        "backbone.norms",
        "localization_encoder",
        "queries",
        "decoders.{decoder}",
        "localization_heads.{dataset}",
    ),
    (Task.SEGMENTATION, Mode.LOCK): ("segmentation_heads.{dataset}",),
    (Task.SEGMENTATION, Mode.RELEASE): ("backbone.body", "segmentation_decoder", "segmentation_heads.{dataset}"),
}
"""Modules that a task's pass trains in a mode; everything else is frozen."""

SHARED_DECODER: dict[tuple[Task, Mode], tuple[str, ...]] = {
    (Task.LOCALIZATION, Mode.LOCK): ("localization_heads.{dataset}",),
}
"""What is other where one decoder serves all datasets (Foundation X+): what is shared stands still in lock mode."""

GROUPS: dict[str, tuple[str, ...]] = {
    "backbone": ("backbone", "projector"),
    "classification_head": ("classification_heads",),
    "encoder": ("localization_encoder",),
    "decoder": ("queries", "decoders", "localization_heads"),
    "segmentation_decoder": ("segmentation_decoder",),
    "segmentation_head": ("segmentation_heads",),
}
"""Modules of each parameter group; the groups have a base learning rate each, `pretrain.rates`."""


def trained(one: Pass, decoder: str = "own") -> tuple[str, ...]:
    """Names of the modules that a pass trains, with a `decoder` for each dataset ("own") or one for all ("shared")."""
    shared = decoder == "shared"
    plan = LOCK_PLAN | SHARED_DECODER if shared else LOCK_PLAN
    which = "shared" if shared else one.dataset
    return tuple(name.format(dataset=one.dataset, decoder=which) for name in plan[one.task, one.mode])


def apply(model: FoundationX, one: Pass) -> list[nn.Parameter]:
    """Freeze everything but what the pass trains, and return its parameters.

    Raises:
        AttributeError: the model lacks a module that the pass should train.
    """
    model.eval().requires_grad_(False)
    modules = [model.get_submodule(name) for name in trained(one, model.sizes.localization.decoder)]
    for module in modules:
        module.train().requires_grad_(True)
    return [parameter for module in modules for parameter in module.parameters()]


def parameter_groups(model: FoundationX, rates: Rates) -> list[dict[str, object]]:
    """AdamW's groups in the order of `GROUPS`, each with its base rate as `lr` and `base`; groups without parameters are left out.

    Raises:
        ValueError: a parameter is in no group.
    """
    groups: list[dict[str, object]] = []
    left = dict(model.named_parameters())
    for group, modules in GROUPS.items():
        names = [name for name in left if name.partition(".")[0] in modules]
        rate = getattr(rates, group)
        if names:
            groups.append({"params": [left.pop(name) for name in names], "lr": rate, "base": rate, "name": group})
    if left:
        raise ValueError(f"{next(iter(left))} is in no parameter group")
    return groups
