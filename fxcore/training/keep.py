"""What is kept of a run: the weights after every cycle, snapshots and histories, and the optimiser to continue with.

DVC empties a stage's outputs before it runs, and states are made one after another. So DVC knows this copy (hard links where
the file system has them) and never the checkpoints themselves: what is brought back into the copy is brought back to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fxcore import paths
from fxcore.errors import InputError
from fxcore.files import atomic_folder, link, read_json, sha256, snakemake, unsealed, write_json
from fxcore.passes import Stage
from fxcore.slices.train import KeepSlice, TrainSlice


@dataclass(frozen=True, slots=True)
class Kept:
    """The kept files of a run, by their paths below its folder of checkpoints."""

    folder: Path
    provenance: Mapping[str, Any]
    files: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> Kept:
        """What a folder says it holds.

        Raises:
            InputError: it has no readable manifest.
        """
        content = read_json(folder / paths.MANIFEST)
        return cls(folder, content["provenance"], tuple(content["files"]))

    @property
    def weights(self) -> dict[int, Path]:
        """Student and teacher by the number of cycles done, in the order of training."""
        names = [name for name in self.files if "/" not in name]
        return dict(sorted((int(Path(name).stem.removeprefix("cycle_")), self.folder / name) for name in names))

    @property
    def snapshots(self) -> list[Path]:
        """Teachers copied along the way."""
        return [self.folder / name for name in self.files if name.startswith("snapshots/")]


def worth_keeping(stages: Sequence[Stage], every: int, checkpoints: Path) -> list[Path]:
    """Of a run's stages: all snapshots and histories, the weights of every `every`-th cycle and the last, and the last optimiser."""
    files = [(stage, paths.stage(checkpoints, stage.name)) for stage in stages]
    last = files[-1][1]
    found = [of.weights for stage, of in files if stage.kept(every) or of == last]
    found += [path for _, of in files for path in (of.snapshots, of.history)]
    return [*found, last.optimizer]


def prune(earlier: Sequence[Stage], every: int, checkpoints: Path) -> None:
    """Remove what no later stage needs: optimisers, and weights that are not kept.

    Args:
        earlier: stages that nothing continues any more.
        every: cycles from one whose weights are kept to the next.
        checkpoints: the run's folder.
    """
    for stage in earlier:
        files = paths.stage(checkpoints, stage.name)
        for path in (files.optimizer, *(() if stage.kept(every) else (files.weights,))):
            path.unlink(missing_ok=True)


def keep(slice_: KeepSlice, checkpoints: Path, folder: Path) -> None:
    """Copy into `folder` what is kept of a run, and write its manifest; the last state says how the run was trained.

    Raises:
        InputError: a file is missing, or was left by a training with other parameters or heads.
    """
    last = paths.stage(checkpoints, f"cycle_{slice_.cycles}").weights
    made = _provenance(last)
    trained = TrainSlice.model_validate(made["params"])
    wanted = worth_keeping(trained.stages(slice_.cycles), trained.keep_every, checkpoints)
    with atomic_folder(folder) as part:
        files = {}
        for path in wanted:
            if not path.exists():
                raise InputError(f"{path}: is missing; train the run again with: {snakemake()}")
            if path.suffix == ".safetensors" and not _alike(_provenance(path), made):
                raise InputError(
                    f"{path}: was trained with other parameters or heads than {last}; delete {checkpoints} and train again"
                )
            name = path.relative_to(checkpoints).as_posix()
            link(path, part / name)
            files[name] = sha256(path)
        write_json(part / paths.MANIFEST, {"provenance": made, "files": files})


def bring_back(folder: Path, checkpoints: Path) -> None:
    """Give a run the checkpoints that are kept of it, and remove those that another setting left beside them."""
    kept = Kept.open(folder)
    for name in kept.files:
        link(folder / name, checkpoints / name)
    own = {checkpoints / name for name in kept.files}
    for path in set(checkpoints.rglob("*.safetensors")) - own:
        if not _alike(_provenance(path), kept.provenance):
            path.unlink()
    for path in set(checkpoints.glob("history/*.csv")) - own:
        if not paths.stage(checkpoints, path.stem).weights.exists():
            path.unlink()


def facts_of(path: Path) -> dict[str, Any]:
    """What a file of tensors says of itself; reads only its head.

    Raises:
        InputError: it is missing, or none of ours.
    """
    try:
        with path.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            head = json.loads(source.read(min(length, path.stat().st_size)))
        facts = unsealed(head["__metadata__"]["fxcore"])
        if "provenance" not in facts:
            raise ValueError("it does not say who made it")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a training state ({error}); delete it and train again") from error
    return facts


def _provenance(path: Path) -> Mapping[str, Any]:
    """Who made a file of tensors, and with which parameters."""
    made: Mapping[str, Any] = facts_of(path)["provenance"]
    return made


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two files are of one training; the commit and the stage may differ."""
    return all(one.get(key) == other.get(key) for key in ("params", "heads"))
