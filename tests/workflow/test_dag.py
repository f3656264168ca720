"""The whole way through on the tiny experiment, and what an edit re-runs."""

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from fxcore import cli
from fxcore.params.experiment import load
from fxcore.paths import TABLE_KINDS
from fxcore.planning import contents
from fxcore.planning.work import Sizes
from tests.conftest import BESIDE, PROJECT, TINY, FolderDataset, changed
from tests.workflow.conftest import SNAKEMAKE, planned

NOTHING: dict[str, int] = {}


def test_every_table_and_figure_is_there(experiment):
    tables = {path.name for path in (experiment.results / "tables").iterdir()}
    names = contents.tables(load(TINY))
    assert (
        len(names) == 3 + 2 + 1 + 1 + 5
    )  # of data and pretraining, transfer and few images, leakage, claims, the CXR-LT study
    assert tables == {f"{name}.{kind}" for name in names for kind in TABLE_KINDS}
    for figure in (experiment.results / "figures").glob("*.png"):
        with Image.open(figure) as picture:
            assert picture.size[0] > 500
    assert len(list((experiment.results / "figures").iterdir())) == 8 * 3
    page = (experiment.results / "index.md").read_text()
    assert all(f"tables/{name}.csv" in page for name in names)


def test_table_1_counts_what_was_drawn(experiment):
    table = pd.read_csv(experiment.results / "tables/table1_datasets.csv")
    assert table[["head", "task", "train", "val", "test", "data"]].to_numpy().tolist() == [
        ["C1", "classification", 12, 6, 6, "phantom"],
        ["L1", "localization", 12, 6, 6, "phantom"],
        ["S1", "segmentation", 12, 6, 6, "phantom"],
    ]


def test_table_2_is_the_lock_release_table(experiment):
    table = pd.read_csv(experiment.results / "tables/table2_schedule.csv")
    assert table[["task", "mode", "fraction", "updates"]].to_numpy().tolist() == [
        ["classification", "release", 1.0, 3],
        ["localization", "lock", 0.5, 1],
        ["localization", "release", 1.0, 3],
        ["segmentation", "lock", 0.5, 1],
        ["segmentation", "release", 1.0, 3],
    ]


def test_table_3_agrees_with_the_metrics_and_histories_behind_it(experiment):
    table = pd.read_csv(experiment.results / "tables/table3_pretraining.csv").set_index("task")
    metrics = json.loads((experiment.results / "metrics/foundation_x.json").read_text())["test"]["example_a"]
    for task, metric in (("classification", "auc"), ("localization", "map40"), ("segmentation", "dice")):
        assert table.loc[task, "teacher"] == round(100 * metrics[task]["teacher"][metric]["value"], 2)
        assert table.loc[task, "choice"] == table.loc[task, metrics[task]["choice"]]
        assert table.loc[task, "untrained"] == round(100 * metrics[task]["untrained"][metric]["value"], 2)
        assert table.loc[task, "gain"] == pytest.approx(
            table.loc[task, "teacher"] - table.loc[task, "untrained"], abs=0.02
        )
    # two cycles of updates of four images: 3 for classification; 1 and 3 for localization, and for segmentation
    assert table["images_seen_joint"].to_dict() == {"classification": 24, "localization": 32, "segmentation": 32}
    assert table.loc["localization", "images_seen_baseline"] == 12
    assert pd.isna(table.loc["segmentation", "baseline"])


def test_validation_chose_among_all_kept_states(experiment):
    choice = json.loads((experiment.results / "predictions/foundation_x.json").read_text())
    candidates = pd.DataFrame(choice["candidates"])
    assert len(candidates) == 2 * 2 * 3  # cycles, branches, tasks
    for task, chosen in choice["chosen"]["example_a"].items():
        of_task = candidates[candidates["task"] == task]
        for branch in ("student", "teacher"):
            mine = of_task[of_task["branch"] == branch].set_index("cycle")["value"]
            assert mine[chosen[branch]] == mine.max()
        assert of_task[of_task["branch"] == chosen["choice"]]["value"].max() == of_task["value"].max()


def test_only_the_chosen_predict_the_test_set_and_each_once(experiment):
    table = pd.read_parquet(experiment.results / "predictions/foundation_x.parquet")
    test = table[(table["split"] == "test") & (table["task"] != "localization")]
    assert not test.duplicated(["dataset", "task", "branch", "row", "label"]).any()
    # images, classes, branches with the untrained network
    assert len(test[test["task"] == "classification"]) == 6 * 2 * 3
    assert set(table.loc[table["branch"] == "untrained", "split"]) == {"test"}


