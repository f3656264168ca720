"""Predictions of image files: the network's own answers in the picture's pixels, resumed where they were left."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torchvision.transforms import v2

from fxcore.errors import InputError
from fxcore.models import artifact
from fxcore.models.artifact import Card, Data
from fxcore.models.foundation import FoundationX
from fxcore.params.model import Model
from fxcore.phantom.scene import draw
from fxcore.predict import predict as module
from fxcore.predict.options import Options
from fxcore.predict.predict import predict
from tests.models.test_foundation import MODEL

CLASSES = {
    "a": {"classification": ("Nodule", "Mass"), "localization": ("Nodule", "Mass", "Effusion")},
    "b": {"classification": ("TB",), "segmentation": ("Lungs", "Heart")},
}
SIZES = {"one": (200, 120), "two": (96, 160), "three": (130, 130)}
"""Height and width of each picture."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights file of a random network whose boxes are not all alike."""
    data = {key: Data(title=key.upper(), classes=classes, synthetic=key == "b") for key, classes in CLASSES.items()}
    card = Card(title="Test", origin={}, licence="none", model=Model.model_validate(MODEL), store_size=80, data=data)
    model = FoundationX(card.model, card.heads, seed=5)
    torch.manual_seed(6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("weights") / "test.safetensors"
    artifact.write(path, model.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures that are not square."""
    made = tmp_path_factory.mktemp("images")
    for number, (name, (height, width)) in enumerate(SIZES.items()):
        pixels = draw(np.random.Generator(np.random.PCG64(number)), (), 200).pixels
        Image.fromarray(pixels).crop((0, 0, width, height)).save(made / f"{name}.png")
    return made


def _predict(paths, weights, output, *datasets, **how):
    return predict(paths, weights, datasets, output, torch.device("cpu"), Options(**how))


def _read(output, name):
    return json.loads((output / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def output(folder, weights, tmp_path_factory):
    made = tmp_path_factory.mktemp("predictions")
    _predict([folder], weights, made, detections=5, batch=2)
    return made


def _input(folder, name):
    """The picture as the network was trained on: reduced to the store's size by area, then to the input's."""
    stored = np.asarray(Image.open(folder / f"{name}.png").resize((80, 80), Image.Resampling.BOX))
    small = v2.functional.resize(torch.from_numpy(stored.copy())[None], [64, 64], antialias=True)
    return (small[None].float() / 255 - 0.5056) / 0.252


@pytest.mark.parametrize("name", SIZES)
def test_what_is_written_is_what_the_network_says(output, folder, weights, name):
    model, (height, width) = artifact.read(weights).model, SIZES[name]
    found = _read(output, name)
    assert (found["image"], found["height"], found["width"]) == (f"{name}.png", height, width)
    assert found["synthetic"] is True
    with torch.no_grad():
        image = _input(folder, name)
        for key, classes in CLASSES.items():
            expected = model.classify(image, key).logits[0].sigmoid().tolist()
            written = found["datasets"][key]["classification"]
            assert written == pytest.approx(dict(zip(classes["classification"], expected, strict=True)), abs=1e-4)
        boxes, logits = (getattr(model.localize(image, "a"), part)[0] for part in ("boxes", "logits"))
        masks = torch.nn.functional.interpolate(model.segment(image, "b").logits, (height, width), mode="bilinear") > 0
    scores, places = logits.sigmoid().flatten().sort(descending=True)
    for one, score, place in zip(found["datasets"]["a"]["localization"], scores[:5], places[:5], strict=True):
        x, y, w, h = boxes[place // 3].tolist()
        left, top = max(0, x - w / 2) * width, max(0, y - h / 2) * height
        right, bottom = min(1, x + w / 2) * width, min(1, y + h / 2) * height
        assert one["score"] == pytest.approx(float(score), abs=1e-4)
        assert one["label"] == CLASSES["a"]["localization"][int(place) % 3]
        assert one["box"] == pytest.approx([left, top, right - left, bottom - top], abs=0.05)
    for label, mask in zip(CLASSES["b"]["segmentation"], masks[0].numpy(), strict=True):
        decoded = coco_mask.decode(found["datasets"]["b"]["segmentation"][label])
        assert decoded.shape == (height, width)
        assert (decoded != mask).mean() < 0.002  # pixels at the very edge


def test_batches_do_not_matter(output, folder, weights, tmp_path):
    _predict([folder / "three.png"], weights, tmp_path, detections=5, batch=1)
    one, other = _read(tmp_path, "three")["datasets"], _read(output, "three")["datasets"]
    assert one["a"]["classification"] == pytest.approx(other["a"]["classification"], abs=2e-6)
    for mine, theirs in zip(one["a"]["localization"], other["a"]["localization"], strict=True):
        assert mine["box"] == pytest.approx(theirs["box"], abs=0.02)


def test_every_image_has_its_overlay_and_the_page_shows_them(output):
    names = {path.name for path in output.iterdir()}
    assert names == {"index.html", *(f"{name}.{kind}" for name in SIZES for kind in ("json", "png"))}
    page = (output / "index.html").read_text()
    assert all(f"{name}.png" in page for name in SIZES)


def test_only_the_asked_heads_answer(folder, weights, tmp_path):
    _predict([folder / "one.png"], weights, tmp_path, "b")
    assert list(_read(tmp_path, "one")["datasets"]) == ["b"]


def test_what_is_done_is_not_done_again(folder, weights, tmp_path, monkeypatch):
    _predict([folder / "one.png"], weights, tmp_path)
    before = (tmp_path / "one.json").read_bytes()
    seen = []
    predicts = module.Predictor.predict
    monkeypatch.setattr(module.Predictor, "predict", lambda self, all_: seen.append(len(all_)) or predicts(self, all_))
    assert _predict([folder], weights, tmp_path).startswith("3 images (1 there already)")
    assert seen == [2]
    assert (tmp_path / "one.json").read_bytes() == before
    _predict([folder / "one.png"], weights, tmp_path, "b")  # other heads
    (tmp_path / "two.png").unlink()  # an overlay is gone
    _predict([folder], weights, tmp_path)
    assert seen == [2, 1, 2]
    _predict([folder / "three.png"], weights, tmp_path, threshold=0.5)  # other boxes are drawn
    _predict([folder / "three.png"], weights, tmp_path, threshold=0.5)
    _predict([folder / "three.png"], weights, tmp_path, threshold=0.5, detections=3)
    assert seen == [2, 1, 2, 1, 1]


def test_the_page_shows_all_that_a_folder_holds(folder, weights, tmp_path):
    _predict([folder / "one.png"], weights, tmp_path)
    (tmp_path / "notes.json").write_text('{"of": "somebody else"}')
    (tmp_path / "torn.json").write_text('{"image": ')
    assert _predict([folder / "two.png"], weights, tmp_path).startswith("1 image (0 there already)")
    page = (tmp_path / "index.html").read_text()
    assert "<h1>2 images</h1>" in page
    assert page.index('alt="two.png') < page.index('alt="one.png')
    (tmp_path / "one.png").unlink()
    _predict([folder / "two.png"], weights, tmp_path)
    assert "<h1>1 image</h1>" in (tmp_path / "index.html").read_text()


def test_a_refused_image_is_said_and_the_others_are_done(folder, weights, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(InputError, match=r"bad\.png.*; 1 of 4 images were refused, the others are done") as caught:
        _predict([folder, tmp_path / "bad.png"], weights, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert {path.stem for path in (tmp_path / "out").glob("*.json")} == set(SIZES)
    assert "bad" not in (tmp_path / "out/index.html").read_text()


def test_a_single_refused_image_leaves_nothing(weights, tmp_path):
    Image.new("L", (100, 100)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match=r"black\.png"):
        _predict([tmp_path / "black.png"], weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_of_one_stem_have_names_of_their_own(folder, weights, tmp_path):
    Image.open(folder / "one.png").save(tmp_path / "one.jpg")
    _predict([folder / "one.png", tmp_path / "one.jpg"], weights, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.json")} == {"one_png.json", "one_jpg.json"}
    (tmp_path / "again").mkdir()
    Image.open(folder / "one.png").save(tmp_path / "again/one.png")
    with pytest.raises(InputError, match=r"again/one\.png: has the same name as .*one\.png; predict them into two"):
        _predict([folder / "one.png", tmp_path / "again/one.png"], weights, tmp_path / "out")


def test_unknown_heads_and_weights_without_heads_are_said(folder, weights, tmp_path):
    with pytest.raises(InputError, match=r"--datasets c: test\.safetensors has no such heads; known: a, b"):
        _predict([folder], weights, tmp_path / "out", "c")
    card = Card(title="Part", origin={}, licence="none", model=Model.model_validate(MODEL), data={})
    artifact.write(tmp_path / "part.safetensors", FoundationX(card.model, {}).state_dict(), card)
    with pytest.raises(InputError, match=r"part\.safetensors: is a part of a network without heads"):
        _predict([folder], tmp_path / "part.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_real_radiographs_as_jpeg_and_dicom(shared, weights, tmp_path):
    native = shared("cxr-real")
    pictures = sorted((native / "images").iterdir())[:2]
    _predict([*pictures, native / "native/dicom/RG1_J2KI.dcm"], weights, tmp_path, threshold=0.9)
    found = {one["image"]: one for one in (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))}
    assert len(found) == 3
    assert (found["RG1_J2KI.dcm"]["width"], found["RG1_J2KI.dcm"]["height"]) == (
        1841,
        1955,
    )  # columns and rows of its header
    for path in pictures:
        with Image.open(path) as picture:
            assert (found[path.name]["width"], found[path.name]["height"]) == picture.size
