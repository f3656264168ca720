"""A file over HTTP: resumed where it was cut, verified by its checksum, or one line why not. No line has more of a URL than its path."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import fxcore
from fxcore.errors import InputError
from fxcore.escaping import redacted
from fxcore.progress import INTERVAL, amount, duration

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PASSING = (408, 425, 429)
_PAGE = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html)\b", re.IGNORECASE | re.DOTALL)
HEADROOM = 10**8
"""Bytes that the disk must have left."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up: after so many failures in a row without a byte; `wait` seconds after the first, twice as long each time."""

    attempts: int = 6
    wait: float = 1.0
    longest: float = 60.0
    timeout: float = 60.0
    """Seconds without an answer, or without a byte."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a web server; `access` is what it takes to be let in, for messages."""

    url: str
    name: str
    sha256: str | None = None
    size: int | None = None
    access: str = ""


class StopError(Exception):
    """Another download failed, and this one is to end."""


class Traffic:
    """What the downloads of one dataset share: connections, how far they are, and whether they are to stop."""

    def __init__(self, key: str, files: int, size: int | None, patience: Patience) -> None:
        """Of `files` files and `size` bytes, where these are known."""
        self.key, self.files, self.size, self.patience = key, files, size, patience
        self.stop = threading.Event()
        self.arrived = self.received = 0
        self.begun = self.said = time.monotonic()
        self._lock, self._local = threading.Lock(), threading.local()

    @property
    def session(self) -> requests.Session:
        """This thread's connections; logins are those of ~/.netrc, which the library reads itself."""
        import requests

        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        found: requests.Session = self._local.session
        return found

    def moved(self, size: int, files: int = 0) -> None:
        """Bytes came, or files are done; now and then a line says so.

        Raises:
            StopError: another download failed.
        """
        if self.stop.is_set():
            raise StopError
        with self._lock:
            self.received += size
            self.arrived += files
            now = time.monotonic()
            if now - self.said < INTERVAL:
                return
            self.said = now
            rate = self.received / (now - self.begun)
            left = f", {duration(max(0, self.size - self.received) / rate)} left" if self.size and rate else ""
            whole = f" of {amount(self.size, 'B')}" if self.size else ""
            log.info(
                "%s: %s%s, %d of %d files, %s/s%s",
                self.key,
                amount(self.received, "B"),
                whole,
                self.arrived,
                self.files,
                amount(rate, "B"),
                left,
            )

    def comes(self, size: int) -> None:
        """A server said how many bytes are to come; of a single file that is all."""
        if self.files == 1 and self.size is None:
            self.size = size

    def pause(self, seconds: float) -> None:
        """Wait, but not when all are to stop."""
        self.stop.wait(seconds)