def test_snapshots_are_placed_in_time(experiment):
    followed = json.loads((experiment.results / "predictions/foundation_x.json").read_text())["snapshots"]
    # of five passes a cycle the first is of classification and the fifth releases segmentation; two cells each
    assert [(one["pass"], one["after"][1], one["of"][1]) for one in followed] == [
        (number, after, of)
        for number, after in ((1, "classification"), (5, "segmentation"), (6, "classification"), (10, "segmentation"))
        for of in ("classification", "segmentation")
    ]


def test_the_summary_agrees_with_table_3(experiment):
    summary = json.loads((experiment.results / "metrics/summary.json").read_text())
    table = pd.read_csv(experiment.results / "tables/table3_pretraining.csv").set_index("task")
    assert summary["foundation_x"]["example_a"] == table["choice"].to_dict()
    assert summary["example_a_localization"]["example_a"] == {"localization": table.loc["localization", "baseline"]}
    validation = pd.read_csv(experiment.results / "metrics/validation.csv")
    # cycles, branches, tasks; the others have one of each
    assert validation["run"].value_counts().to_dict() == {
        "foundation_x": 2 * 2 * 3,
        "example_a_localization": 1,
        "transfer": 1,
    }


def test_the_released_weights_are_one_teacher_with_a_card_of_what_it_reached(experiment):
    import torch

    from fxcore.models.artifact import read
    from fxcore.training.state import load

    made = read(experiment.results / "weights/foundation_x.safetensors")
    candidates = json.loads((experiment.results / "predictions/foundation_x.json").read_text())["candidates"]
    teachers = pd.DataFrame([one for one in candidates if one["branch"] == "teacher"])
    cycle = made.card.origin["cycle"]
    means = teachers.groupby("cycle")["value"].mean()
    assert means[cycle] == means.max()
    expected = load(experiment.results / f"kept/foundation_x/cycle_{cycle}.safetensors").part("teacher")
    assert all(torch.equal(value, expected[name]) for name, value in made.model.state_dict().items())
    card = made.card.data["example_a"]
    assert card.classes == {
        "classification": ("Cardiomegaly", "Lung Opacity"),
        "localization": ("Right Lung", "Left Lung"),
        "segmentation": ("Lungs", "Heart"),
    }
    for one in teachers[teachers["cycle"] == cycle].itertuples():
        assert card.validation[one.task].value == pytest.approx(one.value)
    page = (experiment.results / "weights/foundation_x.md").read_text()
    assert made.sha256 in page
    assert "Example A, phantoms" in page


@pytest.mark.parametrize("run", ["foundation_x", "example_a_localization"])
def test_kept_states_are_as_large_as_the_plan_says(experiment, run):
    from fxcore.planning.costs import Costs

    kept = sorted((experiment.results / "kept" / run).rglob("*.safetensors"))
    heads = [8 + int.from_bytes(path.read_bytes()[:8], "little") for path in kept]
    params = load(experiment.params())
    expected = Costs(params, Sizes(params)).disk(run)
    assert expected.kept == sum(path.stat().st_size for path in kept) - sum(heads)
    assert expected.states == len([path for path in kept if path.parent.name == run])


def test_every_artifact_says_what_made_it(experiment):
    from safetensors import safe_open

    manifest = json.loads((experiment.results / "data/example_a/72/manifest.json").read_text())
    metrics = json.loads((experiment.results / "metrics/foundation_x.json").read_text())["provenance"]
    with safe_open(experiment.results / "checkpoints/foundation_x/cycle_2.safetensors", "pt") as state:
        trained = json.loads(state.metadata()["fxcore"])["provenance"]
    for made in (manifest, metrics, trained):
        assert {"fxcore", "commit", "params"} <= set(made)
    assert trained["params"]["pretrain"]["batch_size"] == 4


