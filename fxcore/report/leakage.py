"""What lists of images share that should share nothing, under each policy of splitting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fxcore import paths, tablefile
from fxcore.data.leakage import HERE, POLICIES
from fxcore.passes import Split
from fxcore.report.render import Table
from fxcore.report.results import Results

Row = Mapping[str, Any]
COLUMNS = (*POLICIES, HERE)
COUNTS = ("images", "patients", "groups", "affected")
LIST = ("held_dataset", "held_split", "other_dataset", "other_split")


def leakage(results: Results) -> Table:
    """Pairs of lists that share images, patients or groups; the page shows those of which one trains, the CSV all."""
    rows, titles = read(results, "lists"), results.titles
    records = [dict(one) | {"key": one["held_dataset"], "kind": "lists"} for one in rows]
    shown: dict[tuple[str, ...], dict[str, Row]] = {}
    for one in rows:
        if one["other_split"] == Split.TRAIN and one["held_split"] != Split.TRAIN:
            shown.setdefault(tuple(one[name] for name in LIST), {})[one["policy"]] = one
    header = ("held out", "split", "trains", *COLUMNS)
    lines = [
        (titles[of[0]], of[1], titles[of[2]], *(_text(by.get(policy)) for policy in COLUMNS))
        for of, by in sorted(shown.items(), key=lambda one: _order(titles, one[0]))
    ]
    keys = list(titles)
    caption = (
        f"{results.kind(keys)} Images of a held-out list that are also in a training list; patients and groups that are in both; and"
        " how much of the held-out list is of such a group. Images are the same where their pictures are, whatever their names:"
        " perceptual hashes find them. Patients are as files name them, an image for itself where they name none; a group joins"
        " those that share a picture. published: Ark's lists where they are public and lie beside the data, the release's own"
        f" otherwise. {HERE}: each dataset by the policy that it has in this experiment. Pairs of lists without a"
        f" line share nothing. {_runs(results)}"
    )
    return Table("Leakage between lists", caption, records, header, lines)


def read(results: Results, what: str) -> list[Row]:
    """What `leakage` wrote.

    Raises:
        InputError: it is not readable.
    """
    rows: list[Row] = tablefile.read(paths.leakage(results.root, what)).to_dict("records")
    return rows


def _order(titles: Mapping[str, str], of: tuple[str, ...]) -> tuple[int, ...]:
    keys, splits = list(titles), [*Split][::-1]
    return keys.index(of[0]), splits.index(Split(of[1])), keys.index(of[2])


def _text(one: Row | None) -> str:
    if one is None:
        return "–"
    images, patients, groups, affected = (int(one[name]) for name in COUNTS)
    share = 100 * affected / int(one["of"])
    return f"{images:,} images, {patients:,} patients, {groups:,} groups; {affected:,} of {int(one['of']):,} ({share:.0f} %)"


def _runs(results: Results) -> str:
    """What runs do test of what they train on, and why they may."""
    of_runs = read(results, "runs")
    found = [one for one in of_runs if int(one["affected"])]
    if not found:
        return f"None of {len(of_runs)} runs tests a group that it, or the run it starts from, trains on."
    said: Iterable[Any] = (
        f"{one['run']} tests {int(one['affected']):,} of {int(one['of']):,} images of groups that it trains on, as allowed:"
        f" {one['allowed']}"
        for one in found
    )
    return f"Of {len(of_runs)} runs, {'; '.join(said)}. No other tests a group that it, or the run it starts from, trains on."