class _PassingError(Exception):
    """Something that may be better in a moment."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


def fetch(remote: Remote, folder: Path, name: str, traffic: Traffic) -> Path:
    """A verified file, as `folder/name`; what was there of it from before is gone on with.

    Raises:
        InputError: one line why it cannot be had, or that it is not what it should be.
    """
    import pooch

    pooch.get_logger().setLevel("CRITICAL")  # its lines have whole URLs
    folder.mkdir(exist_ok=True)
    part = folder / f"{name}.part"
    resumed = part.exists()

    def download(_: str, output: str, __: Any) -> None:
        """What pooch calls; it verifies what it gets, and only then gives it its name."""
        _download(remote, part, traffic)
        part.replace(output)

    for again in (resumed, False):
        try:
            known = remote.sha256 and f"sha256:{remote.sha256}"
            return Path(pooch.retrieve(remote.url, known, fname=name, path=folder, downloader=download))
        except ValueError:  # pooch's word for another checksum; the file is gone
            if not again:
                break
            log.info(
                "%s: another checksum than expected, after it was resumed; once more from its beginning", remote.name
            )
    raise InputError(
        f"{remote.name}: {redacted(remote.url)} has another checksum than the expected sha256 {str(remote.sha256)[:16]}…; what came was"
        " removed. It was damaged on its way, or the release has changed: try again, then correct the checksum"
        " where it is given, or, of a file that was fetched before, take what comes for new with --force"
    )


def _download(remote: Remote, part: Path, traffic: Traffic) -> None:
    patience, failures = traffic.patience, 0
    while True:
        before = _size(part)
        try:
            with _speaking(remote, part):
                _attempt(remote, part, traffic)
            return
        except _PassingError as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= patience.attempts:
                raise InputError(
                    f"{remote.name}: {error}, {failures} times in a row; start again later, it goes on with the"
                    f" {amount(_size(part), 'B')} that are there"
                ) from None
            wait = min(patience.longest, max(error.wait, patience.wait * 2.0 ** (failures - 1)))
            log.info("%s: %s; again in %s", remote.name, error, duration(wait))
            traffic.pause(wait)


@contextmanager
def _speaking(remote: Remote, part: Path) -> Iterator[None]:
    """Errors of libraries in our words: theirs have URLs with all that is in them."""
    import requests
    import urllib3

    host = urlsplit(remote.url).hostname
    try:
        yield
    except requests.exceptions.SSLError:
        raise InputError(
            f"{remote.name}: the certificate of {host} is not valid; nothing was taken from there"
        ) from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        raise _PassingError(f"no answer from {host}") from None
    except (requests.exceptions.TooManyRedirects, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
        raise InputError(f"{remote.name}: {host} leads nowhere; {_ask(remote)}") from None
    except (requests.exceptions.ConnectionError, urllib3.exceptions.HTTPError, requests.exceptions.RequestException):
        raise _PassingError(f"the connection to {host} broke or could not be made") from None
    except OSError as error:
        if error.errno in _FULL:
            raise InputError(
                f"{part.parent}: the disk is full ({error.strerror}); free space and start again, it goes on with the"
                f" {amount(_size(part), 'B')} that are there"
            ) from None
        raise


def _attempt(remote: Remote, part: Path, traffic: Traffic) -> None:
    """Ask for what is missing and write it to the end of the part."""
    mark = part.with_name(f"{part.name}.version")
    version = mark.read_text(encoding="ascii") if mark.exists() else ""
    have = _size(part)
    if have and not version and remote.sha256 is None:
        have = 0  # nothing would tell if the two halves were of different files
    headers = {"Accept-Encoding": "identity", "User-Agent": f"fxcore/{fxcore.__version__}"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": version} if version else {})
    timeout = traffic.patience.timeout
    with traffic.session.get(remote.url, headers=headers, stream=True, timeout=timeout) as response:
        _admitted(response, remote)
        if response.status_code == 416:
            if _whole(response) == have:
                return
            part.unlink(missing_ok=True)
            raise _PassingError("the server has fewer bytes than came before; from its beginning")
        start, whole = _span(response, have, remote)
        if remote.size not in (None, whole) and whole is not None:
            raise InputError(f"{remote.name}: has {whole:,} bytes; {remote.size:,} are expected. {_ask(remote)}")
        _room(part, (whole or remote.size or 0) - start)
        if whole is not None:
            traffic.comes(whole - start)
        if not start:
            part.write_bytes(b"")
            mark.write_text(_version(response), encoding="ascii")
        _receive(response, part, remote, traffic)
    if whole is not None and _size(part) != whole:
        raise _PassingError(f"cut after {amount(_size(part), 'B')} of {amount(whole, 'B')}")
    mark.unlink(missing_ok=True)


def _admitted(response: requests.Response, remote: Remote) -> None:
    """Whether this is an answer with the file.

    Raises:
        InputError: it is a refusal, or a page to read.
    """
    code, host = response.status_code, urlsplit(response.url).hostname
    if code == 401:
        raise InputError(
            f"{remote.name}: {host} asks for a login, or does not accept yours (401); put it into ~/.netrc, under machine {host}."
            f" {_ask(remote)}"
        )
    if code == 403:
        raise InputError(f"{remote.name}: {host} does not let you have it (403). {_ask(remote)}")
    if code in (404, 410):
        raise InputError(f"{remote.name}: {redacted(response.url)} is not there ({code}). {_ask(remote)}")
    if code in _PASSING or code >= 500:
        later = response.headers.get("Retry-After", "")
        raise _PassingError(f"{host} answers {code}", float(later) if later.isdecimal() else 0.0)
    if code not in (200, 206, 416):
        raise InputError(f"{remote.name}: {host} answers {code}. {_ask(remote)}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if code != 416 and kind in ("text/html", "application/xhtml+xml"):
        _no_page(remote, str(host), bool(response.history))


def _no_page(remote: Remote, host: str, sent: bool) -> None:
    if PurePosixPath(remote.name).suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"{remote.name}: {host}{' (where the server sent us)' if sent else ''} gives a web page and not the file, likely to log"
            f" in or to accept terms. {_ask(remote)}"
        )


def _ask(remote: Remote) -> str:
    return f"What it takes: {remote.access}" if remote.access else "Is the address right?"


def _span(response: requests.Response, have: int, remote: Remote) -> tuple[int, int | None]:
    """Where the answer begins in the file, and the bytes of the whole file where the server says."""
    if response.status_code == 206:
        found = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if found and int(found[1]) == have:
            return have, None if found[2] == "*" else int(found[2])
        raise InputError(
            f"{remote.name}: {urlsplit(response.url).hostname} answers with another part than it was asked for"
        )
    if have:
        ranges = response.headers.get("Accept-Ranges", "none").lower() == "bytes"
        why = "the file has changed" if ranges else "the server cannot go on with a file"
        log.info("%s: %s; from its beginning", remote.name, why)
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() and not response.headers.get("Content-Encoding") else None


def _whole(response: requests.Response) -> int | None:
    found = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _version(response: requests.Response) -> str:
    """What tells this content from another one under the same address; "" where the server does not say."""
    strong = response.headers.get("ETag", "")
    found = strong if strong.startswith('"') else response.headers.get("Last-Modified", "")
    return found if found.isascii() else ""


def _room(part: Path, size: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < size + HEADROOM:
        raise InputError(
            f"{part.parent}: {amount(free, 'B')} are free, and {amount(size, 'B')} are to come; free space and start again"
        )


def _receive(response: requests.Response, part: Path, remote: Remote, traffic: Traffic) -> None:
    with part.open("ab") as sink:
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            if not sink.tell() and _PAGE.match(chunk):
                _no_page(remote, str(urlsplit(response.url).hostname), bool(response.history))
            sink.write(chunk)
            sink.flush()
            traffic.moved(len(chunk))
        os.fsync(sink.fileno())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