def test_every_number_is_explained_by_files_that_are_there(experiment, capsys):
    for of, task in (("table3_pretraining", "localization"), ("figure2_cross_task", "segmentation")):
        asked = ["explain", of, "example_a", task, "--params", str(experiment.params())]
        assert cli.main([*asked, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["stale"] == []
        assert list(facts["runs"]) == ["foundation_x", "example_a_localization"][: 2 if task == "localization" else 1]
        for run in facts["runs"].values():
            for one in (*run["chosen"].values(), run["predictions"], *run.get("snapshots", ())):
                assert hashlib.sha256(Path(one["file"]).read_bytes()).hexdigest() == one["sha256"]
            assert run["params"]["value"]["seed"] == 7
        assert cli.main(asked) == 0
        assert capsys.readouterr().out.startswith(f"Example A (example_a), {task}, in {experiment.results}/")


def test_every_rule_leaves_a_log_under_its_own_name(experiment):
    rules = {"phantom", "normalize", "split", "leakage", "visits", "pretrain", "keep", "score", "evaluate", "summary"}
    rules |= {"table", "figure", "index", "release", "few_shot", "evaluate_few_shot"}
    rules |= {"corpus", "ssl", "keep_backbone", "head", "evaluate_head"}
    assert {path.name for path in (experiment.results / "logs").iterdir()} == rules
    log = (experiment.results / "logs/pretrain/foundation_x/cycle_1.log").read_text()
    assert "11 of 11 updates" in log


def test_a_second_run_has_nothing_to_do(experiment):
    assert experiment.jobs() == NOTHING


def test_touching_every_file_changes_nothing(experiment):
    for path in [*PROJECT.glob("fxcore/**/*.py"), *PROJECT.glob("workflow/**/*"), PROJECT / "Snakefile", TINY]:
        os.utime(path)
    assert experiment.jobs() == NOTHING


def test_what_a_killed_snakemake_left_unfinished_is_made_again_without_asking(experiment):
    page = str(experiment.results / "index.md")
    # as Snakemake does when a job starts
    mark = PROJECT / ".snakemake/incomplete" / base64.b64encode(page.encode()).decode()
    mark.parent.mkdir(exist_ok=True)
    mark.write_text('{"external_jobid": null}')
    try:
        assert experiment.jobs() == {"index": 1}
    finally:
        mark.unlink()
    assert experiment.jobs() == NOTHING


def test_reordering_and_respelling_parameters_changes_nothing(experiment):
    content = yaml.safe_load(TINY.read_text())
    augment = dict(reversed(content["pretrain"]["augment"].items()))
    assert experiment.jobs(pretrain__augment=augment, pretrain__weight_decay=0.0001) == NOTHING


FIGURES = {"figure": 7, "index": 1}
REPORT = {"table": 7} | FIGURES
SUMMARY = {"summary": 1}
STUDY = {"corpus": 1, "ssl": 3, "keep_backbone": 3, "head": 4, "evaluate_head": 5}
"""Two stages of a backbone and a drawn one, four heads, and an ensemble of two."""
MEASURED = {"table": 3, "figure": 1, "index": 1} | SUMMARY
"""What shows the metrics of heads."""
WHOLE = {"table": 12, "figure": 8, "index": 1}
RELEASE = {"release": 1}
STORES = {"normalize": 1, "split_example_a": 1, "leakage": 1, "visits": 3}
"""What reads the images, or who they are of."""
FEW = {"few_shot": 1, "evaluate_few_shot": 1, "summary": 1}
TRAINING = {"pretrain": 4, "keep": 3, "score": 3, "evaluate": 3} | FEW
"""Of the joint run's two stages, the baseline's one, and that of the run which starts from the joint one, on few images, too."""
RESCORED = {"pretrain": 1, "keep": 1, "score": 3, "evaluate": 3} | FEW


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"report__panels": 3}, FIGURES),
        ({"few_shot__updates": 3}, FEW | REPORT),
        ({"finetune__transfer__train__tune": "head"}, RESCORED | {"score": 1, "evaluate": 1} | SUMMARY | REPORT),
        (
            {"evaluate__resamples": 30},
            {"evaluate": 3, "evaluate_few_shot": 1, "evaluate_head": 5} | SUMMARY | WHOLE | {"table": 10},
        ),
        ({"cxrlt__frequency": {"head": 0.2}}, {"evaluate_head": 5} | MEASURED),
        ({"cxrlt__fit__batch_size": 3}, {"head": 4, "evaluate_head": 5} | MEASURED),
        # what tables say of one head stands in the slice of all of them; the ensemble has the other two
        ({"cxrlt__heads__linear__epochs": 3}, {"head": 1, "evaluate_head": 1} | MEASURED | {"table": 5}),
        ({"cxrlt__pretrain__koleo": 0.2}, STUDY | MEASURED | {"table": 5, "corpus": 0}),
        # validation may choose another state to start from
        ({"evaluate__detections": 50}, RESCORED | SUMMARY | REPORT | RELEASE),
        ({"evaluate__every": 2}, RESCORED | SUMMARY | REPORT | RELEASE),
        (
            {"runs__example_a_localization__train__override__pretrain": {"weight_decay": 0.5}},
            {"pretrain": 1, "keep": 1, "score": 1, "evaluate": 2}
            | SUMMARY
            | REPORT,  # the joint run is compared with it
        ),
        ({"pretrain__batch_size": 3}, TRAINING | SUMMARY | REPORT | RELEASE),
        (
            {"runs__foundation_x__train__cycles": 3},
            {"pretrain": 2, "keep": 2, "score": 2, "evaluate": 2} | FEW | SUMMARY | REPORT | RELEASE,
        ),
        ({"report__titles": {"example_a": "Other"}}, WHOLE | RELEASE),
        (
            {"datasets__example_a__classification__uncertain": "u_ones"},
            {"phantom": 1} | STORES | TRAINING | STUDY | SUMMARY | WHOLE | RELEASE,
        ),
        ({"store_size": 80}, STORES | TRAINING | STUDY | SUMMARY | WHOLE | RELEASE),
    ],
    ids=lambda value: next(iter(value)) if len(value) == 1 else "",
)
def test_an_edit_runs_again_what_depends_on_it_and_nothing_else(experiment, changes, expected):
    assert experiment.jobs(**changes) == {rule: number for rule, number in expected.items() if number}


