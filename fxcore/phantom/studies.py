"""Phantoms in studies of one to three pictures, as in CXR-LT: of one body, with the same findings, each taken anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count, islice

from fxcore.passes import Split
from fxcore.phantom.case import CONSPICUITY, SIDE, Case
from fxcore.phantom.kinds import KINDS, kind
from fxcore.phantom.longtail import NORMAL, classes, finding, generator, reported
from fxcore.phantom.release import EACH, FIRST
from fxcore.phantom.scene import FINDINGS, Phantom, draw
from fxcore.progress import Progress
from fxcore.slices.data import PhantomSlice

VIEWS = (
    *(("AP",), ("PA", "LATERAL"), ("PA",), ("AP", "AP"), ("PA", "LL"), ("AP",), ("PA", "LATERAL", "PA"), ("",)),
    *(("PA", "LATERAL"), ("AP",), ("AP", "AP")),
)
"""Stated views of the pictures of studies in a row: 5 of 11 have one picture, 5 two, as often as in the release."""
ALIKE, LAST = 5, 4
"""Of so many studies in a row, the last is of the patient of the one before it; the others are of a patient each."""
PICTURES = 4
"""Numbers of a study's pictures; it has three at most."""
NAMELESS = "diffuse_nodules"
"""What is drawn where a study is not normal and has no class."""
TRIES = 200


@dataclass(frozen=True, slots=True)
class Film(Case):
    """One picture of a study: the `index`-th, of view `view`; it shows the classes `shown`, and the report has `said`."""

    patient: int
    study: int
    index: int
    view: str
    shown: frozenset[str]
    said: frozenset[str]

    def has(self, label: str) -> bool:
        """Whether the picture shows a class."""
        return label in self.shown


def films(slice_: PhantomSlice, each: int | None = None) -> Iterator[Film]:
    """Every picture of a dataset, drawn one at a time, at most `each` of a study; splits in order, studies whole but the last."""
    numbers = slice_.dataset.phantom or {}
    progress = Progress(f"phantom {slice_.key}", sum(numbers.values()), "images")
    for split in slice_.dataset.splits:
        pictures = (film for place in count() for film in islice(_study(split, place), each))
        for film in islice(pictures, numbers[split]):
            yield film
            progress.advance()


def film_of(number: int) -> Film:
    """The picture of a number, whichever dataset has it."""
    study, index = divmod(number, PICTURES)
    return next(islice(_study(tuple(Split)[study // EACH], study % EACH), index, None))


def whose(study: int) -> int:
    """The number of a study's patient."""
    return study - 1 if study % EACH % ALIKE == LAST else study


def view_of(number: int) -> str:
    """The view that is stated of a picture."""
    study, index = divmod(number, PICTURES)
    return VIEWS[study % EACH % len(VIEWS)][index]


def findings_of(split: Split, place: int) -> tuple[str, ...]:
    """What is drawn in the pictures of a study."""
    shown = classes(split, place)
    asked = {finding(name) for name in shown if name != NORMAL} if shown else {NAMELESS}
    return tuple(one for one in FINDINGS if one in asked)


def _study(split: Split, place: int) -> Iterator[Film]:
    """The pictures of one study; the same in every dataset that has it."""
    study = FIRST[split] + place
    patient, shown, findings = whose(study), classes(split, place), findings_of(split, place)
    phantom, again = _body(patient, findings, shown)
    for index, view in enumerate(VIEWS[place % len(VIEWS)]):
        random = generator("film", study, index)
        if index or patient != study:  # else all is as drawn for the patient
            phantom = draw(generator("patient", patient), findings, SIDE, CONSPICUITY, again=again, taken=random)
        number = PICTURES * study + index
        yield Film(number, split, findings, phantom, random, patient, study, index, view, shown, reported(split, place))


def _body(patient: int, findings: Collection[str], shown: frozenset[str]) -> tuple[Phantom, dict[str, int]]:
    """A patient with findings of the kinds that the classes say, and how often each was drawn anew for that.

    Raises:
        RuntimeError: some kind does not come up.
    """
    wanted = {
        one: next((name for name in KINDS[one].bounds if name in shown), None) for one in findings if one in KINDS
    }
    again = dict.fromkeys(wanted, 0)
    for _ in range(TRIES):
        phantom = draw(generator("patient", patient), findings, SIDE, CONSPICUITY, again=again)
        if not (wrong := [one for one, name in wanted.items() if kind(one, phantom) != name]):
            return phantom, again
        for one in wrong:
            again[one] += 1
    raise RuntimeError(f"patient {patient}: {wrong[0]} does not become {wanted[wrong[0]]} in {TRIES} tries")
