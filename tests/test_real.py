"""The whole way through on real radiographs: what this small data allows is reached, and nothing is claimed beyond it."""

import subprocess

import pandas as pd
import pytest

from tests.conftest import PROJECT
from tests.workflow.conftest import SNAKEMAKE

PRESET = PROJECT / "tests/presets/cxr_real.yaml"


@pytest.mark.long
def test_lungs_are_found_alone_and_jointly(shared, tmp_path):
    shared("cxr-real")
    file = tmp_path / "params.yaml"
    file.write_text(PRESET.read_text().replace("results-cxr-real", str(tmp_path / "results")))
    command = [SNAKEMAKE, "--cores", "all", "--config", f"params={file}"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    table = pd.read_csv(tmp_path / "results/tables/table3_pretraining.csv").set_index(["key", "task"])
    lungs, boxes = table.loc["cxr_main", "segmentation"], table.loc["cxr_main", "localization"]
    assert lungs["baseline"] >= 85
    assert boxes["baseline"] >= 85
    assert lungs["teacher"] >= 80
    assert boxes["teacher"] >= 65
    assert table.loc[("nih64", "classification"), "note"].endswith("in test: Edema, Hernia")
    assert (table["test_images"] == [164, 39, 37, 22, 12]).all()
