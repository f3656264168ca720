"""Fetching is a phase of its own: the only one that opens a connection, run once, and what follows depends on what it wrote down."""

import io
import os
import subprocess
import sys
import zipfile

import pytest
import yaml

from fxcore.errors import InputError
from fxcore.planning.plan import PHASES, Plan
from fxcore.sources import closure
from tests.conftest import BESIDE, FOLDER_PARAMS, PROJECT, TINY, FolderDataset
from tests.server import Served, serving
from tests.workflow.conftest import SNAKEMAKE, offline

SECRET = "t0ken-of-nobody"  # noqa: S105


def test_what_is_offline_cannot_connect_and_is_written_down(tmp_path):
    environment = offline(tmp_path)
    with serving() as server:
        server.files["/a"] = Served(b"a")
        code = f"import urllib.request; urllib.request.urlopen('{server.url('/a')}')"
        for env, allowed in ((os.environ, True), (environment, False)):
            ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
            assert (ran.returncode == 0) == allowed
        parent = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {code!r}]).returncode)"
        assert subprocess.run([sys.executable, "-c", parent], env=environment, capture_output=True).returncode
        assert len(server.asked) == 1
    assert len((tmp_path / "attempts").read_text().splitlines()) == 2


def test_every_phase_of_the_tiny_experiment_but_retrieval_ran_offline(experiment):
    """The fixture runs all of its jobs under the guard above; retrieval has none there."""
    assert (experiment.folder / "offline/sitecustomize.py").exists()
    assert not (experiment.folder / "offline/attempts").exists()
    logs = {path.name for path in (experiment.results / "logs").iterdir()}
    assert {"phantom", "normalize", "visits", "pretrain", "keep", "score", "few_shot", "corpus", "ssl", "head"} <= logs
    assert {"evaluate", "release", "table", "figure", "index"} <= logs
    assert "retrieve" not in logs


def test_only_retrieval_can_open_a_connection():
    """Of all our modules those alone import a library that does, and no job but `retrieve` imports them."""
    of_network = {"requests", "urllib3", "pooch", "socket", "http", "urllib.request", "ftplib"}
    importing = {
        str(path.relative_to(PROJECT))
        for path in PROJECT.glob("fxcore/**/*.py")
        for line in path.read_text().splitlines()
        if line.split()[:1] in (["import"], ["from"]) and line.split()[1].removesuffix(",") in of_network
    }
    assert importing == {"fxcore/data/transfer.py"}
    network = {"fxcore/data/transfer.py", "fxcore/data/kaggle.py"}  # the second starts a client that does
    assert network <= set(closure("fxcore.data.retrieve"))
    for module in (
        "data.normalize",
        "data.visits",
        "training.pretrain",
        "evaluation.score",
        "cxrlt.head",
        "report.table",
    ):
        assert not network & set(closure(f"fxcore.{module}"))
    assert not network & set(closure("fxcore.planning.plan"))


