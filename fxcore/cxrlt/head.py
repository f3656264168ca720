"""One head: held-out images choose its learning rate, all training images train it, and it predicts dev, test and gold.

CXR-LT spec, training protocol: the rates are tried in one pass over the features of a frozen backbone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import provenance, tablefile
from fxcore.alone import alone
from fxcore.cxrlt.corpus import JUDGES, held_out
from fxcore.cxrlt.features import LabelledImages, frozen
from fxcore.cxrlt.fitting import Featured, Fitting, Listed
from fxcore.cxrlt.labels import targets_in
from fxcore.data.loaders import watched
from fxcore.data.store import Store, groups
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import observed
from fxcore.evaluation.classification import Labelled, average_precision
from fxcore.files import write_json
from fxcore.machine import Machine
from fxcore.passes import Split, Task
from fxcore.seeding import derive
from fxcore.slices.cxrlt import HeadSlice
from fxcore.tensorfile import write
from fxcore.training import runtime
from fxcore.training.save import Save

log = logging.getLogger(__name__)


class Lists:
    """The labelled images of the study, in the classes of the dataset that heads are trained on."""

    def __init__(self, slice_: HeadSlice, stores: Mapping[str, Store]) -> None:
        """`stores` by key: the labelled dataset, gold, and those of label augmentation."""
        self.slice, self.stores, self.order = slice_, stores, list(stores)
        self.classes = stores[slice_.labels].heads((Task.CLASSIFICATION,)).classes(Task.CLASSIFICATION)
        self.held = held_out(stores[slice_.labels].table, slice_.holdout)
        self.closed = {group for key, split in self._judged() for group in groups(stores[key].table, split)}
        """Groups that heads are measured on: no image of theirs trains or chooses, whatever the policy of the splits."""

    def of(self, key: str, rows: NDArray[np.int64]) -> Listed:
        """Some rows of a store."""
        store = self.stores[key]
        targets, known = targets_in(store, self.classes)
        studies = store.table["study"].to_numpy(str)[rows]
        return Listed(np.full(len(rows), self.order.index(key)), rows, studies, targets[rows], known[rows])

    @property
    def train(self) -> Listed:
        """What the rates are tried on: the training images that are not held out, and those of label augmentation."""
        own = self.of(self.slice.labels, self._rows(self.slice.labels, Split.TRAIN, ~self.held))
        for key in self.slice.head.labels:
            own = own + self.of(key, self._rows(key, Split.TRAIN))
        return own

    @property
    def validation(self) -> Listed:
        """What chooses among them."""
        return self.of(self.slice.labels, self._rows(self.slice.labels, Split.TRAIN, self.held))

    def judges(self) -> Iterator[tuple[str, Listed]]:
        """Dataset and images of each set that heads are measured on."""
        for key, split in self._judged():
            yield key, self.of(key, self._rows(key, split))

    def _judged(self) -> Iterator[tuple[str, Split]]:
        for name, split in JUDGES.items():
            key = self.slice.gold if name == "gold" else self.slice.labels
            if key is not None:
                yield key, split

    @property
    def prevalence(self) -> dict[str, float]:
        """Share of the labelled training images that have each class, of those where it is known."""
        listed = self.of(self.slice.labels, self._rows(self.slice.labels, Split.TRAIN))
        positive = (listed.targets > 0.5) & listed.known
        shares = positive.sum(axis=0) / np.maximum(listed.known.sum(axis=0), 1)
        return {name: round(float(share), 6) for name, share in zip(self.classes, shares, strict=True)}

    def _rows(self, key: str, split: Split, taken: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        rows = self.stores[key].rows(Task.CLASSIFICATION, split)
        if split is Split.TRAIN:
            rows = rows[~self.stores[key].table["group"].isin(self.closed).to_numpy()[rows]]
        return rows if taken is None else rows[taken[rows]]


def head(
    slice_: HeadSlice,
    backbone: Path,
    stores: Mapping[str, Store],
    machine: Machine,
    gpus: int,
    weights: Path,
    predictions: Path,
    work: Path,
) -> None:
    """Write a head's weights, its predictions, and beside these what chose its learning rate.

    Raises:
        InputError: the backbone is not readable, or no class has positives among the held-out images.
    """
    runtime.prepare(machine)
    lists = Lists(slice_, stores)
    how, epochs = slice_.fit, slice_.head.stop or slice_.head.epochs
    seed = derive(slice_.seed, "head", slice_.name)
    with watched(), runtime.lease(gpus), alone(work, f"training head {slice_.name}"):
        device = runtime.device(machine, gpus)
        network = frozen(backbone, how.blocks)
        network.network.to(device)
        images = LabelledImages(list(stores.values()), slice_.head.resolution, how)
        featured = Featured(network, images, slice_.head, how, device, machine.workers)
        save = Save(work, machine.autosave, {"slice": slice_.model_dump(mode="json")})
        found = save.read()
        tried: list[dict[str, Any]] = found[1]["tried"] if found else []
        train, validation = lists.train, lists.validation
        if not tried:
            sweep = Fitting(featured, train, how.rates, slice_.head.epochs, seed)
            if found:
                sweep.restore(*found)
            sweep.run(slice_.head.epochs, save, {"tried": []})
            tried, found = _tried(slice_, sweep.scores(validation), validation), None
        rate = best(tried)
        final = Fitting(featured, train + validation, (rate,), slice_.head.epochs, seed)
        if found:
            final.restore(*found)
        final.run(epochs, save, {"tried": tried})
        table = pd.concat(
            [_table(key, listed, final.scores(listed)[0], lists.classes) for key, listed in lists.judges()],
            ignore_index=True,
        )
    facts = {"rates": tried, "rate": rate, "epochs": epochs, "prevalence": lists.prevalence}
    facts["images"] = {"train": len(train), "held_out": len(validation)}
    made = provenance.describe(slice_) | facts
    write(weights, final.heads[0].state_dict(), {"provenance": made, "classes": list(lists.classes)})
    tablefile.write(predictions, table)
    write_json(predictions.with_suffix(".json"), made)
    save.remove()


def _tried(slice_: HeadSlice, scores: NDArray[np.float64], listed: Listed) -> list[dict[str, Any]]:
    """Each learning rate with its mAP on the held-out images, 0..1.

    Raises:
        InputError: no class has positives there.
    """
    values = []
    for of_rate in scores:
        metric = average_precision(Labelled(of_rate, listed.targets, listed.known))
        values.append(observed(metric.statistic, len(listed)))
    lacking = int((~((listed.targets > 0.5) & listed.known).any(axis=0)).sum())
    if lacking == listed.targets.shape[1]:
        raise InputError(
            f"cxrlt.heads.{slice_.name}: no class has positives among the {len(listed)} held-out images; hold out more"
        )
    if lacking:
        log.info("%d classes have no positives among the held-out images and choose nothing", lacking)
    return [{"rate": rate, "map": round(value, 6)} for rate, value in zip(slice_.fit.rates, values, strict=True)]


def best(tried: list[dict[str, Any]]) -> float:
    """The learning rate with the best mAP, of equals the lowest."""
    return float(max(tried, key=lambda one: (one["map"], -one["rate"]))["rate"])


def _table(key: str, listed: Listed, scores: NDArray[np.float64], classes: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset": key,
            "row": np.repeat(listed.row, len(classes)),
            "label": np.tile(np.array(classes, dtype=object), len(listed)),
            "score": scores.reshape(-1),
        }
    )
