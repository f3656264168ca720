"""What the overlay shows and where, in pixels worked out by hand."""

import itertools
import json

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from fxcore.data import radiograph, rle
from fxcore.predict import overlay
from fxcore.predict.overlay import Area, Line

IMAGE = np.full((100, 80), 128, dtype=np.uint8)
"""Drawn nine times as large, 720 × 900, its top left at 18, 46: margin, then a line of 18 and a gap of 10."""
MASK = np.zeros((100, 80), dtype=bool)
MASK[20:60, 10:40] = True


def prediction(**datasets):
    return {
        "image": "a.png",
        "width": 80,
        "height": 100,
        "weights": {"file": "net.safetensors", "sha256": "00"},
        "synthetic": False,
        "datasets": {key: {"title": key.upper()} | of for key, of in datasets.items()},
    }


def box(label, score, *xywh):
    return {"label": label, "score": score, "box": list(xywh)}


def mask(of=MASK):
    encoded = rle.encode(of)
    return {"size": encoded["size"], "counts": encoded["counts"]}


FOUND = prediction(
    det={
        "classification": {"Mass": 0.07, "Nodule": 0.83, "Effusion": 0.83},
        "localization": [
            box("Nodule", 0.71, 10, 20, 30, 40),
            box("Mass", 0.3, 50, 70, 10, 10),
            box("Mass", 0.29, 1, 1, 5, 5),
        ],
        "segmentation": {"Effusion": mask(), "Mass": mask(~MASK & False)},
    }
)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def extents(figure, *words):
    return [
        text.get_window_extent()
        for text in figure.findobj(Text)
        if text.get_text() and text.get_text().startswith(words)
    ]


def drawn(tmp_path, found, image=IMAGE, **options):
    overlay.draw(image, found, tmp_path / "o.png", **options)
    with Image.open(tmp_path / "o.png") as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_the_radiograph_is_shown_pixel_for_pixel_and_900_high(tmp_path):
    pixels = drawn(tmp_path, prediction(det={"classification": {"Mass": 0.5}}))
    assert (pixels[46:946, 18:738] == 128).all()
    assert (pixels[45, 18:738] != 128).any()
    assert (pixels[46:946, 738:] == 128).all(axis=2).sum() < 100  # edges of letters only


def test_a_file_is_written_whole_and_equal_input_is_equal_bytes(tmp_path):
    overlay.draw(IMAGE, FOUND, tmp_path / "new" / "1.png")
    overlay.draw(IMAGE, json.loads(json.dumps(FOUND)), tmp_path / "new" / "2.png")
    assert (tmp_path / "new" / "1.png").read_bytes() == (tmp_path / "new" / "2.png").read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["1.png", "2.png"]


def test_a_prediction_that_cannot_be_drawn_leaves_the_file_of_before(tmp_path):
    (tmp_path / "1.png").write_bytes(b"before")
    with pytest.raises(KeyError):
        overlay.draw(IMAGE, {"image": "a.png"}, tmp_path / "1.png")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("1.png", b"before")]


def test_boxes_below_the_threshold_are_absent():
    boxes = ["Nodule 71 %", "Mass 30 %", "Mass 29 %"]
    shown = {at: [name for name in boxes if name in texts(overlay.compose(IMAGE, FOUND, at))] for at in (0.1, 0.3, 0.5)}
    assert shown == {0.1: boxes, 0.3: boxes[:2], 0.5: boxes[:1]}
    outlines = [patch for patch in overlay.compose(IMAGE, FOUND, 0.5).findobj(Rectangle) if not patch.get_fill()]
    assert [patch.get_bbox().bounds for patch in outlines] == [(18 + 9 * 10, 46 + 9 * 20, 270, 360)]


def test_what_goes_over_the_edge_of_the_radiograph_is_left_out():
    found = prediction(det={"localization": [box("Mass", 0.9, -5, 90, 200, 30)]})
    (outline,) = [patch for patch in overlay.compose(IMAGE, found).findobj(Rectangle) if not patch.get_fill()]
    assert outline.get_bbox().bounds == (18, 46 + 810, 720, 90)


def test_a_mask_is_tinted_and_outlined_where_it_is(tmp_path):
    pixels = drawn(tmp_path, prediction(det={"segmentation": {"Effusion": mask()}}))
    inside, outside = pixels[46 + 9 * 30, 18 + 9 * 25], pixels[46 + 9 * 80, 18 + 9 * 25]
    colour = np.array([int(overlay.colours(["Effusion"])["Effusion"][at : at + 2], 16) for at in (1, 3, 5)])
    np.testing.assert_allclose(inside, 0.9 * 128 + 0.1 * colour, atol=1.5)
    assert (outside == 128).all()
    edge = pixels[46 + 9 * 30, 18 + 9 * 10 - 3 : 18 + 9 * 10 + 3]  # the left edge of the mask
    assert np.abs(edge - colour).sum(axis=1).min() < 40


