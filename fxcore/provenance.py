"""Who made an artifact: version and commit of the code, and the parameters that went in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from fxcore import __version__
from fxcore.params.blocks import Block


def commit() -> str | None:
    """The commit of this code, "+" appended when tracked files differ from it; None outside a git repository."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        edited = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if edited.stdout.strip() else "")


def describe(slice_: Block) -> dict[str, Any]:
    """Version, commit, and the slice of the parameters, for an artifact's metadata."""
    return {"fxcore": __version__, "commit": commit(), "params": json.loads(slice_.canonical())}
