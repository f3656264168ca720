"""The page: everything is there, escaped, and nothing comes from a network."""

from html.parser import HTMLParser

import pytest

from fxcore.predict import page


def prediction(name, classification=None, scores=(), **more):
    heads = {
        "title": "ChestX-Det",
        "localization": [{"label": "Mass", "score": score, "box": [1, 2, 3, 4]} for score in scores],
    }
    if classification:
        heads["classification"] = classification
    return {
        "image": f"{name}.jpg",
        "overlay": f"{name}.png",
        "weights": {"file": "net.safetensors"},
        "synthetic": False,
        "datasets": {"chestx_det": heads},
    } | more


class Reader(HTMLParser):
    """Attributes by tag, and the text of each cell and heading."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.inside = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.setdefault(tag, []).append(dict(attrs))
        if tag in ("td", "th"):
            self.inside = tag
            self.cells.append("")

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data.strip()


@pytest.fixture
def read(tmp_path):
    def through(*predictions, **options):
        path = page.write(tmp_path / "results", predictions, **options)
        assert path == tmp_path / "results" / "index.html"
        return Reader(path.read_text(encoding="utf-8"))

    return through


def test_a_card_and_a_row_an_image(read):
    shown = read(
        prediction("a", {"Mass": 0.83, "Nodule": 0.2}, [0.9, 0.3, 0.29]),
        prediction("b", {"Mass": 0.004, "Nodule": 0.2}),
    )
    assert [one["src"] for one in shown.tags["img"]] == ["a.png", "b.png"]
    assert shown.cells == ["Image", "Boxes", "ChestX-Det", "a.jpg", "2", "Mass 83 %", "b.jpg", "0", "Nodule 20 %"]
    assert [one["data-value"] for one in shown.tags["td"]] == ["a.jpg", "2", "0.83", "b.jpg", "0", "0.2"]
    anchors = [one["id"] for one in shown.tags["figure"]]
    assert [one["href"] for one in shown.tags["a"]] == ["#image-1", "#image-2", "a.png", "b.png"]
    assert anchors == ["image-1", "image-2"]


def test_the_threshold_of_boxes(read):
    assert read(prediction("a", {"Mass": 0.5}, [0.9, 0.3, 0.29]), threshold=0.5).cells[4] == "1"


def test_datasets_that_only_some_images_have_and_heads_that_classify_nothing(read):
    other = {"title": "SIIM-ACR", "classification": {"Pneumothorax": 0.5}}
    shown = read(prediction("a"), prediction("b", datasets={"siim_acr": other}))
    assert shown.cells == [
        "Image",
        "Boxes",
        "ChestX-Det",
        "SIIM-ACR",
        "a.jpg",
        "0",
        "–",
        "–",
        "b.jpg",
        "0",
        "–",
        "Pneumothorax 50 %",
    ]
    assert shown.tags["td"][2]["data-value"] == "-1.0"


def test_names_are_escaped_and_links_quoted(read, tmp_path):
    bad = "<script>alert(\"1\")</script> & 'x' #1?%"
    shown = read(prediction(bad, {bad: 0.5}, weights={"file": bad}))
    text = (tmp_path / "results" / "index.html").read_text(encoding="utf-8")
    assert len(shown.tags["script"]) == 1
    assert "<script>alert" not in text
    assert shown.cells[3] == f"{bad}.jpg"
    assert shown.tags["img"][0]["src"] == "%3Cscript%3Ealert%28%221%22%29%3C/script%3E%20%26%20%27x%27%20%231%3F%25.png"


def test_nothing_comes_from_a_network(read, tmp_path):
    shown = read(prediction("a", {"Mass": 0.5}))
    assert "http" not in (tmp_path / "results" / "index.html").read_text(encoding="utf-8")
    assert "link" not in shown.tags
    assert shown.tags["script"] == [{}]


def test_what_a_reader_must_know(read, tmp_path):
    read(prediction("a", {"Mass": 0.5}))
    path = tmp_path / "results" / "index.html"
    text = path.read_text(encoding="utf-8")
    assert "Model output, not a diagnosis." in text
    assert "Weights: net.safetensors." in text
    assert "synthetic" not in text
    read(prediction("a", {"Mass": 0.5}, synthetic=True), prediction("b"))
    assert "Trained on synthetic pictures" in path.read_text(encoding="utf-8")
    assert [one.name for one in path.parent.iterdir()] == ["index.html"]