def test_a_mask_of_another_size_is_drawn_at_its_place(tmp_path):
    half = MASK[::2, ::2]
    pixels = drawn(tmp_path, prediction(det={"segmentation": {"Effusion": mask(half)}}))
    whole = drawn(tmp_path, prediction(det={"segmentation": {"Effusion": mask()}}))
    np.testing.assert_array_equal(pixels[46:946, 18:738], whole[46:946, 18:738])


def test_the_panel_lists_every_class_by_probability_then_boxes_and_masks():
    assert [line.text for line in overlay.block(FOUND["datasets"]["det"], 0.3)] == [
        *("DET", "Effusion", "Nodule", "Mass"),
        "Boxes: 2 drawn, 1 below 30 %",
        "Mask: Effusion, 15.0 % of the picture",  # 40 · 30 of 100 · 80
    ]
    assert [line.value for line in overlay.block(FOUND["datasets"]["det"], 0.3)][1:4] == [0.83, 0.83, 0.07]


def test_a_dataset_that_segments_nothing_says_so():
    empty = {"title": "A", "segmentation": {"Mass": mask(MASK & False)}}
    assert [line.text for line in overlay.block(empty, 0.3)] == ["A", "Masks: none"]


def test_bars_are_as_long_as_probabilities():
    figure = overlay.compose(IMAGE, prediction(det={"classification": {"Mass": 0.25}}))
    bars = [patch.get_width() for patch in figure.findobj(Rectangle) if patch.get_height() == overlay.LINE - 8]
    assert bars == [110, 27.5]


def test_the_footer_says_what_it_is_and_what_made_it():
    assert "Model output, not a diagnosis · weights net.safetensors" in texts(overlay.compose(IMAGE, FOUND))
    warned = texts(overlay.compose(IMAGE, FOUND | {"synthetic": True}))
    assert any("trained on synthetic pictures" in text for text in warned)


LONG = "a finding with a name that goes on and on, " * 4 + "x" * 120


@pytest.mark.parametrize("shape", [(100, 80), (1000, 40), (60, 900), (32, 32)])
def test_long_names_fit_and_leave_the_radiograph_its_size(shape):
    height, width = shape
    found = prediction(
        det={
            "title": f"A dataset of {LONG}",
            "classification": {LONG: 0.5} | {f"class {at}": at / 80 for at in range(80)},
            "localization": [box(LONG, 0.9, 0, 0, width, height), box(LONG, 0.8, width - 5, 5, 5, 5)],
            "segmentation": {LONG: mask(np.ones((height, width), dtype=bool))},
        },
        other={"classification": {"Mass": 0.5}, "localization": [box("Mass", 0.9, 1, 1, 3, 3)]},
    )
    found |= {"image": f"{LONG}.png", "weights": {"file": LONG}}
    figure = overlay.compose(np.zeros(shape, dtype=np.uint8), found)
    across, down = figure.bbox.size
    for text in figure.findobj(Text):
        if text.get_text():
            extent = text.get_window_extent()
            assert extent.x0 >= 0, text
            assert extent.x1 <= across, text
            assert extent.y0 >= 0, text
            assert extent.y1 <= down, text
    scale = min(900 / height, 1400 / width)
    (left, right, bottom, top) = figure.axes[0].get_images()[0].get_extent()
    assert (right - left, bottom - top) == (round(width * scale), round(height * scale))


def test_letters_without_a_glyph_and_signs_of_formulas_are_harmless():
    found = prediction(det={"classification": {"$x_1": 0.5, "胸部\nx": 0.4}}) | {"image": "胸部 $a$.png"}
    shown = texts(overlay.compose(IMAGE, found))
    assert {"$x_1", "□□ x"} <= set(shown)
    assert "□□ $a$.png · 80 × 100 pixels" in shown


def test_labels_of_boxes_at_one_place_do_not_overlap_nor_leave_the_radiograph():
    boxes = [box("Nodule", 0.9 - at / 100, 30, 40, 20, 20) for at in range(8)]
    found = extents(overlay.compose(IMAGE, prediction(det={"localization": boxes})), "Nodule")
    assert len(found) == 8
    for one, other in itertools.combinations(found, 2):
        assert not one.overlaps(other)
    assert min(one.x0 for one in found) >= 18
    assert max(one.x1 for one in found) <= 738


def test_a_label_names_its_dataset_where_several_draw():
    one = {"localization": [box("Mass", 0.9, 10, 10, 9, 9)]}
    assert "Mass 90 %" in texts(overlay.compose(IMAGE, prediction(a=one, b={"classification": {"Mass": 0.5}})))
    assert {"Mass 90 % · A", "Mass 90 % · B"} <= set(texts(overlay.compose(IMAGE, prediction(a=one, b=one))))


