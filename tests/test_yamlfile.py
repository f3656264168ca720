"""Our reader of YAML against DVC's own: one file must mean the same to both."""

import pytest
from dvc.utils.serialize import load_yaml
from hypothesis import given
from hypothesis import strategies as st

from fxcore import yamlfile
from fxcore.errors import InputError

TRICKY = """
exponent: 1e-4
exponent_sign: 1.5E+3
switch: on
answer: yes
truth: true
octal_look: 010
octal: 0o17
hexadecimal: 0x1F
grouped: 1_000
time: 12:30:00
list: [1, 2.0, .5, -3, +4]
nothing: ~
blank:
infinite: .inf
text: '1e-4'
base: &base {q: 1}
derived: {<<: *base, r: 2}
"""


def _both(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    return yamlfile.load(file), load_yaml(str(file))


def test_tricky_scalars_mean_what_dvc_reads(tmp_path):
    ours, theirs = _both(tmp_path, TRICKY)
    assert ours == theirs
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in theirs.items()}


def test_what_dvc_writes_after_setting_a_small_rate_is_a_number(tmp_path):
    ours, _ = _both(tmp_path, "lr: 1e-05\n")
    assert ours == {"lr": 0.00001}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_as_python_prints_it(value):
    resolved = yamlfile.yaml.load(f"x: {value!r}", Loader=yamlfile._Loader)["x"]
    assert resolved == value
    assert isinstance(resolved, float)


@given(st.integers(-(10**12), 10**12))
def test_any_integer_stays_one(value):
    resolved = yamlfile.yaml.load(f"x: {value}", Loader=yamlfile._Loader)["x"]
    assert resolved == value
    assert isinstance(resolved, int)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a is given twice"),
        ("runs:\n  x: {}\n  x: {}\n", "line 3: x is given twice"),
        ("a: [1, 2\nb: 3\n", "line 2"),
        ("- 1\n- 2\n", "expected a mapping of parameters, found list"),
        ("", "expected a mapping of parameters, found nothing"),
    ],
)
def test_bad_files_are_one_line_with_the_place(tmp_path, text, message):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        yamlfile.load(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read"):
        yamlfile.load(tmp_path / "nowhere.yaml")


def test_an_object_tag_is_refused(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("a: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(InputError, match="could not determine a constructor"):
        yamlfile.load(file)
