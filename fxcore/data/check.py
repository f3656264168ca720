"""What lies in the native folders, before anything is made of it: counts against those of a complete copy, and what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fxcore.data import decode, intake, shapes
from fxcore.data.counts import Counts
from fxcore.data.native import Native, Problems
from fxcore.data.records import Record
from fxcore.errors import InputError
from fxcore.files import is_there
from fxcore.params.datasets import Dataset
from fxcore.params.registry import Expected, registry

log = logging.getLogger(__name__)

SHOWN = 20
"""Problems of a dataset that are printed; JSON has all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one dataset: `counts` as in `Counts.facts`, how they differ from a complete copy's, what is wrong, and what
    the adapter leaves out, by reason.
    """

    key: str
    folder: str
    found: bool
    counts: Mapping[str, Any] = field(default_factory=dict)
    differs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()

    @property
    def well(self) -> bool:
        """Whether the dataset can be used as it is."""
        return self.found and not self.problems

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        known = registry().get(self.key)
        return {
            "version": known.version if known else None,
            "folder": self.folder,
            "found": self.found,
            "counts": dict(self.counts),
            "differs": list(self.differs),
            "problems": list(self.problems),
            "left_out": dict(self.left_out),
        }


def check(key: str, dataset: Dataset, native: Native, keep_going: bool, pictures: bool) -> Finding:
    """Read a dataset's native files; with `keep_going` all that is wrong, else up to the first; with `pictures` decode them too."""
    problems = Problems(keep_going=True)
    counts, groups = Counts(), set[str]()
    folder, left_out = str(native.folder), 0
    try:
        for record in intake.read(key, dataset, native, problems):
            if record.image in dataset.exclude or not intake.taken(record, dataset):
                left_out += 1
                continue
            counts.add(
                record.split,
                record.patient,
                record.labels,
                None if record.boxes is None else [box.label for box in record.boxes],
                None if record.masks is None else [mask.label for mask in record.masks],
            )
            groups.add(record.group)
            problems.found.extend(_wrong(record, pictures))
            if problems.found and not keep_going:
                break
    except InputError as error:
        found = bool(counts.images) or native.folder.is_dir()
        return Finding(key, folder, found, counts.facts(), (), (*problems.found, str(error)))
    if not counts.images and not problems.found:
        problems.found.append(f"{folder}: no annotated image is there; is it the dataset's own folder?")
    known = registry().get(key)
    whole = dataset.source != "phantom" and (keep_going or not problems.found)
    left_out += sum(problems.left.values())
    differs = tuple(_differs(counts.facts(), known.expected, left_out)) if known and whole else ()
    shown = problems.found if keep_going else problems.found[:1]
    return Finding(key, folder, True, counts.facts(), differs, tuple(shown), dict(problems.left), frozenset(groups))


def _wrong(record: Record, pictures: bool) -> Iterator[str]:
    if not pictures:
        if not is_there(record.file):
            yield f"{record.where}: no image {record.file}; put it there, or list {record.image} under exclude"
        return
    try:
        height, width = decode.pixels(record).shape
        decode.check_said(record, width, height)
        for mask in record.masks or ():
            shapes.bitmap(mask, height, width)
    except InputError as error:
        yield str(error)


def _differs(counts: Mapping[str, Any], expected: Expected, left_out: int) -> Iterator[str]:
    """How the counts differ from a complete copy's; without images that are left out for a reason, splits cannot be compared."""
    found = {
        "images": sum(counts["images"].values()) + left_out,
        "patients": counts["patients"],
        "boxes": sum(counts["boxes"].values()) or None,
    }
    for name, number in found.items():
        wanted = getattr(expected, name)
        if wanted is not None and number is not None and number != wanted:
            yield f"{name}: {number:,} of {wanted:,}"
    for split, wanted in ({} if left_out else expected.splits).items():
        number = counts["images"].get(split, 0)
        if number != wanted:
            yield f"{split} images: {number:,} of {wanted:,}"


def describe(findings: list[Finding]) -> str:
    """For a terminal: a paragraph a dataset, and which datasets share patients."""
    parts = [_paragraph(one) for one in findings]
    shared = [
        f"{one.key} and {other.key} share {len(one.groups & other.groups):,} patients"
        for at, one in enumerate(findings)
        for other in findings[:at]
        if one.groups & other.groups
    ]
    return "\n".join([*parts, *shared]) + "\n"


def _paragraph(one: Finding) -> str:
    known = registry().get(one.key)
    title = f"{known.title} {known.version}" if known else one.key
    lines = [f"{one.key}: {title}, {one.folder}: {'found' if one.found else 'not found'}"]
    if one.counts.get("images"):
        splits = ", ".join(f"{name} {number:,}" for name, number in one.counts["images"].items())
        patients = one.counts["patients"]
        lines.append(f"  images: {splits}; patients: {'unknown' if patients is None else f'{patients:,}'}")
        labels = {name: codes.get("present", 0) for name, codes in one.counts["labels"].items()}
        for name, numbers in (("present", labels), ("boxes", one.counts["boxes"]), ("masks", one.counts["masks"])):
            if numbers:
                lines.append(f"  {name}: {', '.join(f'{label} {number:,}' for label, number in numbers.items())}")
    lines += [f"  left out: {number:,} ({reason})" for reason, number in one.left_out.items()]
    lines += [f"  differs from a complete copy: {text}" for text in one.differs]
    lines += [f"  wrong: {text}" for text in one.problems[:SHOWN]]
    if len(one.problems) > SHOWN:
        lines.append(f"  and {len(one.problems) - SHOWN:,} more; --json prints all")
    return "\n".join(lines)
