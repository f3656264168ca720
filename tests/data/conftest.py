"""Retrieving a dataset, from servers on loopback."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest

from fxcore.data.native import Native
from fxcore.data.retrieve import retrieve
from fxcore.data.transfer import Patience
from fxcore.params.registry import known
from fxcore.params.routes import Route
from fxcore.slices.data import RetrieveSlice
from tests.server import serving

QUICK = Patience(attempts=3, wait=0.01, longest=0.05, timeout=2.0)
RANDOM = np.random.default_rng(0)
PICTURES = {f"MontgomerySet/CXR_png/MCUCXR_{number:04}_0.png": RANDOM.bytes(3000) for number in range(1, 6)}


@pytest.fixture
def server():
    with serving() as told:
        yield told


def packed(content, kind="zip"):
    """The bytes of an archive."""
    sink = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(sink, "w") as made:
            for name, body in content.items():
                made.writestr(name, body)
    else:
        with tarfile.open(fileobj=sink, mode="w:gz") as made:
            for name, body in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(body)
                made.addfile(info, io.BytesIO(body))
    return sink.getvalue()


def sliced(route, key="montgomery"):
    return RetrieveSlice(key=key, dataset=known(key), route=Route.model_validate(route))


@pytest.fixture
def get(tmp_path):
    """Retrieve by a route into `tmp_path/native`; the record."""

    def run(route, key="montgomery", connections=2, **options):
        folder = tmp_path / "native"
        record = tmp_path / "results" / f"{key}.json"
        options = {"patience": QUICK} | options
        retrieve(sliced(route, key), Native(folder, folder), record, connections, **options)
        return json.loads(record.read_text())

    return run


def files(folder):
    """What lies in a dataset's folder, without what retrieval keeps for itself."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: body for name, body in found.items() if not name.startswith(".retrieve/")}


def kept(folder):
    return sorted(path.name for path in (folder / ".retrieve").iterdir())
