"""Getting started, and the pages that go on from it: followed to the letter, they do and say what they promise."""

import re
import shlex

import pytest

from fxcore.params.experiment import load
from fxcore.report.ablation import changes
from tests.conftest import PROJECT
from tests.test_readme import commands
from tests.workflow.test_dvc import Project

TUTORIAL, DEBUG, ABLATE = (
    PROJECT / "docs" / name for name in ("getting-started.md", "how-to/debug-a-job.md", "how-to/ablate.md")
)
CLONED = ("git", "cd", "make", ".")
"""What the first block of the tutorial does is done here already."""
STATE = "checkpoints/foundation_x/cycle_3.safetensors"


def plain(text):
    """Lines without what aligns them."""
    return [" ".join(line.split()) for line in text.splitlines()]


def did(project, command):
    ran = project.run(*shlex.split(command))
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A clone in which the tutorial was followed, and the lines it shows each beside all that was said before them."""
    project, said, shown = Project(tmp_path_factory.mktemp("guide") / "fxcore"), "", []
    for kind, block in re.findall(r"```(bash|text)\n(.*?)```", TUTORIAL.read_text(), flags=re.DOTALL):
        if kind == "text":
            shown += [(line, said) for line in plain(block)]
            continue
        run = [line for line in block.splitlines() if line.split()[0] not in CLONED]
        said = "\n".join(did(project, command) for command in run)
    return project, shown


@pytest.mark.long
def test_the_tutorial_says_what_it_promises(followed):
    _, shown = followed
    assert len(shown) > 20
    for line, said in shown:
        assert any(line in one for one in plain(said)), f"{line}\n\n{said}"


@pytest.mark.long
def test_a_job_by_hand_is_that_of_the_workflow(followed):
    project, _ = followed
    *listed, evaluate, copy, pretrain, debug = commands(DEBUG)
    said = [did(project, command) for command in listed]
    assert all("python -m fxcore figure" in one for one in said)
    assert "Shell command: python -m fxcore evaluate foundation_x --results results-my --params '{" in said[-1]
    metrics, state = (project.folder / "results-my" / name for name in ("metrics/foundation_x.json", STATE))
    before = metrics.read_bytes(), state.read_bytes()
    did(project, evaluate)
    did(project, copy)
    made = project.folder / "results-debug" / STATE
    made.unlink()
    did(project, pretrain)
    assert (metrics.read_bytes(), state.read_bytes()) == before
    assert made.read_bytes() == before[1]
    typed = re.findall(r"^\(Pdb\) (.*)$", DEBUG.read_text(), flags=re.MULTILINE)
    stopped = project.run("bash", "-c", f"printf '%s\\n' {shlex.join([*typed, 'q'])} | {debug}", check=False)
    assert "(Pdb) 0.8" in stopped.stdout


def ablations():
    """The page's run, and one for every row of its table."""
    text = ABLATE.read_text()
    yield re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[0]
    for number, code in enumerate(re.findall(r"^\| [^|]+ \| `(.*)` \|$", text, flags=re.MULTILINE)):
        train = code if code.startswith("train:") else f"train: {{<<: *ablation, {code}}}"
        yield f"  row_{number}: {{title: row, role: ablation, of: ablation, {train}}}\n"


def test_ablations_of_the_page_change_what_they_say(tmp_path):
    params, first = (PROJECT / "params.yaml").read_text(), "  no_lock:\n"
    assert params.count(first) == 1
    (tmp_path / "my.yaml").write_text(params.replace(first, "".join(ablations()) + first))
    runs = load(tmp_path / "my.yaml").runs
    found = {name: list(changes(runs[name].train, runs["ablation"].train)) for name in runs if name.startswith("row_")}
    assert list(changes(runs["no_denoising"].train, runs["ablation"].train)) == [
        "model.localization.denoising.queries: 0"
    ]
    assert found == {
        "row_0": ["lock: none (not localization, segmentation)"],
        "row_1": ["momentum: none (not 0.8)"],
        "row_2": ["pretrain.consistency: 0"],
        "row_3": ["cycles: 1 (not 3)", "repeats: 3 (not 1)"],
        "row_4": [
            "visits.rsna_pneumonia: classification (not classification, localization)",
            "visits.siim_acr: classification (not classification, localization, segmentation)",
        ],
        "row_5": ["model.localization.decoder: shared"],
    }
