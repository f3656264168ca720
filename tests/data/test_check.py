"""What `fxcore check` says of native folders: on phantoms of all nineteen formats, exactly what their writers expect."""

import json

import pytest
import yaml

from fxcore import cli, paths
from fxcore.params.datasets import Dataset
from fxcore.params.experiment import load
from fxcore.params.registry import completed, registry
from fxcore.phantom.phantom import EXPECTED, write
from fxcore.slices.data import PhantomSlice
from fxcore.slices.make import phantom_slice
from tests.conftest import BESIDE, TINY

PHANTOM = {"source": "phantom", "phantom": {"train": 4, "val": 2, "test": 3}}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A parameter file with a phantom of every known dataset, and their native files."""
    folder = tmp_path_factory.mktemp("check")
    content = yaml.safe_load(TINY.read_text())
    datasets = {key: PHANTOM | ({"phantom": {"test": 9}} if one.test_only else {}) for key, one in registry().items()}
    content |= {"results_root": str(folder / "results"), "datasets": datasets, "report": {}}
    train = {"visits": {"chexpert": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
    content |= BESIDE | {"runs": {"joint": {"title": "J", "role": "joint", "train": train}}}
    content["model"]["localization"]["labels"] = 16
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    params = load(file)
    for key in params.datasets:
        write(phantom_slice(params, key), paths.phantom(folder / "results", key))
    return file


def _check(capsys, *words):
    code = cli.main(["check", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_it_counts_what_the_writers_expect_for_all_nineteen(project, capsys):
    code, out, err = _check(capsys, "--params", project, "--json", "--pictures")
    found = json.loads(out)
    assert list(found) == list(registry())
    assert len(found) == 19
    for key, one in found.items():
        expected = json.loads((paths.phantom(project.parent / "results", key) / EXPECTED).read_text())
        assert one["counts"] == expected, key
        assert (one["found"], one["problems"], one["differs"]) == (True, [], []), key
        # every case is counted, whatever the release calls its split
        assert sum(expected["images"].values()) == 9, key
    assert code == 0, err


def test_a_terminal_gets_a_paragraph_a_dataset(project, capsys):
    code, out, _ = _check(capsys, "rsna_pneumonia", "jsrt", "--params", project)
    assert code == 0
    first, second = out.split("\njsrt:")
    assert first.startswith("rsna_pneumonia: RSNA Pneumonia stage_2, ")
    assert "  images: none 9; patients:" in first
    assert "  masks: Heart 9, " in second


def test_what_is_missing_ends_in_one_line_and_exit_code_2(project, capsys):
    folder = paths.phantom(project.parent / "results", "siim_acr")
    folder.rename(folder.with_name("away"))
    try:
        code, out, err = _check(capsys, "siim_acr", "shenzhen", "--params", project, "--json")
    finally:
        folder.with_name("away").rename(folder)
    found = json.loads(out)
    assert code == 2
    assert err == "fxcore check: 1 of 2 datasets cannot be used as they are: siim_acr\n"
    assert (found["siim_acr"]["found"], found["shenzhen"]["found"]) == (False, True)
    assert len(found["siim_acr"]["problems"]) == 1


def test_everything_that_is_wrong_is_collected(project, capsys):
    folder = paths.phantom(project.parent / "results", "nih14")
    pictures = sorted(folder.rglob("*.png"))
    gone, cut = pictures[0], pictures[1]
    kept = {path: path.read_bytes() for path in (gone, cut)}
    gone.unlink()
    cut.write_bytes(kept[cut][:100])
    try:
        everything = _check(capsys, "nih14", "--params", project, "--json", "--keep-going", "--pictures")
        first = _check(capsys, "nih14", "--params", project, "--json", "--pictures")
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    problems = json.loads(everything[1])["nih14"]["problems"]
    assert len(problems) == 2
    assert any(gone.name in line for line in problems)
    assert any(cut.name in line and "cannot be decoded" in line for line in problems)
    assert len(json.loads(first[1])["nih14"]["problems"]) == 1
    assert (everything[0], first[0]) == (2, 2)


def test_boxes_outside_their_pictures_are_found_once_the_pictures_are_read(project, capsys):
    table = paths.phantom(project.parent / "results", "node21") / "cxr_images" / "proccessed_data" / "metadata.csv"
    content = table.read_text()
    header, *lines = content.splitlines()
    label, left = (header.split(",").index(name) for name in ("label", "x"))
    at, cells = next((at, line.split(",")) for at, line in enumerate(lines) if line.split(",")[label] == "1")
    cells[left] = "900"
    table.write_text("\n".join([header, *lines[:at], ",".join(cells), *lines[at + 1 :], ""]))
    try:
        quick = _check(capsys, "node21", "--params", project)
        code, out, _ = _check(capsys, "node21", "--params", project, "--json", "--pictures")
    finally:
        table.write_text(content)
    assert quick[0] == 0
    assert code == 2
    (problem,) = json.loads(out)["node21"]["problems"]
    assert f"row {at + 2}: box [900.0, " in problem
    assert "leaves the image" in problem


def test_a_dataset_that_no_parameter_file_names_is_read_as_the_registry_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FXCORE_NATIVE", str(tmp_path))
    code, out, _ = _check(capsys, "brax", "--params", TINY, "--json")
    assert code == 2
    assert json.loads(out)["brax"]["folder"] == str(tmp_path / "brax")
    code, _, err = _check(capsys, "brex", "--params", TINY)
    assert code == 2
    assert err == "fxcore check: brex: no such dataset; did you mean brax?\n"


@pytest.fixture
def half(tmp_path, monkeypatch):
    """A part of the Shenzhen release, as if downloaded."""
    folder = tmp_path / "shenzhen"
    entry = completed("shenzhen", {"source": "phantom", "phantom": {"train": 4, "val": 2, "test": 3}})
    write(PhantomSlice(key="shenzhen", dataset=Dataset.model_validate(entry)), folder)
    monkeypatch.setenv("FXCORE_NATIVE", str(tmp_path))
    return folder


@pytest.mark.usefixtures("half")
def test_a_part_of_a_release_differs_from_a_complete_copy(capsys):
    code, out, _ = _check(capsys, "shenzhen", "--params", TINY, "--json")
    assert code == 0
    assert json.loads(out)["shenzhen"]["differs"] == ["images: 9 of 662"]
    assert "  differs from a complete copy: images: 9 of 662\n" in _check(capsys, "shenzhen", "--params", TINY)[1]


def test_what_the_parameters_leave_out_is_neither_counted_nor_wrong(half, tmp_path, capsys):
    gone = sorted(half.rglob("CHNCXR*.png"))[0]
    gone.write_bytes(b"no picture")
    content = yaml.safe_load(TINY.read_text()) | {"datasets": {"shenzhen": {"exclude": [gone.stem]}}, "report": {}}
    train = {"visits": {"shenzhen": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
    content |= BESIDE | {"runs": {"joint": {"title": "J", "role": "joint", "train": train}}}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    code, out, err = _check(capsys, "shenzhen", "--params", file, "--json", "--pictures")
    assert code == 0, err
    found = json.loads(out)["shenzhen"]
    assert found["counts"]["images"] == {"none": 8}
    assert found["differs"] == ["images: 9 of 662"]
