"""Initialisations: what a run starts from, the order of columns, names of the paper."""

import pytest

from fxcore.report.finetuned import Initialisation, Origin, best, columns, initialisation, named, ours, shown
from tests.report.study import STUDY


@pytest.fixture
def results(tiny, handmade):
    return handmade(tiny(**STUDY))


def test_an_initialisation_is_where_weights_come_from_and_what_is_trained(results):
    runs = results.slice.runs
    found = {name: initialisation(results, runs[name]) for name in shown(results, "table5_transfer")}
    assert found == {
        "clavicle_random": Initialisation("Random", Origin.RANDOM),
        "clavicle_swin": Initialisation("Swin, ImageNet", Origin.FILE),
        "lung_random": Initialisation("Random", Origin.RANDOM),
        "clavicle_ark": Initialisation("Ark-6", Origin.RUN),
        "clavicle_fx": Initialisation("Foundation X", Origin.JOINT),
        "clavicle_head": Initialisation("Foundation X, head only", Origin.JOINT, head=True),
        "lung_fx": Initialisation("Foundation X", Origin.JOINT),
    }


def test_a_title_that_says_head_only_is_not_told_twice(results):
    assert initialisation(results, results.slice.runs["disease_head"]).label == "Foundation X, head only"


def test_what_was_asked_for_and_is_not_there_stands_among_the_files(results):
    found = columns(results, ["clavicle_fx", "clavicle_ark", "clavicle_random"], ("ImageNet", "Ark"))
    assert [one.label for one in found] == ["Random", "ImageNet", "Ark-6", "Foundation X"]
    assert [one.supplied for one in found] == [True, False, True, True]


def test_names_of_the_paper_are_whole_words():
    assert named("Ark")(Initialisation("Ark-6", Origin.RUN))
    assert named("Ark")(Initialisation("ark plus", Origin.FILE))
    assert not named("Ark")(Initialisation("Landmark", Origin.FILE))


def test_ours_is_the_whole_of_the_joint_run_and_the_best_is_of_the_others(results):
    names = shown(results, "table5_transfer", "jsrt_clavicle")
    values = {
        "clavicle_random": 0.5,
        "clavicle_swin": None,
        "clavicle_ark": 0.4,
        "clavicle_fx": 0.9,
        "clavicle_head": 0.8,
    }
    assert ours(results, names) == "clavicle_fx"
    assert best(results, names, values.get) == "clavicle_random"
    assert ours(results, ["clavicle_head", "clavicle_random"]) is None
    assert best(results, ["clavicle_fx", "clavicle_swin"], values.get) is None
