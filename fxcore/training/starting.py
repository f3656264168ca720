"""Starting from weights that exist: of another run, or imported. What both networks have is taken, what is new is drawn."""

from __future__ import annotations

from pathlib import Path

from fxcore.errors import InputError
from fxcore.models.foundation import FoundationX
from fxcore.params.training import Start
from fxcore.tensorfile import read


def start(network: FoundationX, how: Start) -> str:
    """Give `network` the tensors that the file has for it; a line that says how many, and which parts are drawn anew.

    Raises:
        InputError: the file is missing or is another one, or a tensor of both has another shape.
    """
    tensors, facts = read(Path(how.file))
    if facts.get("sha256") != how.sha256:
        raise InputError(
            f"{how.file}: its tensors have the SHA-256 {facts.get('sha256')}; the run starts from {how.sha256}; name the right"
            " file, or give its checksum under train.start.sha256"
        )
    own = network.state_dict()
    common = {name: value for name, value in tensors.items() if name in own}
    if wrong := next((name for name, value in common.items() if value.shape != own[name].shape), None):
        raise InputError(
            f"{how.file}: {wrong} has shape {tuple(common[wrong].shape)}; the run's network has {tuple(own[wrong].shape)}; give"
            " the model block that the file's card names, and the classes that it has for the dataset"
        )
    network.load_state_dict({**own, **common})
    drawn = sorted({".".join(name.split(".")[:2]) for name in own if name not in common})
    return (
        f"started from {how.file}: {len(common)} tensors taken, {len(tensors) - len(common)} of heads that the run does not"
        f" have; drawn: {', '.join(drawn) or 'nothing'}"
    )
