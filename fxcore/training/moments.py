"""What an optimiser remembers, by the names of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Moments and step counts as `<moment>.<parameter>`; only of parameters that were ever stepped."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{moment}.{names[parameter]}": value
        for parameter, of in optimizer.state.items()
        for moment, value in of.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser without state the moments of `optimizer_tensors`, on each parameter's device."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        moment, _, name = key.partition(".")
        parameter = parameters[name]
        like = parameter if value.shape == parameter.shape else value  # a moment lies in memory as its parameter does
        optimizer.state[parameter][moment] = torch.empty_like(like, device=parameter.device).copy_(value)
