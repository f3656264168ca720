"""The annotation files of every release with bytes, cells and values changed: what is right is taken, the rest is one line."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore.data import intake, native, published, shapes
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from fxcore.params.datasets import ADAPTERS
from fxcore.params.registry import registry
from tests.conftest import FOLDER_PARAMS
from tests.data.adapters.trip import known, part, trip
from tests.hostile.mutations import NUMBERS, WORDS, bent, few, refused, some, written

RELEASES = sorted(path.stem for path in ADAPTERS.glob("[a-z]*.py") if path.stem in registry())
SIDES = 180, 164
"""Height and width of most phantoms."""


@pytest.fixture(scope="session")
def releases(tmp_path_factory):
    """A few phantoms of a release, written once."""
    made = {}

    def of(key):
        if key not in made:
            dataset = known(key, source="native")
            counts = dict.fromkeys(dataset.splits, 2)
            made[key] = trip(key, tmp_path_factory.mktemp(key), counts)
        return made[key]

    return of


def read(made, problems=None):
    """Everything that is said of a dataset, masks drawn."""
    found = Native(made.folder, made.folder)
    for record in intake.read(made.key, made.dataset, found, problems or Problems()):
        assert record.file.is_relative_to(made.folder)
        for mask in record.masks or ():
            refused(lambda mask=mask: shapes.bitmap(mask, *SIDES), mask.where)
    published.read(published.find(made.dataset.adapter, found.folder))


def annotations(made):
    return [path for path in made.files() if path.is_file()]


@st.composite
def cells(draw, text):
    """A CSV with a few cells, rows or the header changed."""
    rows = list(csv.reader(io.StringIO(text)))
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(0, len(rows) - 1))
        if not rows[row]:
            continue
        column = draw(st.integers(0, len(rows[row]) - 1))
        match draw(st.sampled_from(["cell", "cell", "cell", "short", "long", "twice", "gone", "empty"])):
            case "cell":
                rows[row][column] = draw(st.sampled_from([*NUMBERS, *WORDS]))
            case "short":
                del rows[row][column]
            case "long":
                rows[row].insert(column, "")
            case "twice":
                rows.insert(row, list(rows[row]))
            case "gone" if len(rows) > 1:
                del rows[row]
            case "empty":
                rows[row] = []
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(rows)
    return sink.getvalue()


SCALARS = st.sampled_from(
    [*NUMBERS, *WORDS, None, True, 0, -1, 10**400, 1e308, float("nan"), float("inf"), [], {}, [[]], [1]]
)


@st.composite
def values(draw, text):
    """A JSON with a few values changed, wherever they are."""
    content = json.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        block = content
        while isinstance(block, list | dict) and block:
            key = draw(st.sampled_from(sorted(block)) if isinstance(block, dict) else st.integers(0, len(block) - 1))
            if not isinstance(block[key], list | dict) or draw(st.integers(0, 3)) == 0:
                block[key] = draw(SCALARS)
                break
            block = block[key]
    return json.dumps(content)


@st.composite
def changed(draw, path, whole):
    """The bytes of a file after changes of its kind, or of any."""
    text = gzip.decompress(whole) if path.suffix == ".gz" else whole
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    how = draw(st.sampled_from(["kind", "kind", "bytes", "file"]))
    if how == "file":
        return draw(bent(whole))
    if how == "kind" and kind in ("csv", "json"):
        text = draw((cells if kind == "csv" else values)(text.decode("utf-8-sig"))).encode("utf-8", "replace")
    else:
        text = draw(bent(text))
    return gzip.compress(text, 1) if path.suffix == ".gz" else text


@pytest.mark.parametrize("key", RELEASES)
@few
@given(data=st.data())
def test_a_changed_annotation_file_is_taken_or_refused(releases, key, data):
    made = releases(key)
    files = annotations(made)
    if not files:
        return  # names of files are all there is
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    try:
        path.write_bytes(data.draw(changed(path, whole)))
        refused(lambda: read(made))
        problems = Problems(keep_going=True)
        refused(lambda: read(made, problems))
        assert all(isinstance(one, str) for one in problems.found)
    finally:
        path.write_bytes(whole)


@some
@given(st.data())
def test_the_files_of_a_dataset_of_ones_own(folder_dataset, data):
    from fxcore.params.datasets import Dataset

    root, dataset = folder_dataset.write(), Dataset.model_validate(FOLDER_PARAMS)
    path = root / data.draw(st.sampled_from(["index.csv", "boxes.json", "masks.json"]))
    path.write_bytes(data.draw(changed(path, path.read_bytes())))
    refused(lambda: list(intake.read("mine", dataset, Native(root, root), Problems())), root)


@some
@given(st.binary(max_size=300))
def test_any_bytes_as_a_table(tmp_path, content):
    for name in ("a.csv", "a.csv.gz"):
        path = written(tmp_path / name, content)
        refused(lambda path=path: list(native.rows(path, ["a"], Problems())), path)


@few
@given(bent(gzip.compress(b"a,b\n1,2\n" * 500)))
def test_a_bent_compressed_table(tmp_path, content):
    path = written(tmp_path / "a.csv.gz", content)
    refused(lambda: list(native.rows(path, ["a"], Problems())), path)


def test_a_compressed_table_that_is_one_line_is_not_unpacked(tmp_path):
    """A gigabyte of one letter is a megabyte when packed."""
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb", 1) as sink:
        for _ in range(64):
            sink.write(b"a" * (1 << 20))
    with pytest.raises(
        InputError, match=r"a\.csv\.gz: cannot be read as CSV \(a line of more than 16,777,215 letters\)"
    ):
        list(native.rows(path, ["a"], Problems()))


def test_a_cell_that_is_too_long_is_refused(tmp_path):
    path = written(tmp_path / "a.csv", b"a\n" + b"x" * 200_000)
    with pytest.raises(InputError, match=r"a\.csv: cannot be read as CSV \(field larger than field limit"):
        list(native.rows(path, ["a"], Problems()))


@pytest.mark.parametrize(
    "text", ["[" * 9000, "[" * 90 + "]" * 90, "{[]: 1}", "['a'", "9" * 5000, "[" + "9" * 5000 + "]", "1+1j", "\0"]
)
def test_labels_of_padchest_that_are_no_list_are_one_line(text):
    adapter = part("data.adapters", known("padchest", source="native"))
    said = refused(lambda: adapter._labels({"Labels": text}, "row 2", Problems()))
    assert said.startswith("row 2: Labels is ") or text.startswith("[" * 90 + "]")
