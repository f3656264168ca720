"""Lists of images that papers trained and tested on, for the releases where these lists are public (Ark, `dataset/`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fxcore.errors import InputError
from fxcore.passes import Split

LISTS: Mapping[str, Mapping[Split, str]] = {
    "nih14": {split: f"Xray14_{split}_official.txt" for split in Split},
    "shenzhen": {
        Split.TRAIN: "ShenzenCXR_train_data.txt",
        Split.VAL: "ShenzenCXR_valid_data.txt",
        Split.TEST: "ShenzenCXR_test_data.txt",
    },
    "rsna_pneumonia": {split: f"RSNAPneumonia_{split}.txt" for split in Split},
}
"""Their names by adapter; they are looked for in the dataset's folder and in the folders in it."""


def find(adapter: str, folder: Path) -> dict[Split, Path]:
    """The lists of a release that lie in its native folder: all, or none.

    Raises:
        InputError: some are there and others are not.
    """
    names = LISTS.get(adapter, {})
    found = {
        split: path
        for split, name in names.items()
        if (path := next(iter([*folder.glob(name), *sorted(folder.glob(f"*/{name}"))]), None))
    }
    if missing := [name for split, name in names.items() if found and split not in found]:
        raise InputError(f"{folder}: has no {missing[0]}, but other lists of Ark; put all of them there, or none")
    return found


def read(lists: Mapping[Split, Path]) -> dict[str, Split]:
    """The split of each image by the stem of its name: a line is a name and labels, apart by a blank or a comma.

    Blank lines end nothing: their readers stopped there and lost what followed.

    Raises:
        InputError: an image is in two lists, or a list cannot be read.
    """
    found: dict[str, Split] = {}
    for split, path in lists.items():
        try:
            content = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as text ({error}); download it again") from error
        for number, line in enumerate(content.splitlines(), start=1):
            if not (cells := line.replace(",", " ").split()):
                continue
            image = Path(cells[0]).stem
            if found.setdefault(image, split) is not split:
                raise InputError(f"{path}, line {number}: {image} is in the list of {found[image]} too; keep one")
    return found
