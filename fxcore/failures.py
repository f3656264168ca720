"""After a failed run: the one line of each job that found something wrong, where the reader sees it."""

from __future__ import annotations

from pathlib import Path


def failures(logs: Path, since: float) -> str:
    """What jobs reported as bad input since a time (seconds of the epoch); nothing if there was none."""
    found = []
    for path in sorted(logs.glob("**/*.log")):
        if path.stat().st_mtime >= since:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [line for line in lines[-1:] if line.startswith("fxcore ")]
    return "\n".join(["", "What went wrong:", *(f"  {line}" for line in found), ""]) if found else ""
