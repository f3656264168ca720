"""The claims table: what the paper says, what our runs say, and whether the one supports the other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fxcore.params.registry import registry
from fxcore.report.effects import EFFECTS, Effect, Printed, printed
from fxcore.report.published import Claim
from fxcore.report.published import claims as published
from fxcore.report.render import Table
from fxcore.report.results import Results
from fxcore.report.shares import SHARES

Record = dict[str, Any]


def claims(results: Results) -> Table:
    """A row a claim: where it stands, the published effect, ours with its interval, and the verdict."""
    records = [_record(results, claim) for claim in published()]
    header = ["claim", "where", "published effect", "our effect", "verdict", "note"]
    rows = [(one["claim"], one["where"], one["published"], _ours(one), one["verdict"], one["note"]) for one in records]
    counts = Counter(one["verdict"].partition(":")[0].partition(" (")[0] for one in records)
    tally = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items(), reverse=True))
    keys = results.visited
    caption = (
        f"{results.kind(keys)} {len(records)} claims of Islam et al. 2025: {tally}. Effects are in percentage points of the metric"
        f" of the task, on the test split, of the runs of this experiment, one seed, with"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over patients, paired by image; shares of cells have"
        " Wilson's 95 % interval and are held against one half. Supported: the interval lies wholly on the published side. Not"
        " supported: it lies wholly on the other side, or includes zero. Not testable: a dataset that the claim is about is a phantom"
        " or has not the registered number of images, there is no such run, or no interval. Many intervals are looked at: of"
        f" {len(records)} true zeros about {len(records) / 20:.0f} would lie outside theirs. Datasets: {results.named(keys)}."
        f" {results.split(keys)}"
    )
    return Table("Claims", caption, records, header, rows)


def verdict(results: Results, claim: Claim, found: Effect, theirs: Printed) -> str:
    """Whether our effect supports a claim; where it cannot say, why."""
    manifests = {key: results.manifest(key) for key in found.datasets}
    if any(manifest["synthetic"] for manifest in manifests.values()):
        return "not testable (phantom)"
    if wrong := [text for key in found.datasets if (text := miscounted(results, key))]:
        return f"not testable (not the registered count: {'; '.join(wrong)})"
    if found.lacks:
        return f"not testable ({found.lacks})"
    if found.interval.low is None or found.interval.high is None:
        return "not testable (no interval)"
    low, high = (one - claim.threshold for one in (found.interval.low, found.interval.high))
    if theirs.sign < 0:
        low, high = -high, -low
    if low > 0:
        return "supported"
    if high < 0:
        return "not supported: the other side"
    return f"not supported: includes {'one half' if claim.threshold else 'zero'}"


def miscounted(results: Results, key: str) -> str:
    """How a dataset's number of images differs from the registered one, those counted that are left out for a reason."""
    manifest, dataset = results.manifest(key), results.dataset(key)
    known = registry().get(key) or registry().get(dataset.adapter)
    title = results.slice.titles[key]
    if known is None:
        return f"{title} is not registered"
    left = sum(manifest.get("left_out", {}).values()) + len(manifest.get("excluded", {}))
    number = manifest["images"] + left
    wanted = known.expected.images
    return "" if number == wanted else f"{title} has {number:,} of {wanted:,} images"


def _record(results: Results, claim: Claim) -> Record:
    found, theirs = (EFFECTS | SHARES)[claim.test](results, claim), printed(claim)
    lacks = f"ours: {found.lacks}" if found.lacks else ""
    notes = (f"published: {theirs.note}" if theirs.note else "", f"ours: {found.note}" if found.note else "", lacks)
    mine, against = found.runs
    return {
        "id": claim.id,
        "claim": claim.text,
        "where": claim.source,
        "test": claim.test,
        "key": claim.dataset or None,
        "task": claim.task or None,
        "item": claim.item or None,
        "published": theirs.words,
        "effect": found.interval.value,
        "effect_low": found.interval.low,
        "effect_high": found.interval.high,
        "cells": found.words or None,
        "run": mine,
        "against_run": against,
        "verdict": verdict(results, claim, found, theirs),
        "note": "; ".join(filter(None, notes)),
    }


def _ours(one: Record) -> str:
    if one["effect"] is None:
        return "no run" if one["run"] is None or one["against_run"] is None else "undefined"
    sign = "" if one["cells"] else "+"
    ends = (one["effect_low"], one["effect_high"])
    between = "" if None in ends else f" [{ends[0]:{sign}.1f}, {ends[1]:{sign}.1f}]"
    words = f"{one['cells']}: " if one["cells"] else ""
    return f"{words}{one['effect']:{sign}.1f}{' %' if words else ''}{between}"
