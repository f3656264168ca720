"""Logins and keys in addresses: in no error, no slice, no command line and no record, wherever somebody put them."""

import json

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from fxcore.errors import InputError
from fxcore.escaping import redacted, without_secrets
from fxcore.machine import Machine
from fxcore.params import experiment
from fxcore.params.experiment import Params
from fxcore.planning.plan import Plan
from fxcore.slices import make
from tests.conftest import BESIDE, FOLDER_PARAMS, TINY
from tests.hostile.mutations import refused, some, written

KEY = "t0ken-of-nobody"
URLS = (
    f"https://x.invalid/a.zip?token={KEY}",
    f"https://me:{KEY}@x.invalid/a.zip",
    f"https://{KEY}@x.invalid/a.zip#{KEY}",
    f"HTTP://me:{KEY}@x.invalid",
    f"ftp://me:{KEY}@x.invalid/a?b=c",
    f"https://[{KEY}",
    f"https://x.invalid/?{KEY}",
)


def content(retrieve):
    """The tiny experiment with a dataset that is fetched."""
    made = yaml.safe_load(TINY.read_text()) | BESIDE | {"report": {}}
    made["datasets"] = {"mine": FOLDER_PARAMS | {"source": "retrieve", "retrieve": retrieve}}
    train = {"visits": {"mine": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
    return made | {"runs": {"joint": {"title": "J", "role": "joint", "train": train}}}


PLACES = {
    "url": lambda url: {"http": [{"url": url, "sizee": 3}]},
    "a list of urls": lambda url: {"http": [{"url": [url]}]},
    "route": lambda url: url,
    "list of routes": lambda url: [url],
    "http alone": lambda url: {"http": url},
    "physionet": lambda url: {"physionet": {"url": url, "only": url}},
    "kaggle": lambda url: {"kaggle": {"dataset": url}},
    "checksum": lambda url: {"http": [{"url": "https://x.invalid/a", "sha256": url}]},
    "key": lambda url: {url: 1},
    "two routes": lambda url: {"http": [url], "physionet": url},
    "by hand": lambda url: {"by_hand": url},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("url", URLS)
def test_a_mistake_in_a_route_is_said_without_its_key(tmp_path, place, url):
    file = written(tmp_path / "params.yaml", yaml.safe_dump(content(PLACES[place](url))).encode())
    said = refused(lambda: experiment.load(file), file)
    assert said
    assert KEY not in said


@pytest.mark.parametrize("url", URLS)
def test_a_url_anywhere_else_is_said_without_its_key(tmp_path, url):
    for key in ("results_root", "seed", "datasets", "runs", "cxrlt", url):
        file = written(
            tmp_path / "params.yaml", yaml.safe_dump(yaml.safe_load(TINY.read_text()) | {key: [url]}).encode()
        )
        said = refused(lambda file=file: experiment.load(file), file)
        assert said
        assert KEY not in said


def test_no_slice_and_no_command_line_has_a_key():
    """A slice is on the command line of its job, in the manifest of a store and in the card of weights."""
    params = Params.model_validate(content({"http": [URLS[0]]}))
    assert KEY in make.retrieve_slice(params, "mine").canonical()  # which the command reads itself
    slices = [
        make.store_slice(params, "mine"),
        make.leakage_slice(params),
        make.table_slice(params),
        make.figure_slice(params),
    ]
    slices += [of(params, "joint") for of in (make.visits_slice, make.train_slice, make.score_slice, make.keep_slice)]
    slices += [make.evaluate_slice(params, "joint"), make.split_slice(params, "mine")]
    assert KEY not in json.dumps([one.model_dump(mode="json") for one in slices])
    plan = Plan(params, Machine())
    assert KEY not in plan.supply.retrieve_slice(type("Wildcards", (), {"dataset": "mine"})())


@example(f"x https://me:{KEY}@x.invalid/?{KEY} y")
@some
@given(st.text(max_size=40))
def test_text_without_a_url_stays_as_it_is(text):
    assert KEY not in without_secrets(text)
    assert "://" in text or without_secrets(text) == text
    assert KEY not in str(InputError(f"{text} https://me:{KEY}@x.invalid/a?b={KEY} {text}"))


def test_redacting_keeps_what_tells_a_place():
    assert redacted(URLS[0]) == "https://x.invalid/a.zip?…"
    assert redacted(URLS[1]) == redacted(URLS[2]) == "https://x.invalid/a.zip"
    assert redacted("https://x.invalid:80/a b") == "https://x.invalid:80/a b"
