"""Routes: how the native files of a dataset are got, by machine or by hand. No route holds a password: tools read those themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from fxcore.params.blocks import Block, Count, Inside, Positive, inside

Kind = Literal["http", "kaggle", "physionet", "by_hand"]
KINDS: tuple[Kind, ...] = ("http", "kaggle", "physionet", "by_hand")
_RANGE = re.compile(r"\[(\d+)-(\d+)\]")


def _address(url: str) -> str:
    """Messages never repeat the URL, which may hold what nobody else should read."""
    try:
        parts = urlsplit(url)
        host, password = parts.hostname, parts.username or parts.password
    except ValueError as error:
        raise ValueError("is no URL") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("is no URL that begins with http:// or https://")
    if password:
        raise ValueError(f"has a login in it; take it out and put it into ~/.netrc, under machine {host}")
    return url


Address = Annotated[str, AfterValidator(_address)]


class HttpFile(Block):
    """A file that a web server has, or several whose names count up."""

    url: Address
    """Where it is; `[0001-0326]` in it stands for each of these numbers."""
    name: Inside | None = None
    """Where it goes below the dataset's folder, with the same `[…]`; null takes the last part of the URL."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Its checksum; null where it is not known: then that of the first download is kept, and later ones must have it."""
    size: Count | None = None
    """Its bytes; null where they are not known."""
    extract: bool = False
    """Whether it is an archive (zip or tar) whose content goes to the dataset's folder, in the place of the file."""

    @property
    def place(self) -> str:
        """Its name below the dataset's folder."""
        return self.name or inside(unquote(PurePosixPath(urlsplit(self.url).path).name))

    def each(self) -> Iterator[HttpFile]:
        """The file, or each of those that its range names."""
        found = _RANGE.search(self.url)
        if found is None:
            yield self
            return
        first, last = found.groups()
        for number in range(int(first), int(last) + 1):
            text = str(number).zfill(len(first))
            name = self.name and self.name.replace(found[0], text)
            yield self.model_copy(update={"url": self.url.replace(found[0], text), "name": name})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found = _RANGE.search(self.url)
        if found and self.sha256:
            raise ValueError("sha256 is of one file, and the URL names several; leave it out")
        if found and self.name and found[0] not in self.name:
            raise ValueError(f"name: give it the same {found[0]}, or all files would have one name")
        _ = self.place
        return self


class Kaggle(Block):
    """What Kaggle's own client downloads, as one archive; the login is in the client's own configuration."""

    competition: Annotated[str, Field(pattern=r"^[\w-]+$")] | None = None
    """Name of a competition, whose rules you have accepted."""
    dataset: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")] | None = None
    """Owner and name of a dataset."""

    @property
    def page(self) -> str:
        """Where a reader finds it."""
        path = f"c/{self.competition}" if self.competition else f"datasets/{self.dataset}"
        return f"https://www.kaggle.com/{path}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.competition is None) == (self.dataset is None):
            raise ValueError("give competition or dataset, one of them")
        return self


class PhysioNet(Block):
    """A project's folder of files on PhysioNet; its own list of checksums says which there are."""

    url: Address
    """The folder, which has a SHA256SUMS.txt."""
    only: tuple[str, ...] = ()
    """Patterns of the files to get, such as `train/*`; none gets all."""


class ByHand(Block):
    """What only a person can ask for."""

    steps: Annotated[tuple[str, ...], Field(min_length=1)]
    """What to request, and where."""
    tree: Annotated[tuple[str, ...], Field(min_length=1)]
    """What must then lie in the dataset's folder."""


class Route(Block):
    """How the files of a dataset are got: one of `http`, `kaggle`, `physionet`, `by_hand`."""

    http: tuple[HttpFile, ...] | None = None
    """Files of web servers; a URL alone will do for one."""
    kaggle: Kaggle | None = None
    """A competition or dataset of Kaggle."""
    physionet: PhysioNet | None = None
    """A project of PhysioNet; a URL alone will do."""
    by_hand: ByHand | None = None
    """Nothing that a machine could do."""
    before: tuple[str, ...] = ()
    """What you must have done once: an account, terms to accept."""
    gigabytes: Positive | None = None
    """About how much disk the files take in the end; null where it is not known."""
    note: str | None = None
    """What else a reader should know."""

    @property
    def kind(self) -> Kind:
        """Which of the four."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @field_validator("http", mode="before")
    @classmethod
    def _addresses(cls, files: Any) -> Any:
        # What is wrong with a value is said with the value; these are URLs, so they are named by their place.
        if files is not None and not isinstance(files, list | tuple):
            raise ValueError("give a list of files")
        return None if files is None else [{"url": one} if isinstance(one, str) else one for one in files]

    @field_validator("physionet", mode="before")
    @classmethod
    def _folder(cls, project: Any) -> Any:
        return {"url": project} if isinstance(project, str) else project

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(given := [kind for kind in KINDS if getattr(self, kind) is not None]) != 1:
            raise ValueError(f"gives {' and '.join(given) or 'no route'}; give one of {', '.join(KINDS)}")
        names = [one.place for file in self.http or () for one in file.each()]
        if self.http is not None and not names:
            raise ValueError("http: names no file")
        if len(names) != len(set(names)):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"http: two files would be {twice}; give one of them another name")
        return self
