"""Names of networks are held against timm's before any job, without importing it."""

import subprocess
import sys

import pytest
import timm

from fxcore import cli
from fxcore.errors import InputError
from fxcore.planning import backbones
from fxcore.planning.plan import Plan
from tests.conftest import PROJECT, TINY


def test_every_name_that_timm_takes_is_known_and_no_other():
    assert backbones.known() >= set(timm.list_models())
    assert all(timm.is_model(name) for name in backbones.known())


def test_timm_itself_is_not_imported():
    code = "import sys; from fxcore.planning import backbones; backbones.known(); sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model__backbone__name": "swin_tini_patch4_window7_224"},
            r"^model\.backbone\.name: timm has no swin_tini_patch4_window7_224; did you mean swin_tiny_patch4_window7_224\?$",
        ),
        (
            {"runs__foundation_x__train__override": {"model": {"backbone": {"name": "qqqq"}}}},
            r"^runs\.foundation_x\.train\.override\.model\.backbone\.name: timm has no qqqq; timm\.list_models\(\) names all$",
        ),
    ],
)
def test_an_unknown_name_is_said_before_any_job(tiny, monkeypatch, changes, message):
    params = tiny(**changes)
    monkeypatch.setattr("fxcore.planning.plan.load", lambda *_: params)
    with pytest.raises(InputError, match=message):
        Plan.load()


def test_names_with_the_tag_of_their_weights_are_taken(tiny):
    backbones.check(tiny(model__backbone__name="swin_tiny_patch4_window7_224.ms_in22k"))


def test_the_outline_says_it_too(tmp_path, capsys):
    file = tmp_path / "params.yaml"
    file.write_text(
        TINY.read_text().replace("name: swin_tiny_patch4_window7_224", "name: swan_tiny_patch4_window7_224")
    )
    assert cli.main(["plan", "--params", str(file)]) == 2
    assert "did you mean swin_tiny_patch4_window7_224?" in capsys.readouterr().err
    assert cli.main(["plan", "--params", str(TINY)]) == 0
