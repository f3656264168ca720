"""Settings of each backbone beside the slides, the code and the log."""

import pytest

from fxcore.errors import InputError
from fxcore.report.cxrlt import cxrlt_settings
from fxcore.report.cxrlt.settings import printed
from fxcore.slices.cxrlt_report import flat
from tests.report.cxrlt.study import SLICE, shown, study


@pytest.fixture
def table(tmp_path):
    return cxrlt_settings(study(tmp_path))


def _row(table, of, setting):
    (found,) = [one for one in shown(table) if (one["of"], one["setting"]) == (of, setting)]
    return list(found.values())[2:]


def test_ours_and_theirs_in_columns_of_their_own(table):
    assert table.header == [
        *("of", "setting", "ViT-L", "Tiny ViT", "published: slides", "published: code"),
        *("published: log of the stage at 512", "note"),
    ]
    assert _row(table, "network", "width") == [
        *("1,024", "48", "–", "1,024", "–"),
        "published: ViT-L; of ViT-B, which the slides have, too, the code has nothing",
    ]
    assert _row(table, "projection", "prototypes") == ["131,072", "64", "–", "131,072", "–", ""]


def test_where_slides_code_and_log_differ(table):
    assert _row(table, "stage at 448 pixels", "local crop")[2:5] == ["144", "128", "–"]
    assert _row(table, "stage at 512 pixels", "batch")[2:5] == ["–", "80 (8 × 10)", "112 (8 × 14)"]
    assert _row(table, "stage at 512 pixels", "starts from")[2:5] == ["224", "224", "448"]
    updates = _row(table, "stage at 224 pixels", "updates")
    assert updates[:5] == ["250,000", "no such stage", "100 × 25,000", "100 × 2,500", "–"]
    assert "misprint" in updates[5]


def test_stages_of_ours_stand_at_their_resolution(table):
    stages = list(dict.fromkeys(one["of"] for one in shown(table)))
    assert stages == [
        "network",
        *(f"stage at {size} pixels" for size in (32, 224, 336, 448, 512)),
        *("training", "crops", "masking", "projection"),
    ]
    assert _row(table, "stage at 32 pixels", "updates") == ["no such stage", "4", "–", "–", "–", "not published"]
    untrained = [_row(table, "stage at 336 pixels", name)[0] for name in ("local crop", "batch", "updates")]
    assert untrained == ["not trained"] * 3
    assert [_row(table, f"stage at {size} pixels", "starts from")[0] for size in (224, 336)] == [
        "random weights",
        "224",
    ]


def test_a_network_that_is_never_trained_has_no_settings_of_training(tmp_path):
    (stage,) = SLICE["backbones"]["tiny"]["stages"]
    random = SLICE["backbones"]["tiny"] | {"stages": [stage | {"updates": 0}]}
    table = cxrlt_settings(study(tmp_path, SLICE | {"backbones": SLICE["backbones"] | {"tiny": random}}))
    assert _row(table, "projection", "prototypes")[:2] == ["131,072", "not trained"]
    assert _row(table, "network", "blocks")[:2] == ["24", "2"]


def test_settings_of_ours_alone_come_last_in_their_block(table):
    last = {one["of"]: one["setting"] for one in shown(table)}
    assert (last["training"], last["crops"]) == ("ramp", "packed")
    assert _row(table, "crops", "packed")[:2] == ["no such setting", "yes"]
    assert _row(table, "training", "ramp") == ["no such setting", "0.04, 0.07", "–", "–", "–", "not published"]


def test_a_record_a_backbone_and_setting(table):
    (one,) = [one for one in table.records if (one["key"], one["backbone"]) == ("224.updates", "tiny")]
    assert (one["value"], one["published_repository"]) == (None, "100 × 2,500")
    assert one["note"].startswith("no such stage; published: 25,000 is likely a misprint")
    assert len({tuple(one) for one in table.records}) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(131072, "131,072"), (2e-4, "0.0002"), (True, "yes"), ("adamw", "adamw"), ((0.9, 1), "0.9, 1")]
)
def test_values_as_printed(value, text):
    assert printed(value) == text


def test_a_block_of_parameters_by_dotted_names():
    block = {"rate": 2e-4, "momentum": {"start": 0.9, "end": 1}, "crops": {"flip": 0.5, "area": [0.1, 1.0]}}
    assert flat(block) == {"rate": 2e-4, "momentum": (0.9, 1), "crops.flip": 0.5, "crops.area": (0.1, 1.0)}


def test_without_backbones_there_is_no_table(tmp_path):
    with pytest.raises(InputError, match=r"cxrlt\.backbones is empty"):
        cxrlt_settings(study(tmp_path, SLICE | {"backbones": {}}))
