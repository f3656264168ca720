"""Heads on a frozen backbone: rates side by side, masks, views of a study, resuming, and what is predicted."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fxcore.cxrlt.features import PLAIN, Frozen, LabelledImages, frozen
from fxcore.cxrlt.fitting import Featured, Fitting, Listed
from fxcore.cxrlt.head import Lists, best, head
from fxcore.cxrlt.vit import VisionNetwork
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params.cxrlt import Fit, Head, Vit
from fxcore.slices.cxrlt import HeadSlice
from fxcore.slices.make import ssl_slice
from fxcore.tensorfile import read, write
from fxcore.training.save import Save
from tests.cxrlt.conftest import CLASSES

CPU = torch.device("cpu")
SIZES = Vit(patch=8, width=16, depth=2, heads=2, registers=1, layer_scale=0.5)
FIT = Fit(rates=(1e-3, 1e-2), batch_size=16, blocks=2, rescale=False, width=16, heads=2, feedforward=32, dropout=0.0)


@pytest.fixture
def backbone():
    torch.manual_seed(3)
    return Frozen(VisionNetwork(SIZES, 32).eval().requires_grad_(False), SIZES, 32, 2)


def _featured(backbone, stores, fit=FIT, **of):
    return Featured(backbone, LabelledImages(stores, 32, fit), Head(backbone="vit", resolution=32, **of), fit, CPU, 0)


def _slice(fit=FIT, **of):
    return HeadSlice(
        name="mine",
        store_size=32,
        seed=1,
        labels="labelled",
        gold="gold",
        holdout={"share": 0.25},
        head=Head(backbone="vit", resolution=32, **of),
        fit=fit,
    )


@pytest.fixture
def listed(labelled, gold):
    lists = Lists(_slice(), {"labelled": labelled, "gold": gold})
    return lists.train


def test_nobody_trains_who_is_measured(labelled, gold):
    """A training image of a test patient, as where the splits are a release's own."""
    train = labelled.rows(None, "train")
    test = labelled.rows(None, "test")

    def taken():
        lists = Lists(_slice(), {"labelled": labelled, "gold": gold})
        return {*lists.train.row, *lists.validation.row}

    before = taken()
    labelled.table.loc[train[0], "group"] = labelled.table["group"][test[0]]
    assert before - taken() == {train[0]}


def _fitted(featured, listed, rates, epochs=2, seed=5):
    made = Fitting(featured, listed, rates, epochs, seed)
    made.run(epochs, Save(None, None, {}), {})
    return made


def test_lists_are_the_rows_they_say(labelled, gold):
    lists = Lists(_slice(), {"labelled": labelled, "gold": gold})
    assert (len(lists.train), len(lists.validation)) == (32, 8)  # 2 of 10 patients, of 4 images each
    assert not set(lists.train.study) & set(lists.validation.study)
    sets = dict(zip(("dev", "test", "gold"), lists.judges(), strict=True))
    assert [(key, len(of)) for key, of in sets.values()] == [("labelled", 16), ("labelled", 16), ("gold", 8)]
    # by name: gold has Normal before Effusion, and no Mass
    of_gold = sets["gold"][1]
    assert of_gold.known.tolist() == [[True, False, True]] * 8
    assert of_gold.targets[:, 0].tolist() == gold.labels[:, 1].tolist()
    assert lists.prevalence == {"Effusion": 0.5, "Mass": 0.25, "Normal": 0.25}


@pytest.mark.parametrize("kind", ["linear", "ml_decoder"])
def test_rates_side_by_side_are_rates_alone(backbone, labelled, listed, kind):
    featured = _featured(backbone, [labelled], kind=kind)
    both, alone = _fitted(featured, listed, (1e-3, 1e-2)), _fitted(featured, listed, (1e-2,))
    for mine, its in zip(both.heads[1].parameters(), alone.heads[0].parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-7)


def test_what_is_unknown_changes_no_head(backbone, labelled, listed):
    """Labels of unknown classes may be anything, for every rate: the published sweep told only the first."""
    known = listed.known.copy()
    known[::2, 1] = False
    other = listed.targets.copy()
    other[::2, 1] = 1 - other[::2, 1]
    featured = _featured(backbone, [labelled])
    one, two = (
        _fitted(featured, Listed(listed.store, listed.row, listed.study, targets, known), FIT.rates)
        for targets in (listed.targets, other)
    )
    assert all(torch.equal(mine, its) for mine, its in zip(one.heads.parameters(), two.heads.parameters(), strict=True))


def test_kept_features_are_those_of_the_images_as_they_are(backbone, labelled, listed):
    featured = _featured(backbone, [labelled], FIT.model_copy(update={"cache": True}))
    kept = _fitted(featured, listed, (1e-2,))
    keys = [[(0, int(row), PLAIN) for row in listed.row]]
    torch.testing.assert_close(kept._cache, torch.cat(list(featured.of(keys))))


def test_two_views_join_the_cls_of_two_images_of_a_study(backbone, labelled, listed):
    one, two = (_featured(backbone, [labelled], views=views) for views in (1, 2))
    assert (one.width, two.width) == (32, 64)
    whole = torch.cat(list(two.plain(listed)))
    alone = torch.cat(list(one.plain(listed)))
    assert torch.equal(whole[:, :32], alone)
    # studies are of two images: beside each stands the other
    pairs = zip(listed.study, listed.row, strict=True)
    beside = [int(np.flatnonzero((listed.study == study) & (listed.row != row))[0]) for study, row in pairs]
    assert torch.equal(whole[:, 32:], alone[beside])


