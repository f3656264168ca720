"""A backbone that starts from released weights: what the file has is taken, heads that it has not are drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from fxcore.cxrlt.objective import Learner
from fxcore.cxrlt.released import SIZES, BackboneCard, read
from fxcore.cxrlt.vit import resampled
from fxcore.errors import InputError
from fxcore.slices.cxrlt import SslSlice

log = logging.getLogger(__name__)

POSITIONS = "backbone.net.pos_embed"


def start(networks: Iterable[Learner], slice_: SslSlice, file: Path) -> str:
    """Give student and teacher, drawn alike, the teacher of a file; say in the log what was taken and what is drawn.

    Position embeddings are resampled to the stage's grid. A head of self-supervision is taken whole or not at all.

    Returns:
        the checksum of the tensors.

    Raises:
        InputError: the file is no backbone, has another checksum than the parameters, or is of other sizes.
    """
    tensors, card, found = read(file, BackboneCard)
    place = f"cxrlt.backbones.{slice_.backbone}"
    assert slice_.weights is not None
    if found != slice_.weights.sha256:
        raise InputError(
            f"{file}: its tensors have the SHA-256 {found}; {place} starts from {slice_.weights.sha256}; name the right file,"
            f" or give its checksum under {place}.weights.sha256"
        )
    for name in SIZES:
        if (own := getattr(slice_.vit, name)) != (its := getattr(card.vit, name)):
            raise InputError(
                f"{file}: has {name} {its}; {place}.vit.{name} is {own}; give the block vit that its card names"
            )
    taken = {name.removeprefix("teacher."): of for name, of in tensors.items()}
    taken[POSITIONS] = resampled(taken[POSITIONS], slice_.stage.resolution // slice_.vit.patch)
    for network in networks:
        drawn = _fill(network, taken)
    log.info(
        "started from %s, of %d pixels: backbone%s taken; drawn: %s",
        file,
        card.resolution,
        "".join(f", {head}" for head in ("dino", "ibot") if head not in drawn),
        ", ".join(f"{head} ({why})" for head, why in drawn.items()) or "nothing",
    )
    return found


def _fill(network: Learner, tensors: dict[str, Tensor]) -> dict[str, str]:
    """Load what there is; the heads that keep what they are, and why."""
    own = network.state_dict()
    drawn: dict[str, str] = {}
    for head in ("dino", "ibot"):
        names = [name for name in own if name.startswith(f"{head}.")]
        if not all(name in tensors for name in names):
            drawn[head] = "the file has none"
        elif any(tensors[name].shape != own[name].shape for name in names):
            drawn[head] = "the file's is of other sizes than cxrlt.pretrain.projection"
    kept = {name: of for name, of in own.items() if name.partition(".")[0] in drawn}
    network.load_state_dict(
        {**{name: of for name, of in tensors.items() if name.partition(".")[0] not in drawn}, **kept}
    )
    return drawn
