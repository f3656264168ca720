"""Starting from weights that exist: of another run, or imported. What both networks have is taken, what is new is drawn."""

from __future__ import annotations

import logging
from pathlib import Path

from fxcore.errors import InputError
from fxcore.models.foundation import FoundationX
from fxcore.params.training import Start, Starting
from fxcore.tensorfile import read

log = logging.getLogger(__name__)


def start(network: FoundationX, how: Starting, file: Path) -> str:
    """Give `network` the tensors that `file` has for it; say in the log how many, and which parts are drawn anew.

    Returns:
        the checksum of the file's tensors.

    Raises:
        InputError: the file is missing or is another one, or a tensor of both has another shape.
    """
    tensors, facts = read(file)
    digest = str(facts.get("sha256"))
    if isinstance(how, Start) and digest != how.sha256:
        raise InputError(
            f"{file}: its tensors have the SHA-256 {digest}; the run starts from {how.sha256}; name the right"
            " file, or give its checksum under train.start.sha256"
        )
    own = network.state_dict()
    common = {name: value for name, value in tensors.items() if name in own}
    if wrong := next((name for name, value in common.items() if value.shape != own[name].shape), None):
        raise InputError(
            f"{file}: {wrong} has shape {tuple(common[wrong].shape)}; the run's network has {tuple(own[wrong].shape)}; give"
            " the model block that the file's card names, and the classes that it has for the dataset"
        )
    network.load_state_dict({**own, **common})
    drawn = sorted({".".join(name.split(".")[:2]) for name in own if name not in common})
    log.info(
        "started from %s: %d tensors taken, %d of heads that the run does not have; drawn: %s",
        file,
        len(common),
        len(tensors) - len(common),
        ", ".join(drawn) or "nothing",
    )
    return digest