def _own_dataset(folder):
    dataset = FolderDataset(folder)
    native = {
        "folder": str(folder),
        "columns": {"patient": "patient"},
        "classification": {"classes": ["Nodule"]},
    }
    return dataset, native


def test_a_mistake_in_the_data_is_one_line_and_leaves_no_store(tmp_path):
    folder = tmp_path / "native"
    dataset, native = _own_dataset(folder)
    dataset.rows[2]["Nodule"] = "maybe"
    dataset.write()
    content = changed(yaml.safe_load(TINY.read_text()), {"results_root": str(tmp_path / "results")})
    content["datasets"] = {"mine": native}
    content |= BESIDE
    content["runs"] = {
        "joint": {
            "title": "J",
            "role": "joint",
            "train": {"visits": {"mine": ["classification"]}, "cycles": 2, "horizon_cycles": 2},
        }
    }
    content["report"] = {}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    ran = _snakemake(file)
    assert ran.returncode != 0
    lines = [line for line in ran.stderr.splitlines() if line.startswith("fxcore normalize")]
    expected = f"fxcore normalize: {folder}/index.csv, row 4: Nodule is 'maybe'; expected 1, 0, -1 or blank"
    assert lines == [expected]
    assert f"What went wrong:\n  {expected}\n" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "results/data/mine/72/manifest.json").exists()
    assert expected in (tmp_path / "results/logs/normalize/mine.log").read_text()


def test_a_misspelt_setting_does_not_plan_another_experiment():
    ran = subprocess.run(
        [SNAKEMAKE, "--cores", "all", "-n", "--config", f"param={TINY}"], cwd=PROJECT, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1] == "--config param=…: no such setting; known: params, phase, strict, backbone"


def test_a_strict_run_looks_at_tables_that_are_there_already_and_at_nothing_else(experiment):
    file = experiment.params()
    command = [SNAKEMAKE, "--cores", "all", "-n", "--config", f"params={file}", "strict=true"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert planned(ran) == {"table": 12, "index": 1}
    assert experiment.jobs() == NOTHING


def test_strict_is_true_or_false():
    command = [SNAKEMAKE, "--cores", "all", "-n", "--config", f"params={TINY}", "strict=very"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1] == "--config strict=very: give true or false"


def test_native_data_that_are_not_there_are_said_before_any_job(tmp_path):
    _, native = _own_dataset(tmp_path / "native")
    content = changed(yaml.safe_load(TINY.read_text()), {"results_root": str(tmp_path / "results")})
    content["datasets"]["mine"] = native | {"folder": str(tmp_path / "elsewhere")}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    ran = _snakemake(file)
    assert ran.returncode == 2
    assert f"datasets.mine: no {tmp_path}/elsewhere/index.csv; put it there" in ran.stderr
    assert not (tmp_path / "results").exists()


def _snakemake(file):
    return subprocess.run(
        [SNAKEMAKE, "--cores", "all", "--config", f"params={file}"], cwd=PROJECT, capture_output=True, text=True
    )
