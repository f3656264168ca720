"""Which datasets of an experiment are split together, and how each is split."""

from __future__ import annotations

from typing import Any

from fxcore.params.experiment import Params
from fxcore.params.registry import registry
from fxcore.params.splits import Holdout, Own
from fxcore.passes import Split


def families(params: Params, together: bool = False) -> dict[str, tuple[str, ...]]:
    """Datasets by family; one that is not split by `leak_free` is a family of its own, named like it, if not all are `together`."""
    found: dict[str, tuple[str, ...]] = {}
    for key in params.datasets:
        own = params.splits.datasets.get(key, Own())
        alone = not together and (own.policy or params.splits.policy) != "leak_free"
        name = key if alone else _family(params, key, own)
        found[name] = (*found.get(name, ()), key)
    return found


def _family(params: Params, key: str, own: Own) -> str:
    """The family of a dataset: of a known release that of its adapter."""
    adapter = params.datasets[key].adapter
    known = registry().get(adapter)
    return own.family or (known.family or adapter if known else key)


def rule(params: Params, key: str) -> dict[str, Any]:
    """Policy and holdout of a dataset; of a phantom, such that each split has about the number of images asked for."""
    own, dataset = params.splits.datasets.get(key, Own()), params.datasets[key]
    holdout = own.holdout or params.splits.holdout
    if dataset.phantom and not dataset.test_only:
        known = registry().get(dataset.adapter)
        train, val, test = (dataset.phantom[split] for split in Split)
        whole = train + val + test
        tested = known is None or Split.TEST in known.expected.splits
        holdout = Holdout(val=val / (train + val if tested else whole), test=test / whole)
    return {"policy": own.policy or params.splits.policy, "holdout": holdout}
