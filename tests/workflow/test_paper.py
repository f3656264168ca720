"""The paper's preset plans the paper's experiment."""

import os
import re
import subprocess
from typing import Any

import pytest

from fxcore.params import experiment
from fxcore.params.datasets import Dataset
from fxcore.passes import Split
from fxcore.phantom.phantom import write
from fxcore.planning.plan import Plan
from fxcore.slices.data import PhantomSlice
from tests.conftest import PROJECT
from tests.workflow.conftest import SNAKEMAKE

PAPER = PROJECT / "presets/paper.yaml"


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """A native root with a few pictures of every dataset in its own format."""
    root = tmp_path_factory.mktemp("native")
    releases: dict[str, dict[str, Any]] = {}
    for key, dataset in experiment.load(PAPER).datasets.items():
        # Several datasets may be read from one release.
        blocks = {task: getattr(dataset, task) for task in dataset.tasks}
        releases.setdefault(dataset.folder or key, {"adapter": dataset.adapter}).update(blocks)
    for folder, entry in releases.items():
        made = Dataset.model_validate(entry | {"source": "phantom", "phantom": dict.fromkeys(Split, 1)})
        write(PhantomSlice(key=folder, dataset=made), root / folder)
    return root


def test_a_dry_run_of_the_paper_lists_all_its_jobs(native):
    command = [SNAKEMAKE, "--cores", "all", "--dry-run", "--quiet", "rules", "--config", f"params={PAPER}"]
    ran = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, env=os.environ | {"FXCORE_NATIVE": str(native)}
    )
    assert ran.returncode == 0, ran.stderr
    jobs = {
        rule: int(count) for rule, count in re.findall(r"^([a-z_]+)\s+(\d+)$", ran.stdout + ran.stderr, re.MULTILINE)
    }
    # 150 cycles of Foundation X, a job each; 11 baselines of 150 cycles, one more on published lists, and 9 of 225 in jobs of 15;
    # 9 ablations of 50 cycles in jobs of 5 and one of a single long one; 200 cycles of Ark-6 in jobs of 10
    pretrained = 150 + 12 * 10 + 9 * 15 + 9 * 10 + 1 + 20
    # organs: two baselines of 75 cycles in jobs of 15, and Foundation X, 50 in jobs of 5; five targets from three starts, 100
    # cycles in jobs of 10; diseases: three runs of 130 cycles in jobs of 5
    assert jobs["pretrain"] == pretrained + 2 * 5 + 10 + 5 * 3 * 10 + 3 * 26
    runs = 33 + 3 + 15 + 3
    assert (jobs["normalize"], jobs["keep"], jobs["score"], jobs["evaluate"]) == (23, runs, runs, runs)
    assert (jobs["release"], jobs["few_shot"], jobs["evaluate_few_shot"]) == (2, 3, 1)
    # CXR-LT: ViT-B at two resolutions and ViT-L at four; ten heads, three of them in an ensemble
    assert (jobs["corpus"], jobs["ssl"], jobs["head"], jobs["evaluate_head"]) == (1, 6, 10, 11)


@pytest.mark.parametrize("file", [PAPER, PROJECT / "params.yaml"], ids=lambda file: file.name)
def test_a_cycle_has_29_passes_and_every_head_a_baseline(file):
    params = experiment.load(file)
    joint = params.runs[params.joint]
    assert len(joint.order) == 11
    assert sum(len(tasks) for _, tasks in joint.order) == 20
    assert len(Plan(params, None).stages(params.joint)[0].passes) == 29 * joint.train.stage_cycles
    cells = {(name, task) for name, tasks in joint.order for task in tasks}
    baselines = [run for run in params.runs.values() if run.role == "baseline"]
    assert {(name, task) for run in baselines for name, tasks in run.order for task in tasks} == cells
    assert len(baselines) == 20


def test_a_baseline_of_the_default_experiment_sees_as_many_images_as_foundation_x():
    params = experiment.load(PROJECT / "params.yaml")
    size = params.pretrain.batch_size

    def images(run):
        seen = {}
        for stage in Plan(params, None).stages(run):
            for one in stage.passes:
                images = params.datasets[one.dataset].phantom["train"]
                cell = (one.dataset, one.task)
                seen[cell] = seen.get(cell, 0) + size * one.updates(images, size)
        return seen

    joint = images(params.joint)
    alone = {
        cell: count
        for run, what in params.runs.items()
        if what.role == "baseline"
        for cell, count in images(run).items()
    }
    assert alone == joint
