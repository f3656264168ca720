"""Images of self-supervision by source, the labelled ones by part, and what evaluation shares with training."""

from fxcore.report.cxrlt import cxrlt_data
from tests.report.cxrlt.study import CORPUS, SLICE, shown, study


def test_a_row_a_source_beside_the_published_number(tmp_path):
    rows = shown(cxrlt_data(study(tmp_path)))
    assert rows[1] == {
        "use": "self-supervision",
        "dataset": "Own",
        "data": "phantom",
        "part": "train 1,500, test 30",
        "images": "1,525",
        "left out": "5 of patients that are evaluated",
        "shared with the development set: images (groups)": "3 (2)",
        "shared with the test set: images (groups)": "0 (0)",
        "shared with the hand-labelled images: images (groups)": "1 (1)",
        "published images": "–",
        "note": "no published images: not published",
    }
    assert (rows[0]["images"], rows[0]["left out"], rows[0]["published images"]) == (
        *("80", "20 held out to choose rates", "207,096"),
    )
    assert rows[0]["note"].startswith("published: the 80 %")


def test_sources_of_the_slides_that_are_not_here_and_the_total_follow(tmp_path):
    table = cxrlt_data(study(tmp_path))
    absent, total = shown(table)[2:6], shown(table)[6]
    assert [(one["dataset"], one["images"], one["published images"]) for one in absent] == [
        ("CheXpert", "–", "223,648"),
        ("PadChest", "–", "160,861"),
        ("NIH ChestX-ray14", "–", "86,524"),
        ("BRAX", "–", "32,748"),
    ]
    assert absent[1]["note"] == "no images: not in this experiment"
    assert (total["dataset"], total["images"], total["published images"]) == ("total", "1,605", "710,877")
    assert (total["left out"], absent[0]["left out"]) == (
        "20 held out to choose rates, 5 of patients that are evaluated",
        "–",
    )
    assert total["shared with the development set: images (groups)"] == "3 (2)"
    assert table.records[6]["gold_groups"] == 1


def test_parts_of_the_labelled_data(tmp_path):
    rows = [one for one in shown(cxrlt_data(study(tmp_path))) if one["use"] == "labels"]
    assert [(one["dataset"], one["part"], one["images"], one["published images"]) for one in rows] == [
        ("CXR-LT 2024", "training", "80", "207,096"),
        ("CXR-LT 2024", "training, held out", "20", "51,775"),
        ("CXR-LT 2024", "development (validation split)", "40", "39,293"),
        ("CXR-LT 2024", "test", "50", "78,946"),
        ("CXR-LT gold", "labelled by hand", "12", "406"),
    ]


def test_what_cannot_be_known_is_said(tmp_path):
    corpus = {"sources": {"own": CORPUS["sources"]["own"]}, "total": 1525}
    table = cxrlt_data(study(tmp_path, SLICE | {"gold": None}, corpus=corpus))
    rows = shown(table)
    labels = [one for one in rows if one["use"] == "labels"]
    assert [one["images"] for one in labels] == ["–", "–", "40", "50", "–"]
    assert "CXR-LT 2024 is no source of self-supervision, 100 in all" in labels[0]["note"]
    assert "the experiment has no hand-labelled images" in labels[-1]["note"]
    assert table.missing == []


def test_published_parts_stand_beside_the_challenges_data_alone(tmp_path):
    table = cxrlt_data(study(tmp_path, adapter="folder"))
    labels = [one for one in shown(table) if one["use"] == "labels"]
    assert {one["published images"] for one in labels} == {"–"}
    assert {one["note"] for one in labels} == {"no published images: not the challenge's data"}


def test_a_set_that_was_not_looked_at_is_a_dash_with_a_reason(tmp_path):
    own = CORPUS["sources"]["own"]
    looked = {name: one for name, one in own["contamination"].items() if name != "gold"}
    corpus = {"sources": {"own": own | {"contamination": looked}}, "total": 1525}
    one = shown(cxrlt_data(study(tmp_path, SLICE | {"gold": None}, corpus=corpus)))[0]
    assert one["shared with the hand-labelled images: images (groups)"] == "–"
    assert "no images shared with the hand-labelled images: the experiment does not have this set" in one["note"]


def test_records_have_one_shape_and_the_caption_says_phantom(tmp_path):
    table = cxrlt_data(study(tmp_path))
    assert len({tuple(one) for one in table.records}) == 1
    assert table.caption.startswith("Phantom data")
    assert "710,877" in table.caption
