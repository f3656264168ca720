"""Facts of the machine: where native data lie, `local.yaml`, GPUs."""

import pytest

from fxcore import machine
from fxcore.errors import InputError


def test_where_native_data_lie(tmp_path, monkeypatch):
    monkeypatch.delenv("FXCORE_NATIVE", raising=False)
    here = machine.load(tmp_path / "local.yaml")
    assert str(here.folder("nih14", None)) == "native/nih14"
    assert str(here.folder("nih14", "../shared/nih")) == "../shared/nih"
    (tmp_path / "local.yaml").write_text("native: /data\nthreads: 4\nworkers: 3\n")
    assert str(machine.load(tmp_path / "local.yaml").folder("nih14", "NIH")) == "/data/NIH"
    monkeypatch.setenv("FXCORE_NATIVE", "/elsewhere")
    assert str(machine.load(tmp_path / "local.yaml").folder("nih14", None)) == "/elsewhere/nih14"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("native_root: /data\n", r"local\.yaml: native_root is not a parameter; did you mean native\?"),
        ("threads: 0\n", r"local\.yaml: threads is 0; .*greater than or equal to 1"),
        ("device: tpu\n", r"local\.yaml: device is 'tpu'; .*'auto', 'cpu' or 'cuda'"),
        ("threads: 2\nworkers: 2\n", r"local\.yaml: workers is 2; leave the job at least one of its 2 threads"),
    ],
)
def test_a_mistake_in_local_yaml_is_one_line(tmp_path, text, message):
    (tmp_path / "local.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        machine.load(tmp_path / "local.yaml")


def test_visible_gpus_are_counted_without_torch(monkeypatch):
    for value, count in (("", 0), ("-1", 0), ("0", 1), ("2,3", 2)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert machine.gpus() == count
