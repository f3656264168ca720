"""The Python of docs/how-to/predict.md runs as it stands, and agrees with itself."""

import re

import numpy as np
import pytest
from PIL import Image

from fxcore.models import artifact
from fxcore.models.artifact import Card, Data
from fxcore.models.foundation import FoundationX
from fxcore.params.model import Model
from fxcore.phantom.scene import draw
from tests.conftest import PROJECT
from tests.models.test_foundation import MODEL

CLASSES = dict.fromkeys(("classification", "localization", "segmentation"), ("Pneumothorax",))


def test_the_python_of_the_page(tmp_path, monkeypatch):
    card = Card(
        title="Test",
        origin={},
        licence="none",
        model=Model.model_validate(MODEL),
        data={"siim_acr": Data(title="SIIM-ACR", classes=CLASSES)},
    )
    model = FoundationX(card.model, card.heads, seed=5)
    (tmp_path / "results/weights").mkdir(parents=True)
    artifact.write(tmp_path / "results/weights/foundation_x.safetensors", model.state_dict(), card)
    picture = draw(np.random.Generator(np.random.PCG64(0)), (), 96).pixels
    Image.fromarray(picture).save(tmp_path / "scan.png")
    page = (PROJECT / "docs/how-to/predict.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace("scan.dcm", "scan.png"), names)  # noqa: S102 - our own page
    assert set(names["found"]) == {"title", *CLASSES}
    assert len(names["found"]["localization"]) == 5
    assert names["boxes"].shape[2] == 4
    assert names["masks"].shape == (1, 1, card.model.image_size, card.model.image_size)
    said = names["logits"].sigmoid().item()
    assert names["found"]["classification"]["Pneumothorax"] == pytest.approx(said, abs=1e-6)
