"""Where datasets come from: every known one has a route, and a wrong one is refused."""

import re

import pytest
import yaml

from fxcore import cli
from fxcore.data.native import Native
from fxcore.data.retrieve import describe
from fxcore.params.experiment import load
from fxcore.params.registry import registry, routes
from fxcore.slices.make import retrieve_slice
from tests.conftest import PROJECT, TINY


def test_there_is_a_route_to_every_known_dataset_and_the_folder_it_fills_is_read_by_its_adapter():
    assert list(routes()) == list(registry())
    kinds = {key: route.kind for key, route in routes().items()}
    # the specification's table of routes (part D), but for NIH from Kaggle and NODE21, whose files have no known addresses
    assert [key for key, kind in kinds.items() if kind == "by_hand"] == [
        *("chexpert", "node21", "candid_ptx", "vindr_ribcxr", "jsrt", "padchest")
    ]
    assert [key for key, kind in kinds.items() if kind == "http"] == ["shenzhen", "chestx_det", "montgomery"]
    assert [key for key, kind in kinds.items() if kind == "kaggle"] == ["nih14", "tbx11k", "rsna_pneumonia", "siim_acr"]
    names = [one.place for file in routes()["shenzhen"].http for one in file.each()]
    assert (len(names), names[0], names[-1]) == (662, "CXR_png/CHNCXR_0001_0.png", "CXR_png/CHNCXR_0662_1.png")
    assert sum(name.endswith("_1.png") for name in names) == 336


def test_the_page_tells_the_same_routes():
    page = (PROJECT / "docs/how-to/get-the-data.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ") and "`" in line]
    told = {key: kind.strip() for kind, keys in rows for key in re.findall(r"`(\w+)`", keys)}
    names = {"http": "web server", "kaggle": "Kaggle", "by_hand": "by hand"}
    access = {"physionet": {True: "PhysioNet, credentialed", False: "PhysioNet, open"}}
    assert told == {
        key: names.get(route.kind) or access[route.kind][bool(route.before)] for key, route in routes().items()
    }


@pytest.mark.parametrize("key", list(registry()))
def test_what_to_do_is_said_for_every_known_dataset(key, tmp_path):
    params = load(TINY)
    slice_ = retrieve_slice(params, key)
    said = describe(slice_, Native(tmp_path / key, tmp_path / key))
    assert said.startswith(f"{key}: {registry()[key].title} ")
    if slice_.route.kind == "by_hand":
        assert f"Put this into {tmp_path / key}:" in said
        assert "https://" in said or "http://" in said


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({}, "gives no route; give one of http, kaggle, physionet, by_hand"),
        ({"http": ["http://a/b"], "physionet": "http://a/"}, "gives http and physionet"),
        ({"http": "http://me:secret@a/b"}, "give a list of files"),
        (
            {"http": ["http://me:secret@a/b"]},
            r"has a login in it; take it out and put it into ~/\.netrc, under machine a",
        ),
        ({"http": ["ftp://secret/b"]}, "is no URL that begins with http:// or https://"),
        ({"physionet": "http://me:secret@a/b"}, "has a login in it"),
        ({"http": ["http://a/b", "http://c/b"]}, "two files would be b"),
        ({"http": [{"url": "http://a/b", "name": "../b"}]}, r"\.\./b is no path below the dataset's folder"),
        ({"http": [{"url": "http://a/b", "name": ".retrieve/b"}]}, "is no path below"),
        ({"http": [{"url": "http://a/[1-3].png", "name": "b"}]}, r"give it the same \[1-3\]"),
        ({"http": [{"url": "http://a/[1-3].png", "sha256": "0" * 64}]}, "sha256 is of one file"),
        ({"kaggle": {}}, "give competition or dataset, one of them"),
    ],
)
def test_a_wrong_route_is_named_and_no_login_repeated(tmp_path, capsys, route, said):
    content = yaml.safe_load(TINY.read_text())
    content["datasets"]["mine"] = {"adapter": "montgomery", "retrieve": route, "classification": {"classes": ["TB"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    assert cli.main(["retrieve", "mine", "--params", str(tmp_path / "params.yaml")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "datasets.mine.retrieve" in line
    assert re.search(said, line), line
    assert "secret" not in line
