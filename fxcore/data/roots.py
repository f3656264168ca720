"""What a dataset may name: files below its folders, and no other."""

from __future__ import annotations

import os
from pathlib import Path

from fxcore.errors import InputError


def beginnings(*folders: Path) -> tuple[str, ...]:
    """How the paths of everything below some folders begin."""
    return tuple(os.path.normpath(folder) + os.sep for folder in folders)


class Real:
    """Where the files below a folder really lie, links followed; of a folder that is found out once."""

    def __init__(self, folder: Path) -> None:
        """`folder` may be a link itself."""
        self.folder = folder
        self.root = os.path.realpath(folder) + os.sep
        self.known: dict[Path, str] = {}

    def check(self, path: Path, where: str) -> Path:
        """The path, if it leads to a file below the folder.

        Raises:
            InputError: a link leads elsewhere, or no file can have that name.
        """
        try:
            if path.parent not in self.known:
                self.known[path.parent] = os.path.realpath(path.parent) + os.sep
            real = os.path.realpath(path) if path.is_symlink() else self.known[path.parent]
        except (OSError, ValueError) as error:
            raise InputError(f"{where}: {path} is no name of a file ({error}); correct it") from error
        if not real.startswith(self.root):
            raise InputError(
                f"{where}: {path} is a link out of {self.folder}; put the file itself there, or give its folder as the dataset's"
            )
        return path
