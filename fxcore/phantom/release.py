"""The pictures of a release by number, whoever shows them: what is found in each, its patient, and which are another release's.

A picture depends on the release's name and its own number, and on nothing else: not on a dataset's key, classes or size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from typing import NamedTuple

import numpy as np

from fxcore.data.holdout import part, position
from fxcore.params.datasets import Dataset
from fxcore.params.registry import registry
from fxcore.passes import Split, Task
from fxcore.phantom.case import CONSPICUITY, SIDE, Case, Source
from fxcore.phantom.labels import choose
from fxcore.phantom.scene import Phantom, draw
from fxcore.seeding import derive

Findings = tuple[str, ...]
Name = Callable[[int, Findings], str]
"""What the picture of some number and findings is called."""

EACH = 300_000
"""Numbers of a split."""
FIRST = {split: at * EACH for at, split in enumerate(Split)}
"""Number of a split's first picture."""
BLOCK = 10
"""Patients in a row that are shuffled together: of ten, three have none of the findings that the release is about."""
SLOTS, AMONG = (3, 8), 9
"""Which of so many pictures in a row another release's may stand in for."""
LANES = 4
"""Releases that take pictures of the same other one, each from numbers of its own."""
SAFE = 0.5
"""Groups at this position or above are for training wherever fewer are held out for validation."""
SEED = 0
"""Of the splits that phantoms have the numbers asked for in."""


@dataclass(frozen=True)
class Plant:
    """Some pictures of a release that are another one's.

    Attributes:
        split: where they are here.
        number: how many.
        source: the other release.
        of: where they are there.
        span: positions of their groups, such that those who split by hash have them in these splits, too.
    """

    split: Split
    number: int
    source: Release
    of: Split
    span: tuple[float, float] = (0.0, 1.0)


class Member(NamedTuple):
    """A picture among those of its patient: the number of the first, how many after that it is, and how many patients were before."""

    first: int
    after: int
    patient: int


def member(number: int, patients: tuple[int, ...]) -> Member:
    """Whose picture a number is where `patients` in a row have so many each, over and over."""
    block, rest = divmod(number % EACH, sum(patients))
    for at, pictures in enumerate(patients):
        if rest < pictures:
            return Member(number - rest, rest, block * len(patients) + at)
        rest -= pictures
    raise AssertionError


