"""Parameter files that are bombs, too deep, or no YAML at all: one line, at once."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore import yamlfile
from fxcore.errors import InputError
from fxcore.params import experiment
from tests.conftest import TINY
from tests.hostile.mutations import NUMBERS, WORDS, bent, few, refused, some, written


def laughs(line, times=12):
    """A file whose every line names the one before nine times."""
    return "".join(line(number) for number in range(times)).encode()


FILES = {
    "brackets": (b"a: " + b"[" * 100_000, "more than 50 levels deep"),
    "braces": (b"{a: " * 100_000, "more than 50 levels deep"),
    "indents": ("".join(f"{' ' * at}a:\n" for at in range(2000)).encode(), "more than 50 levels deep"),
    "billion laughs": (
        laughs(lambda n: f"a{n}: &a{n} [{','.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n"),
        "more than 100,000",
    ),
    "merged laughs": (
        laughs(lambda n: f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}' if n else '{x: 1}'] * 9)}], k{n}: 1}}\n"),
        "more than 100,000 values",
    ),
    "itself": (b"a: &a [*a]", "an alias is of what it is in"),
    "itself as a mapping": (b"a: &a {b: {c: *a}}", "an alias is of what it is in"),
    "itself merged": (b"a: &a {<<: *a}", "an alias is of what it is in"),
    "a list as key": (b"? [1, 2]\n: 3\n", "a key is no word"),
    "a mapping as key": (b"{{a: b}: 3}: 4", "a key is no word"),
    "a tag that lies": (b"a: !!int x", "line 1: 'x' is no int"),
    "a time that is none": (b"a: !!timestamp x", "line 1: 'x' is no timestamp"),
    "a truth that is none": (b"a: !!bool 3", "line 1: '3' is no bool"),
    "many digits": (b"a: " + b"9" * 5000, "is no int"),
    "many hexadecimal digits": (b"a: 0x" + b"f" * 9999, "is no int"),
    "a zero": (b"a: \0b", "has a character that no text has"),
    "an escape": (b"a: \x1b[2J", "has a character that no text has"),
    "no such letter": (b'a: "\\U00110000"', "has a character that no text has"),
    "utf-16": ("a: 1".encode("utf-16"), "byte 0 is not UTF-8"),
    "code": (b"a: !!python/object/apply:os.mkdir [executed]", "could not determine a constructor"),
    "a name of code": (b"a: !!python/name:os.system x", "could not determine a constructor"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_one_line_at_once(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, message = FILES[name]
    file, begun = written(tmp_path / "params.yaml", content), time.monotonic()
    with pytest.raises(InputError, match=message) as caught:
        yamlfile.load(file)
    assert time.monotonic() - begun < 5
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@some
@given(bent(TINY.read_bytes()))
def test_a_bent_parameter_file_is_taken_or_refused(tmp_path, content):
    file = written(tmp_path / "params.yaml", content)
    refused(lambda: experiment.load(file), file)


@few
@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(tmp_path, content):
    file = written(tmp_path / "params.yaml", content)
    assert refused(lambda: experiment.load(file), file)


values = st.recursive(
    st.sampled_from([*NUMBERS, *WORDS, 10**9, -1, 1e308, float("inf"), float("nan"), None, True]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "image_size", "run"]), inner, max_size=3)
    ),
    max_leaves=4,
)
KEYS = list(yamlfile.load(TINY))


@some
@given(st.sampled_from(KEYS), values, st.data())
def test_any_value_in_any_block_is_taken_or_refused(tmp_path, key, value, data):
    content = yamlfile.load(TINY)
    block = content
    while isinstance(block.get(key), dict) and block[key] and data.draw(st.booleans()):
        block, key = block[key], data.draw(st.sampled_from(sorted(block[key])))
    block[key] = value
    file = written(
        tmp_path / "params.yaml", yamlfile.yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "replace")
    )
    refused(lambda: experiment.load(file), file)