def test_stretched_greys_fill_the_range_and_a_picture_of_one_value_stays():
    class Store:
        def image(self, row):
            return np.stack([np.full((32, 32), 7), np.tile(np.arange(32) + 90, (32, 1))])[row].astype(np.uint8)

    stretched = LabelledImages([Store()], 32, Fit())
    assert stretched[0, 0, PLAIN].unique().tolist() == pytest.approx([7 / 255])
    assert (float(stretched[0, 1, PLAIN].min()), float(stretched[0, 1, PLAIN].max())) == (0, 1)


def test_the_best_rate_is_that_of_the_highest_map_and_of_equals_the_lowest():
    assert best([{"rate": 1e-4, "map": 0.2}, {"rate": 1e-3, "map": 0.3}, {"rate": 1e-2, "map": 0.3}]) == 1e-3


# The job


@pytest.fixture
def kept(tiny, tmp_path):
    """A stage of a backbone as `ssl` leaves it, drawn and not trained."""
    slice_ = ssl_slice(tiny(), "random", 48)
    slice_ = slice_.model_copy(update={"stage": slice_.stage.model_copy(update={"resolution": 32}), "vit": SIZES})
    torch.manual_seed(3)
    tensors = VisionNetwork(SIZES, 32).state_dict()
    path = tmp_path / "vit.safetensors"
    write(
        path,
        {f"teacher.backbone.{name}": of for name, of in tensors.items()},
        {"provenance": {"params": slice_.model_dump(mode="json")}},
    )
    return path


def _run(kept, stores, folder, slice_, machine=None):
    machine = machine or Machine(autosave=0)
    folder.mkdir(exist_ok=True)
    head(slice_, kept, stores, machine, 0, folder / "w.safetensors", folder / "p.parquet", folder / "work.safetensors")
    return folder


@pytest.mark.parametrize("kind", ["linear", "ml_decoder"])
def test_a_head_learns_what_can_be_seen(kept, labelled, gold, tmp_path, kind):
    """Pictures with an effusion are brighter: even features of a drawn network tell."""
    stores = {"labelled": labelled, "gold": gold}
    folder = _run(kept, stores, tmp_path / "out", _slice(kind=kind, epochs=12), Machine(autosave=None))
    table = pd.read_parquet(folder / "p.parquet")
    assert table.groupby(["dataset", "label"]).size().to_dict() == {
        ("gold", "Effusion"): 8,
        **{("gold", name): 8 for name in ("Mass", "Normal")},
        **{("labelled", name): 32 for name in CLASSES},
    }
    of = table[(table["dataset"] == "labelled") & (table["label"] == "Effusion")]
    assert roc_auc_score(labelled.labels[of["row"], 0], of["score"]) > 0.95
    facts = json.loads((folder / "p.json").read_text())
    assert [one["rate"] for one in facts["rates"]] == [1e-3, 1e-2]
    assert facts["rate"] == best(facts["rates"])
    assert facts["images"] == {"train": 32, "held_out": 8}
    assert read(folder / "w.safetensors")[1]["classes"] == list(CLASSES)


class Interrupted(BaseException):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("after", [3, 7])
def test_an_interrupted_head_ends_with_the_same_bytes(kept, labelled, gold, tmp_path, monkeypatch, after):
    """The sweep has 2 epochs of 2 updates, the second training 2 of 3."""
    stores, slice_ = {"labelled": labelled, "gold": gold}, _slice(kind="ml_decoder", epochs=2)
    whole = _run(kept, stores, tmp_path / "whole", slice_)
    update, done = Fitting._update, []

    def broken(self, *arguments):
        if len(done) == after:
            raise Interrupted
        done.append(1)
        return update(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "_update", broken)
        with pytest.raises(Interrupted):
            _run(kept, stores, tmp_path / "cut", slice_)
    cut = _run(kept, stores, tmp_path / "cut", slice_)
    for name in ("w.safetensors", "p.parquet", "p.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (cut / "work.safetensors").exists()


def test_an_early_stop_ends_in_mid_schedule(backbone, labelled, listed):
    featured = _featured(backbone, [labelled])
    stopped = Fitting(featured, listed, (1e-2,), 10, 5)
    stopped.run(2, Save(None, None, {}), {})
    assert stopped.updates == 2 * stopped.per_epoch
    # the last update had the rate of a cosine over all ten epochs
    done = (stopped.updates - 1) / (10 * stopped.per_epoch)
    assert stopped.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.5 * (1 + np.cos(np.pi * done)))


def test_classes_without_positives_among_the_held_out_images_choose_nothing(kept, labelled, gold, tmp_path, caplog):
    labelled.labels[:40, 1] = 0
    with caplog.at_level("INFO", logger="fxcore"):
        _run(kept, {"labelled": labelled, "gold": gold}, tmp_path / "out", _slice(epochs=1))
    assert "1 classes have no positives among the held-out images" in caplog.text
    labelled.labels[:40] = 0
    with pytest.raises(InputError, match=r"cxrlt\.heads\.mine: no class has positives among the 8 held-out images"):
        _run(kept, {"labelled": labelled, "gold": gold}, tmp_path / "none", _slice(epochs=1))


def test_a_file_that_is_no_backbone_is_named(tmp_path):
    write(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="is no backbone"):
        frozen(tmp_path / "x.safetensors", 2)
