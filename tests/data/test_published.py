"""Lists of papers: found, read whole, and refused where they contradict themselves."""

import pytest

from fxcore.data import published
from fxcore.errors import InputError
from fxcore.passes import Split

NAMES = {
    Split.TRAIN: "RSNAPneumonia_train.txt",
    Split.VAL: "RSNAPneumonia_val.txt",
    Split.TEST: "RSNAPneumonia_test.txt",
}


def _write(folder, **contents):
    folder.mkdir(exist_ok=True)
    for split, name in NAMES.items():
        (folder / name).write_bytes(contents.get(split, b"").replace(b"|", b"\n"))


def test_lists_are_read_with_blank_lines_and_other_ends(tmp_path):
    _write(tmp_path / "ark", train=b"a.png 0\r\n\r\nb.png 2 \r\n", val=b"c.png 1|", test=b"|d.png,0")
    found = published.find("rsna_pneumonia", tmp_path)
    assert {path.parent.name for path in found.values()} == {"ark"}
    assert published.read(found) == {"a": Split.TRAIN, "b": Split.TRAIN, "c": Split.VAL, "d": Split.TEST}


def test_no_lists_is_none_and_some_are_a_mistake(tmp_path):
    assert published.find("rsna_pneumonia", tmp_path) == {}
    assert published.find("jsrt", tmp_path) == {}
    (tmp_path / NAMES[Split.TRAIN]).write_text("a.png 0\n")
    with pytest.raises(
        InputError, match=r"has no RSNAPneumonia_val.txt, but other lists of Ark; put all of them there"
    ):
        published.find("rsna_pneumonia", tmp_path)


def test_an_image_in_two_lists_is_named(tmp_path):
    _write(tmp_path, train=b"a.png 0|b.png 0", val=b"", test=b"c.png 0|a.png 0")
    with pytest.raises(InputError, match=r"RSNAPneumonia_test.txt, line 2: a is in the list of train too; keep one"):
        published.read(published.find("rsna_pneumonia", tmp_path))
