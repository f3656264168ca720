"""Starting from weights that exist: of another run, or imported. What both networks have is taken, what is new is drawn."""

from __future__ import annotations

import logging
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from fxcore.errors import InputError
from fxcore.files import read_json
from fxcore.models.foundation import FoundationX
from fxcore.params.training import Start, Starting
from fxcore.slices.train import Origin
from fxcore.tensorfile import digest, read
from fxcore.training.keep import Kept
from fxcore.training.state import load

log = logging.getLogger(__name__)


Candidates = list[dict[str, Any]]
"""States that validation chose among: cycle, branch, dataset, task and value of each."""


def best(candidates: Candidates) -> tuple[int, str]:
    """Cycle and branch of the highest mean validation metric over the heads, the teacher before the student, then the later cycle.

    A head without a value counts for nothing.
    """
    values: dict[tuple[int, str], list[float]] = {}
    for one in candidates:
        values.setdefault((one["cycle"], one["branch"]), []).extend([one["value"]] if one["value"] is not None else [])
    teachers = {key: of for key, of in values.items() if key[1] == "teacher"} or values
    return max(teachers, key=lambda key: (fmean(teachers[key] or [0.0]), key[0]))


def chosen(choice: Path) -> tuple[dict[str, Any], int, str]:
    """What `score` wrote of a run, and the cycle and branch that stand for the whole of it.

    Raises:
        InputError: it is not readable.
    """
    facts = read_json(choice)
    return facts, *best(facts["candidates"])


def weights(origin: Origin) -> tuple[dict[str, Tensor], str]:
    """The tensors of a network to start from, by name, and their checksum.

    Raises:
        InputError: they are missing or damaged.
    """
    if origin.choice is None:
        tensors, facts = read(origin.weights)
        return tensors, str(facts.get("sha256"))
    _, cycle, branch = chosen(origin.choice)
    tensors = load(Kept.open(origin.weights).weights[cycle]).part(branch)
    return tensors, digest(tensors)


def start(network: FoundationX, how: Starting, origin: Origin) -> str:
    """Give `network` the tensors that `origin` has for it; say in the log how many, and which parts are drawn anew.

    Returns:
        the checksum of the tensors.

    Raises:
        InputError: they are missing or others than the run's parameters say, or a tensor of both has another shape.
    """
    tensors, found = weights(origin)
    file = origin.weights
    if isinstance(how, Start) and found != how.sha256:
        raise InputError(
            f"{file}: its tensors have the SHA-256 {found}; the run starts from {how.sha256}; name the right"
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
    return found