@pytest.fixture
def project(tmp_path):
    """A dataset that a server on loopback has as an archive, behind an address with a token."""
    dataset = FolderDataset(tmp_path / "theirs")
    dataset.write()
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        for path in sorted(dataset.root.rglob("*.*")):
            made.write(path, path.relative_to(dataset.root))
    with serving() as server:
        server.files["/set.zip"] = Served(sink.getvalue())
        content = yaml.safe_load(TINY.read_text()) | {"results_root": str(tmp_path / "results"), "report": {}} | BESIDE
        route = {"http": [{"url": server.url(f"/set.zip?token={SECRET}"), "extract": True}]}
        content["datasets"] = {"mine": FOLDER_PARAMS | {"source": "retrieve", "retrieve": route}}
        train = {"visits": {"mine": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
        content |= {"runs": {"joint": {"title": "J", "role": "joint", "train": train}}}
        yield tmp_path, server, content


def _run(folder, content, *words, offline_in=None):
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    environment = os.environ if offline_in is None else offline(offline_in)
    environment = environment | {"FXCORE_NATIVE": str(folder / "native")}
    config = [word for word in words if "=" in word]
    options = [word for word in words if "=" not in word]
    command = [SNAKEMAKE, "--cores", "all", *options, "--config", f"params={file}", *config]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)


def test_files_are_fetched_once_and_the_store_is_made_offline(project):
    folder, server, content = project
    server.files["/set.zip"].answers = [403]
    refused = _run(folder, content, "phase=retrieve")
    assert refused.returncode
    assert "fxcore retrieve: set.zip: 127.0.0.1 does not let you have it (403)" in refused.stderr
    fetched = _run(folder, content, "phase=retrieve")
    assert fetched.returncode == 0, fetched.stderr
    made = _run(folder, content, "phase=data", offline_in=folder / "offline")
    assert made.returncode == 0, made.stderr
    assert (folder / "results/data/mine/72/manifest.json").exists()
    assert len(server.asked) == 2
    said = refused.stdout + refused.stderr + fetched.stdout + fetched.stderr
    said += "".join(path.read_text() for path in (folder / "results").rglob("*.log"))
    said += (folder / "results/retrieved/mine.json").read_text() + (
        folder / "native/mine/.retrieve/ledger.jsonl"
    ).read_text()
    assert SECRET not in said
    # a lost record makes no store again, and needs no network: what was fetched is as it was
    (folder / "results/retrieved/mine.json").unlink()
    command = [sys.executable, "-m", "fxcore", "retrieve", "mine", "--params", str(folder / "params.yaml")]
    environment = offline(folder / "offline") | {"FXCORE_NATIVE": str(folder / "native")}
    again = subprocess.run(
        [*command, "--results", str(folder / "results")], cwd=PROJECT, env=environment, capture_output=True
    )
    assert again.returncode == 0, again.stderr
    assert "Nothing to be done" in (ran := _run(folder, content, "-n", "phase=data")).stdout + ran.stderr


def test_a_dataset_that_only_a_person_can_get_is_no_source_to_retrieve(tmp_path):
    content = yaml.safe_load(TINY.read_text()) | {"results_root": str(tmp_path / "results")}
    for key, said in (
        (
            "candid_ptx",
            r"no machine can get its files; fxcore retrieve candid_ptx says how you can, then give source: native",
        ),
        ("mine", r"datasets\.mine: no route to its files is known; give one under datasets\.mine\.retrieve"),
    ):
        other = {"source": "retrieve", **({"adapter": "folder", **FOLDER_PARAMS} if key == "mine" else {})}
        (tmp_path / "params.yaml").write_text(
            yaml.safe_dump({**content, "datasets": {**content["datasets"], key: other}})
        )
        with pytest.raises(InputError, match=said):
            Plan.load(str(tmp_path / "params.yaml"))


def test_planning_does_not_ask_for_files_that_are_to_come(tmp_path, monkeypatch):
    monkeypatch.setenv("FXCORE_NATIVE", str(tmp_path / "nowhere"))
    content = yaml.safe_load(TINY.read_text()) | {"results_root": str(tmp_path / "results")}
    content["datasets"] |= {key: {"source": "retrieve"} for key in ("mimic_cxr", "cxr_lt_2024", "montgomery")}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    plan = Plan.load(str(tmp_path / "params.yaml"))
    assert plan.targets(PHASES[0]) == [
        f"{tmp_path}/results/retrieved/{key}.json" for key in ("mimic_cxr", "cxr_lt_2024", "montgomery")
    ]

    def waits_for(key):
        wildcards = type("Wildcards", (), {"dataset": key})()
        return [path.rpartition("/")[2] for path in plan.supply.retrieved_of_dataset(wildcards)]

    # labels alone wait for the pictures, too
    assert waits_for("cxr_lt_2024") == ["mimic_cxr.json", "cxr_lt_2024.json"]
    assert (waits_for("montgomery"), waits_for("example_a")) == (["montgomery.json"], [])
