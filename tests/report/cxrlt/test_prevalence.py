"""AP against prevalence: the points, the panels, and names that cover nothing."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fxcore.data.adapters.cxr_lt_2024 import FINDINGS
from fxcore.errors import InputError
from fxcore.report.cxrlt import cxrlt_prevalence
from fxcore.report.cxrlt.labels import words
from fxcore.report.cxrlt.prevalence import points, shown
from tests.report.cxrlt.study import FREQUENCY, METRICS, PREVALENCE, SLICE, both, cell, metric, study


def test_a_point_a_class_in_percent(tmp_path):
    found = points(study(tmp_path), "mld")
    assert [(one.name, one.prevalence, one.ap, one.group) for one in found] == [
        ("Edema", 25, 32, "head"),
        ("Fissure", 0.5, 32, "tail"),
        ("Mass", 5, 32, "medium"),
        ("Nodule", 2, 32, "medium"),
    ]
    assert (found[0].low, found[0].high) == (pytest.approx(31), pytest.approx(33))


def test_the_best_head_and_the_best_ensemble_are_shown(tmp_path):
    assert shown(study(tmp_path)) == ["mld", "two"]


def test_without_ensembles_the_best_two_heads_are_shown(tmp_path):
    assert shown(study(tmp_path, SLICE | {"ensembles": {}})) == ["mld", "pair"]


def test_groups_are_told_apart_by_mark_and_colour_on_a_logarithmic_axis(tmp_path):
    drawn = cxrlt_prevalence(study(tmp_path))
    axes = drawn.figure.axes
    assert [axis.get_title("left") for axis in axes] == ["ViT-L@336, ML-Decoder: mAP 32.0", "Two resolutions: mAP 34.0"]
    for axis in axes:
        assert axis.get_xscale() == "log"
        marks = [line for line in axis.get_lines() if line.get_marker() not in ("None", "")]
        assert {(line.get_marker(), line.get_color()) for line in marks} == {
            ("o", "#0072B2"),
            ("s", "#009E73"),
            ("^", "#D55E00"),
        }
        assert sorted(x for line in marks for x in line.get_xdata()) == [0.5, 2, 5, 25]
    assert "frequent (head): 1 classes" not in drawn.caption


def test_what_has_no_point_is_said(tmp_path):
    holed = {"Edema": 0.4, "Mass": None, "Nodule": 0.2, "Fissure": 0.1}
    dev = {"task1": both(0.3, 0.3, 0.0, map=metric(0.3, holed, Mass="no positives"))}
    results = study(tmp_path, metrics=METRICS | {"mld": {"dev": dev}}, prevalence=PREVALENCE | {"Fissure": 0})
    assert [one.name for one in points(results, "mld")] == ["Edema", "Nodule"]
    caption = cxrlt_prevalence(results).caption
    assert "1 of 4 classes has no positives in the development set (Mass)" in caption
    assert "no training image has Fissure" in caption


def test_without_a_single_ap_the_panels_are_empty_and_say_why(tmp_path):
    none = dict.fromkeys(FREQUENCY)
    dev = {"task1": both(None, None, None, map=metric(None, none, **dict.fromkeys(none, "no positives")))}
    drawn = cxrlt_prevalence(study(tmp_path, metrics={name: {"dev": dev} for name in METRICS}))
    assert [axis.get_title("left").partition(": ")[2] for axis in drawn.figure.axes] == ["mAP undefined"] * 2
    assert "4 of 4 classes have no positives" in drawn.caption


def test_the_caption_says_data_and_split(tmp_path):
    caption = cxrlt_prevalence(study(tmp_path)).caption
    assert caption.startswith("Phantom data: synthetic pictures, not radiographs. Development set of CXR-LT 2024")
    assert "average precision of each class against the share of training images" in caption


def forty(root):
    """As many classes as the challenge has, the numbers invented: the rarer, the worse, and unevenly so."""
    draw = np.random.default_rng(1)
    shares = np.geomspace(0.0005, 0.35, 40)
    found = dict(zip(FINDINGS, np.minimum(0.95, shares**0.4 * draw.uniform(0.3, 1.2, 40)), strict=True))
    prevalence = dict(zip(FINDINGS, shares, strict=True))
    groups = {
        name: "head" if share > 0.1 else "medium" if share > 0.01 else "tail" for name, share in prevalence.items()
    }
    of = {"dev": {"task1": {"average": cell(map=metric(0.3, found))}}}
    return study(root, metrics={"mld": of, "pair": {}, "tiny": {}, "two": of}, prevalence=prevalence, frequency=groups)


def test_names_cover_neither_one_another_nor_a_point(tmp_path):
    results = forty(tmp_path)
    drawn, found = cxrlt_prevalence(results), points(results, "mld")
    canvas = FigureCanvasAgg(drawn.figure)
    canvas.draw()
    for axis in drawn.figure.axes:
        texts = [text for text in axis.texts if text.get_text()]
        boxes = [words(text, canvas.get_renderer()) for text in texts]
        assert 10 < len(texts) <= 40
        assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])
        places = axis.transData.transform([(one.prevalence, one.ap) for one in found])
        assert not any(box.contains(*place) for box in boxes for place in places)
        assert {FINDINGS[0], max(found, key=lambda one: one.ap).name} <= {text.get_text() for text in texts}


def test_without_heads_there_is_no_figure(tmp_path):
    with pytest.raises(InputError, match=r"cxrlt\.heads is empty"):
        cxrlt_prevalence(study(tmp_path, SLICE | {"heads": {}, "ensembles": {}}))
