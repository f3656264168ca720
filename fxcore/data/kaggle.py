"""Downloads by Kaggle's own client, which has its own login; what it says when it fails, in one line."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fxcore.data import archives
from fxcore.data.transfer import Traffic
from fxcore.errors import InputError
from fxcore.escaping import without_secrets
from fxcore.params.routes import Kaggle

log = logging.getLogger(__name__)

_SECRETS = ("KAGGLE_KEY", "KAGGLE_API_TOKEN")
_LOOK = 1.0
"""Seconds between two looks at how far the client is."""


def download(wanted: Kaggle, folder: Path, traffic: Traffic, lock: int) -> Path:
    """The archive of a competition or dataset, whole; the client goes on with what it has of it.

    It keeps the descriptor `lock` open, so that a lock on it lasts as long as the client, should we be killed.

    Raises:
        InputError: the client is not installed, or one line why it failed.
    """
    client = _client()
    folder.mkdir(exist_ok=True)
    for force in ([], ["--force"]):
        _run([client, *_arguments(wanted), "--path", str(folder), *force], wanted, folder, traffic, lock)
        found = sorted(path for path in folder.iterdir() if path.suffix == ".zip")
        if not found:
            raise InputError(
                f"kaggle: wrote no archive for {wanted.page}; update the client (pip install --upgrade kaggle)"
            )
        try:
            archives.check(found[0])
        except InputError as error:
            log.info("kaggle: %s; once more from its beginning", error)
            continue
        return found[0]
    raise InputError(f"kaggle: the archive of {wanted.page} is damaged, twice; try again later")


def _client() -> str:
    beside = Path(sys.executable).with_name("kaggle")  # an environment need not be active
    found = shutil.which("kaggle") or (str(beside) if beside.exists() else None)
    if found is None:
        raise InputError(
            "kaggle: its client is not installed; install it into this environment with: pip install kaggle"
        )
    return found


def _arguments(wanted: Kaggle) -> list[str]:
    if wanted.competition:
        return ["competitions", "download", "--competition", wanted.competition]
    assert wanted.dataset
    return ["datasets", "download", "--dataset", wanted.dataset]


def _run(command: list[str], wanted: Kaggle, folder: Path, traffic: Traffic, lock: int) -> None:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, pass_fds=[lock]
        )
        before = _bytes(folder)
        while True:
            try:
                code = process.wait(_LOOK)
                break
            except subprocess.TimeoutExpired:
                now = _bytes(folder)
                traffic.moved(max(0, now - before))
                before = now
            except BaseException:
                process.terminate()
                raise
        if code == 0:
            return
        said.seek(0)
        _fail(clean(said.read().decode("utf-8", "replace")), wanted)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def clean(text: str) -> str:
    """What a tool said, without secrets of the environment and without what URLs have beside their path."""
    for name in _SECRETS:
        if value := os.environ.get(name):
            text = text.replace(value, "…")
    return without_secrets(text)


def _fail(said: str, wanted: Kaggle) -> None:
    """In our words where the reason is known, else in the client's last ones."""
    low = said.lower()
    if "403" in low or "forbidden" in low:
        rules = (
            f"accept the rules at {wanted.page}/rules"
            if wanted.competition
            else f"see whether you may at {wanted.page}"
        )
        raise InputError(f"kaggle: does not let you have {wanted.page} (403); {rules} with the account of your token")
    if "401" in low or "unauthorized" in low or "kaggle.json" in low or "authenticate" in low:
        raise InputError(
            "kaggle: its client has no login, or one that is not accepted; make a token in the settings of your account at"
            " https://www.kaggle.com and put it where the client looks, ~/.kaggle/kaggle.json, readable by you alone"
        )
    if "404" in low or "not found" in low:
        raise InputError(f"kaggle: {wanted.page} is not there (404); is its name right?")
    if "no space left" in low:
        raise InputError("kaggle: the disk is full; free space and start again")
    lines = [line.strip() for line in re.split(r"[\r\n]+", said) if line.strip()]
    raise InputError(f"kaggle: {lines[-1][:300] if lines else 'its client failed without a word'}; try again later")