@dataclass(frozen=True)
class Release:
    """What there is to know of a release's phantoms.

    Attributes:
        name: the adapter's, which all randomness derives from.
        image: what its adapter calls a picture; needed of releases that others have pictures of, and of those others.
        group: what its adapter calls the picture's group; needed where the release lacks a split of its own.
        shows: classes whose findings are drawn; None for those of the registry.
        also: such classes that the registry does not have.
        patients: pictures of each of some patients in a row, over and over; those of one patient show one body and its findings.
        plants: pictures that are another release's.
        lane: which of that one's pictures are taken, of those of `LANES`.
        tells: whether the release tells where they come from; their group is the other release's then.
        alike: the release that has all of these pictures, under the same numbers.
    """

    name: str
    image: Name | None = None
    group: Name | None = None
    shows: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    patients: tuple[int, ...] = (1,)
    plants: tuple[Plant, ...] = ()
    lane: int = 0
    tells: bool = False
    alike: Release | None = None

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Classes whose findings are drawn."""
        shown = self.shows
        if shown is None:
            shown = tuple(name for task in Task for name in registry()[self.name].classes(task))
        return (*shown, *self.also)

    @cached_property
    def planted(self) -> Mapping[int, tuple[Release, int]]:
        """By number, the other release and the number there."""
        found: dict[int, tuple[Release, int]] = {}
        for plant in self.plants:
            taken = {number for release, number in found.values() if release is plant.source}
            slots = (number for number in self._slots(plant.split) if number not in found)
            sources = (one for one in plant.source.within(plant.of, self.lane, plant.span) if one not in taken)
            places = list(islice(slots, plant.number))
            found |= {place: (plant.source, one) for place, one in zip(places, sources, strict=False)}
        return found

    def _slots(self, split: Split) -> Iterator[int]:
        """Numbers that stand for another release's picture; under their own group's name, only such as are surely for training."""
        for at in count():
            number = FIRST[split] + at
            if at % AMONG in SLOTS and (
                self.tells or split is Split.TEST or position(self.named(number, ()), SEED) >= SAFE
            ):
                yield number

    def within(self, split: Split, lane: int, span: tuple[float, float]) -> Iterator[int]:
        """Numbers of a split for others to take, whose groups have a position from `span[0]` to below `span[1]`."""
        for at in count(lane, LANES):
            number = self.number(split, at)
            if span[0] <= position(self.group_of(number), SEED) < span[1]:
                yield number

    def number(self, split: Split, at: int) -> int:
        """The number of a split's picture at a place."""
        return FIRST[split] + at

    def source(self, number: int) -> tuple[Release, int] | None:
        """The release that a picture is taken from, and its number there; None of a picture of this release's own."""
        return (self.alike, number) if self.alike else self.planted.get(number)

    def named(self, number: int, findings: Findings) -> str:
        """The group that a picture has by its own name.

        Raises:
            ValueError: nobody has said how groups are named.
        """
        if self.group is None:
            raise ValueError(
                f"fxcore/phantom/native/{self.name}.py: the release does not split all of its images; give it a RELEASE"
                " with a group, so that each split gets the number of images asked for"
            )
        return self.group(number, findings)

    def group_of(self, number: int) -> str:
        """The group that the adapter gives a picture."""
        source = self.source(number)
        if source and self.tells:
            return source[0].group_of(source[1])
        return self.named(number, self.findings(number))

    def findings(self, number: int) -> Findings:
        """What is drawn."""
        if source := self.source(number):
            return source[0].findings(source[1])
        return self._begun(number)[0]

    def phantom(self, number: int) -> Phantom:
        """The picture, drawn."""
        if source := self.source(number):
            return source[0].phantom(source[1])
        findings, random = self._begun(number)
        again = member(number, self.patients).after > 0
        taken = _generator("phantom taken", self.name, number) if again else None
        return draw(random, findings, SIDE, CONSPICUITY, taken=taken)

    def _begun(self, number: int) -> tuple[Findings, np.random.Generator]:
        """What a picture's patient has, and the randomness to draw that patient with."""
        of = member(number, self.patients)
        random = _generator("patient", self.name, of.first)
        block, at = divmod(of.patient, BLOCK)
        # In no order, so that pictures at even distances are of all kinds; and whatever number there is, balanced.
        order = _generator("phantom places", self.name, number // EACH, block).permutation(BLOCK)
        return choose(self.classes, block * BLOCK + int(order[at]), random), random

    def case(self, number: int, split: Split) -> Case:
        """A picture with all that a writer needs."""
        findings, source = self.findings(number), None
        if taken := self.source(number):
            other, there = taken
            assert self.image
            assert other.image
            source = Source(
                name=self.image(number, findings),
                adapter=other.name,
                number=there,
                image=other.image(there, findings),
                patient=other.group_of(there) if self.tells else None,
            )
        random = _generator("phantom said", self.name, number)
        return Case(number, split, findings, self.phantom(number), random, source=source)

    def numbers(self, split: Split, dataset: Dataset) -> Iterator[int]:
        """The pictures of a split of some dataset of this release, without end.

        Where the release does not say, those whose groups are held out for it (`fxcore.data.holdout`) at the shares that the
        numbers asked for have.
        """
        shares = _shares(split, dataset)
        for number in count(FIRST[split]):
            if shares is None or part(position(self.group_of(number), SEED), *shares) is split:
                yield number


def _shares(split: Split, dataset: Dataset) -> tuple[float, float] | None:
    """Of groups that are held out for validation and test; None where the release itself says which images a split has."""
    known = registry().get(dataset.adapter)
    says = set(known.expected.splits) if known else set[Split]()
    if dataset.adapter == "folder" or dataset.test_only or Split.VAL in says or (split is Split.TEST and split in says):
        return None
    wanted = {one: number for one, number in (dataset.phantom or {}).items() if one is Split.TRAIN or one not in says}
    whole = sum(wanted.values())
    return wanted[Split.VAL] / whole, wanted.get(Split.TEST, 0) / whole


def _generator(*names: str | int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive(*names)))
