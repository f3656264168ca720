"""The images of CXR-LT: what self-supervision sees and what it shared with evaluation, and how the labelled ones are split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fxcore.passes import Split, Task
from fxcore.report.cxrlt.results import DEV, SETS, TEST, CxrltResults
from fxcore.report.cxrlt.rows import SET_NAMES, Record
from fxcore.report.gaps import Gap, missing, noted
from fxcore.report.published.cxrlt import Images, images
from fxcore.report.render import Table

PRETRAINING, LABELS = ("pretraining", "labels")
USES = {PRETRAINING: "self-supervision", LABELS: "labels"}
TOTAL = "total"
LEFT_OUT = {"holdout": "held out to choose rates", "evaluated": "of patients that are evaluated"}
"""Why self-supervision does not see an image."""
PARTS = {
    "train": "training",
    "holdout": "training, held out",
    DEV: "development (validation split)",
    TEST: "test",
    "gold": "labelled by hand",
}
NOT_HERE = "not in this experiment"
UNPRINTED = "not published"
OTHER_DATA = "not the challenge's data"


def cxrlt_data(results: CxrltResults) -> Table:
    """A row a source of self-supervision and a part of the labelled data, the published number of images beside it."""
    records = [*_pretraining(results), *_labels(results)]
    header = ["use", "dataset", "data", "part", "images", "left out"]
    header += [f"shared with the {SET_NAMES[one]}: images (groups)" for one in SETS]
    header += ["published images", "note"]
    lacking = [line for one in records for line in missing(f"{one['use']}, {one['dataset']}", one["gaps"])]
    rows = [_row(one) for one in records]
    said = [{name: value for name, value in one.items() if name != "gaps"} for one in records]
    return Table("CXR-LT 2024, data", _caption(results), said, header, rows, lacking)


def _caption(results: CxrltResults) -> str:
    gold = [results.slice.gold] if results.slice.gold else []
    keys = dict.fromkeys([results.slice.labels, *gold, *results.corpus()["sources"]])
    total = sum(one.images for one in images() if one.use == PRETRAINING)
    return (
        f"{results.kind(keys)} Self-supervision looks at images without labels: of these splits of a source (“part”, with all their"
        " images), but not at what is left out. “Shared with”: how many of the images of these splits an evaluation set has, too, and"
        " in brackets the groups with images in both (a patient's; where a release names none, one image each): all images of such"
        " groups are left out. Labelled images are those of the dataset that heads learn from"
        f" ({results.named([results.slice.labels])}) and of the hand-labelled one. Published numbers of images are of the slides (Yang"
        f" 2024: {total:,} for self-supervision), of the authors' code and of the released tables; theirs leave out what chooses"
        f" rates alone. {results.split([results.slice.labels])}"
    )


def _pretraining(results: CxrltResults) -> list[Record]:
    corpus = results.corpus()
    sources, theirs = corpus["sources"], {one.key: one for one in images() if one.use == PRETRAINING}
    records = [_source(results, key, sources[key], theirs.get(key)) for key in results.titles if key in sources]
    records += [_absent(one) for key, one in theirs.items() if key not in sources]
    total: Record = _empty(PRETRAINING) | {
        "dataset": TOTAL,
        "images": corpus["total"],
        "left_out": _counted(sum((Counter(found["left_out"]) for found in sources.values()), Counter[str]())),
        "published_images": sum(one.images for one in theirs.values()),
    }
    for name in _shared(found["contamination"] for found in sources.values()):
        for what in ("images", "groups"):
            total[f"{name}_{what}"] = sum(
                found["contamination"].get(name, {}).get(what, 0) for found in sources.values()
            )
    return [*records, _finished(total, _unevaluated(total))]


def _source(results: CxrltResults, key: str, found: Mapping[str, Any], theirs: Images | None) -> Record:
    record = _empty(PRETRAINING) | {
        "dataset": results.titles[key],
        "key": key,
        "data": "phantom" if found["synthetic"] else "real",
        "part": ", ".join(f"{split} {number:,}" for split in Split if (number := found["images"].get(split))),
        "images": found["taken"],
        "left_out": _counted(found["left_out"]),
        "published_images": theirs and theirs.images,
    }
    for name, shared in found["contamination"].items():
        record |= {f"{name}_{what}": shared[what] for what in ("images", "groups")}
    unprinted = [] if theirs else [Gap("published images", UNPRINTED, True)]
    return _finished(record, [*_unevaluated(record), *unprinted], _remark(theirs))


def _counted(left: Mapping[str, int]) -> str:
    """How many images are left out, and why."""
    return ", ".join(f"{number:,} {LEFT_OUT.get(why, why)}" for why, number in left.items() if number) or "none"


def _absent(theirs: Images) -> Record:
    """A source of the slides that is none of ours."""
    record = _empty(PRETRAINING) | {"dataset": theirs.title, "key": theirs.key, "published_images": theirs.images}
    return _finished(record, [Gap("images", NOT_HERE, True)], _remark(theirs))


def _labels(results: CxrltResults) -> list[Record]:
    theirs = {one.part: one for one in images() if one.use == LABELS and results.official}
    source = results.corpus()["sources"].get(results.slice.labels)
    held = source["left_out"].get("holdout", 0) if source else None
    train, dev, test = (_annotated(results, results.slice.labels, split) for split in Split)
    gold = results.slice.gold
    ours = {
        "train": None if held is None else train - held,
        "holdout": held,
        DEV: dev,
        TEST: test,
        "gold": _annotated(results, gold, Split.TEST) if gold else None,
    }
    unknown = f"not known: {results.titles[results.slice.labels]} is no source of self-supervision, {train:,} in all"
    why = {"train": unknown, "holdout": unknown, "gold": "the experiment has no hand-labelled images"}
    records = []
    for part, number in ours.items():
        key = gold if part == "gold" else results.slice.labels
        record = _empty(LABELS) | {
            "dataset": results.titles[key] if key else None,
            "key": key,
            "data": ("phantom" if results.manifest(key)["synthetic"] else "real") if key else None,
            "part": PARTS[part],
            "images": number,
            "published_images": theirs[part].images if theirs else None,
        }
        gaps = [Gap("images", why[part], True)] if number is None else []
        gaps += [] if theirs else [Gap("published images", OTHER_DATA, True)]
        records.append(_finished(record, gaps, _remark(theirs.get(part))))
    return records


def _annotated(results: CxrltResults, key: str, split: Split) -> int:
    number: int = results.counts(key)["annotated"][Task.CLASSIFICATION][split]
    return number


def _empty(use: str) -> Record:
    named = ("dataset", "key", "data", "part", "images", "left_out")
    shared = (f"{name}_{what}" for name in SETS for what in ("images", "groups"))
    return {"use": USES[use]} | dict.fromkeys((*named, *shared, "published_images"))


def _finished(record: Record, gaps: list[Gap], *more: str) -> Record:
    return record | {"note": noted(gaps, *more), "gaps": gaps}


def _shared(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Evaluation sets that sources were held against."""
    named = {name for one in found for name in one}
    return [name for name in SETS if name in named]


def _unevaluated(record: Record) -> list[Gap]:
    return [
        Gap(f"images shared with the {SET_NAMES[name]}", "the experiment does not have this set", True)
        for name in SETS
        if record[f"{name}_images"] is None
    ]


def _remark(theirs: Images | None) -> str:
    return f"published: {theirs.note}" if theirs and theirs.note else ""


def _row(one: Record) -> tuple[str, ...]:
    return (
        one["use"],
        one["dataset"] or "–",
        one["data"] or "–",
        one["part"] or "–",
        "–" if one["images"] is None else f"{one['images']:,}",
        one["left_out"] or "–",
        *(_both(one, name) for name in SETS),
        "–" if one["published_images"] is None else f"{one['published_images']:,}",
        one["note"],
    )


def _both(one: Record, name: str) -> str:
    found = one[f"{name}_images"]
    return "–" if found is None else f"{found:,} ({one[f'{name}_groups']:,})"