def test_a_mask_has_a_label_at_its_largest_part_unless_a_box_names_it():
    parts = MASK.copy()
    parts[90:92, 70:72] = True
    alone = list(overlay.marks(prediction(det={"segmentation": {"Mass": mask(parts)}}), 0.3))
    assert [(mark.text, mark.area) for mark in alone] == [("Mass", Area(10, 20, 40, 60))]
    with_box = {"segmentation": {"Mass": mask(parts)}, "localization": [box("Mass", 0.9, 10, 20, 30, 40)]}
    assert [mark.text for mark in overlay.marks(prediction(det=with_box), 0.3)] == ["Mass 90 %", ""]


def test_a_label_at_the_edge_does_not_run_into_the_margin(tmp_path):
    boxes = [box("Diffuse Nodule of width %%%", 0.9, 70, 5 + 30 * at, 10, 10) for at in range(3)]
    pixels = drawn(tmp_path, prediction(det={"localization": boxes}))
    paper = [int(overlay.PAPER[at : at + 2], 16) for at in (1, 3, 5)]
    # The outline of a box at the edge is 2 pixels wide, with its shadow 5: half of that
    assert (pixels[46:946, 738 + 3 : 738 + 18] == paper).all()


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (Area(100, 100, 200, 200), Area(100, 82, 150, 100)),  # above
        (Area(100, 5, 200, 100), Area(100, 100, 150, 118)),  # below, since above is no room
        (Area(380, 100, 400, 200), Area(350, 82, 400, 100)),  # above, moved into the picture
        (Area(100, 0, 200, 400), Area(200, 0, 250, 18)),  # right, since neither above nor below is room
        (Area(0, 0, 400, 400), Area(0, 0, 50, 18)),  # inside, since nothing else is left
    ],
)
def test_where_a_label_goes(of, expected):
    assert overlay.free((50, 18), of, Area(0, 0, 400, 400), [], [of]) == expected


def test_a_label_avoids_others_and_their_content():
    of, within = Area(100, 100, 200, 200), Area(0, 0, 400, 400)
    above = Area(100, 82, 150, 100)
    assert overlay.free((50, 18), of, within, [above], [of]) == Area(150, 82, 200, 100)
    assert overlay.free((50, 18), of, within, [], [of, Area(50, 0, 300, 99)]) == Area(100, 200, 150, 218)


def test_columns_are_filled_from_the_left_and_a_block_stays_whole():
    blocks = [
        [Line(name), *(Line(f"{name}{at}") for at in range(lines))] for name, lines in [("a", 2), ("b", 3), ("c", 8)]
    ]
    # 3 + 1 + 4 lines fill 8. Nine more are a column of 8 and, below their title again, the last.
    columns = [[line.text for line in column] for column in overlay.flow(blocks, 8 * overlay.LINE)]
    assert columns == [
        ["a", "a0", "a1", "", "b", "b0", "b1", "b2"],
        ["c", "c0", "c1", "c2", "c3", "c4", "c5", "c6"],
        ["c, continued", "c7"],
    ]


def test_a_block_that_does_not_fit_in_the_rest_starts_a_column():
    blocks = [[Line(name)] * 4 for name in "ab"]
    assert [len(column) for column in overlay.flow(blocks, 8 * overlay.LINE)] == [4, 4]
    assert [len(column) for column in overlay.flow(blocks, 9 * overlay.LINE)] == [9]


def test_colours_are_the_same_on_every_picture_and_differ_on_one():
    names = [f"class {at}" for at in range(7)]
    assert len(set(overlay.colours(names).values())) == 7
    assert overlay.colours(["Mass"]) == overlay.colours(["Mass", "Mass"])
    assert len(overlay.colours([*names, "Mass"])) == 8


def test_a_real_radiograph_with_real_boxes_and_masks(shared, tmp_path):
    boxes, masks = (json.loads(shared(f"cxr-real/lung_{kind}.json").read_text()) for kind in ("boxes", "masks"))
    ids = [{one["file_name"]: one["id"] for one in kind["images"]} for kind in (boxes, masks)]
    name = min(ids[0].keys() & ids[1].keys())
    picture = radiograph.read(shared(f"cxr-real/{name}"))
    of_boxes, of_masks = (
        [one for one in kind["annotations"] if one["image_id"] == at[name]]
        for kind, at in zip((boxes, masks), ids, strict=True)
    )
    names = {one["id"]: one["name"] for one in boxes["categories"]}
    lungs = {
        "localization": [box(names[one["category_id"]], 0.9, *one["bbox"]) for one in of_boxes],
        "segmentation": {"Lungs": of_masks[0]["segmentation"]},
    }
    found = prediction(lungs=lungs) | {"width": picture.shape[1], "height": picture.shape[0]}
    assert {"Left Lung 90 %", "Right Lung 90 %", "Lungs"} <= set(texts(overlay.compose(picture, found)))
    assert np.ptp(drawn(tmp_path, found, picture)[46:946], axis=2).max() > 50  # the colours of boxes and masks
