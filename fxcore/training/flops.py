"""What training a network computes and what its states weigh, found from shapes alone: no data, no memory, no device.

Operations are those of matrix products and convolutions, a multiplication and an addition counting as two. They are counted by
running the network on PyTorch's meta device, where tensors have shapes and no numbers. Not counted: norms, activations, the
sampling of deformable attention, losses, matching, clipping and the optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fxcore.data.targets import Target
from fxcore.models.foundation import FoundationX, Localization, Prediction
from fxcore.passes import Mode, Pass, Task
from fxcore.slices.train import TrainSlice
from fxcore.training import locking

META = torch.device("meta")


class Shapes:
    """A run's network without its numbers."""

    def __init__(self, slice_: TrainSlice, heads: Mapping[str, Mapping[Task, int]]) -> None:
        """`heads`: dataset → task → number of classes."""
        self.sizes = slice_.model
        with META:
            self.model = FoundationX(slice_.model, heads, slice_.seed)
            self.image = torch.empty(1, 1, self.sizes.image_size, self.sizes.image_size)

    def update(self, one: Pass) -> int:
        """Operations an image of a pass: the student forward, and backward as far as the pass trains it."""
        locking.apply(self.model, one)

        def way() -> None:
            """One image with one box, which draws as many noisy queries as any number of boxes, give or take a few."""
            target = Target(torch.zeros(1, dtype=torch.long), torch.zeros(1, 4))
            noise = self.model.noise([target], one.dataset) if one.task is Task.LOCALIZATION else None
            locked = one.mode is Mode.LOCK
            _, found = self.model(self.image, one.dataset, one.task, noise=noise, locked=locked)
            torch.stack([part.mean() for part in _learnt(found)]).sum().backward()

        counted = _counted(way)
        self.model.zero_grad(set_to_none=True)
        return counted

    def trunk(self, task: Task) -> int:
        """Operations an image of the teacher, which a release pass compares its student with: the trunk forward."""

        @torch.no_grad()
        def way() -> None:
            """A forward without a graph."""
            self.model.eval().trunk(self.image, task)

        return _counted(way)

    @property
    def weights(self) -> int:
        """Bytes of one branch in a training state."""
        return sum(map(_bytes, self.model.state_dict().values()))

    def moments(self, of: Iterable[Pass]) -> int:
        """Bytes of the optimiser after some passes: two moments of every parameter they train, and a count of its steps."""
        decoder = self.sizes.localization.decoder
        modules = {name for one in of for name in locking.trained(one, decoder)}
        trained = {name: self.model.get_submodule(name) for name in modules}
        parameters = {id(value): value for module in trained.values() for value in module.parameters()}
        return sum(2 * _bytes(value) + torch.float32.itemsize for value in parameters.values())


def _counted(way: Callable[[], object]) -> int:
    # The fused kinds of attention hide their products from the counter.
    with META, FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        way()
    return counter.get_total_flops()


def _learnt(found: Prediction) -> tuple[Tensor, ...]:
    """What the task's loss asks gradients of."""
    if isinstance(found, Localization):
        return found.decoded.logits, found.decoded.boxes, found.proposals.logits, found.proposals.boxes
    return (found.logits,)


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()
