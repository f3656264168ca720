"""Snakemake's results and DVC's records of them, kept in step (docs/explanation/architecture.md, "Who owns what").

Snakemake judges by its own metadata, DVC by content. Whatever DVC has verified or brought back is *certified* to Snakemake by
touching it; whatever a complete Snakemake run made is *recorded* for DVC by a commit. Both only under guards: a touch
vouches for whatever lies on disk, and a commit for whatever parameters stand in the file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fxcore import paths, sources
from fxcore.cxrlt.keep_backbone import keep_backbone
from fxcore.errors import InputError
from fxcore.files import atomic, write_text
from fxcore.planning.plan import Plan
from fxcore.training.keep import bring_back

PARAMS = Path("params.yaml")
ROOT = "results"
"""The only parameter file and the only results root that DVC knows."""
STAGES: Mapping[str, tuple[str, ...]] = {
    "data": ("data.normalize", "data.adapters.*", "phantom.phantom", "phantom.native.*"),
    "split": ("data.split",),
    "visits": ("data.visits",),
    "pretrain": ("training.pretrain", "training.keep"),
    "score": ("evaluation.score",),
    "release": ("evaluation.release",),
    "few_shot": ("evaluation.few_shot",),
    "corpus": ("cxrlt.corpus",),
    "ssl": ("cxrlt.ssl", "cxrlt.keep_backbone"),
    "head": ("cxrlt.head",),
    "evaluate": (
        "data.leakage",
        "evaluation.evaluate",
        "evaluation.evaluate_few_shot",
        "evaluation.summary",
        "cxrlt.evaluate_head",
    ),
    "report": ("report.table", "report.figure", "report.cxrlt", "report.index"),
}
"""Modules of the rules that each stage of `dvc.yaml` runs; runs that start from another's weights share those of the others."""
_BEFORE = Path(".dvc/tmp/fxcore-dvc.lock")
"""What `dvc.lock` was when a commit began that has not ended."""


def write_sources() -> None:
    """Write what `dvc.yaml` depends on instead of source files: for each stage `<sha256>  <file>` of all that its modules import.

    DVC would repeat hundreds of files for each of its stages, in a `dvc.lock` that it reads and writes whole for every one that runs.
    """
    for stage, names in STAGES.items():
        listed = sources.listing(*(f"fxcore.{name}" for name in names))
        write_text(Path(ROOT, "sources", f"{stage}.txt"), listed)


def certify(phase: str | None = None, targets: Sequence[str] = ()) -> None:
    """Tell Snakemake that what lies on disk is up to date; call only for what DVC has verified or restored.

    What is kept of a run or a backbone goes back to its checkpoints first, where `targets` name it or are everything.

    Raises:
        InputError: Snakemake refuses, or what is kept is not readable.
    """
    plan = Plan.load(str(PARAMS))
    for run in plan.params.trained:
        kept = paths.kept(plan.results, run)
        whole = phase is None or str(kept / paths.MANIFEST) in targets
        if whole and (kept / paths.MANIFEST).exists():
            bring_back(kept, paths.checkpoints(plan.results, run))
    for backbone, resolution in plan.study.stages:
        kept = paths.backbone(plan.results, backbone, resolution)
        if kept.exists() and (phase is None or str(kept) in targets):
            keep_backbone(kept, paths.ssl(plan.results, backbone, resolution))
    config = ["--config", f"phase={phase}"] if phase else []
    _run("snakemake", "--cores", "all", "--touch", "--quiet", "all", *config, "--", *targets)


def record(file: str, targets: Iterable[str], strict: bool = False) -> str:
    """Record a complete run with `dvc commit` and say so in one line.

    Args:
        file: the parameter file that was used.
        targets: what Snakemake was asked for; nothing or `all` is everything.
        strict: whether tables were made with `--strict`, which is a parameter of their jobs.

    Raises:
        InputError: one line why nothing was recorded: other parameters, a part of the targets, work left, or no DVC here.
    """
    if Path(file).resolve() != PARAMS.resolve():
        raise InputError(f"nothing recorded: the parameters are those of {file}, and DVC knows {PARAMS} only")
    _check_whole(targets, "nothing recorded")
    params = Plan.load(file).params
    if left := params.left_out:
        raise InputError(f"nothing recorded: {', '.join(left)} are missing, and DVC knows all datasets of {PARAMS}")
    if (root := params.results_root) != ROOT:
        raise InputError(f"nothing recorded: results_root is {root}, and DVC knows {ROOT} only")
    if not Path(".dvc").is_dir():
        raise InputError("nothing recorded: this folder is no DVC repository; make it one with: dvc init")
    config = ["--config", "strict=true"] if strict else []
    planned = _run("snakemake", "--cores", "all", "--dry-run", "--quiet", "all", *config, "--", "all")
    if "Nothing to be done" not in planned:
        raise InputError("nothing recorded: some work is left; finish it with: snakemake --cores all")
    write_sources()
    _mend()
    # A relink would give outputs new times, and Snakemake would take them for changed. Quiet, DVC hides what went wrong.
    _run("dvc", "commit", "--force", "--no-relink")
    _BEFORE.unlink()
    return "recorded with DVC; to keep it: git add dvc.lock && git commit && dvc push"


def _mend() -> None:
    """Keep `dvc.lock` as it is, since DVC writes it in place; put back what a commit found that was killed, and may have cut it short."""
    lock, marks = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
    if not _BEFORE.exists():
        with atomic(_BEFORE) as part:
            part.write_bytes(lock.read_bytes() if lock.exists() else b"")
        return
    with atomic(lock) as part:
        shutil.copyfile(_BEFORE, part)
    if not lock.stat().st_size:
        lock.unlink()
    try:
        json.loads(marks.read_bytes())
    except (OSError, ValueError):
        marks.unlink(missing_ok=True)  # also written in place; DVC would ask a person to remove it


def finished(plan: Plan, file: str, targets: Iterable[str]) -> str:
    """After Snakemake made everything: write `report.html` and record with DVC, or say in one line each why not."""
    asked = list(targets)
    said = []
    for step in (partial(write_report, plan, file, asked), partial(record, file, asked, bool(plan.strict))):
        try:
            said.append(step())
        except InputError as error:
            said.append(str(error))
    return "".join(f"{line}\n" for line in said)


def write_report(plan: Plan, file: str, targets: Iterable[str]) -> str:
    """Write Snakemake's report of a complete run: tables and figures with captions and provenance, one page.

    Raises:
        InputError: only a part was made, or Snakemake refuses.
    """
    _check_whole(targets, "no report")
    page = plan.results / "report.html"
    _run("snakemake", "--nolock", "--report", str(page), "--config", f"params={file}", "--")
    return f"{page} shows every table and figure with what made it"


def _check_whole(targets: Iterable[str], outcome: str) -> None:
    if parts := [target for target in targets if target != "all"]:
        raise InputError(f"{outcome}: only {parts[0]} was asked for; make everything with: snakemake --cores all")


def sync() -> str:
    """Bring back the results that `dvc.lock` names, and make Snakemake accept them.

    Raises:
        InputError: DVC cannot bring them back, or they are not those of the files here.
    """
    if not Path("dvc.lock").exists():
        raise InputError("dvc.lock is missing: nothing was recorded here; make the results with: snakemake --cores all")
    try:
        _run("dvc", "pull")
    except InputError as error:
        raise InputError(
            f"{error}; where files here are damaged or changed, this puts those of dvc.lock in their place: dvc pull --force"
        ) from error
    changed: dict[str, Any] = json.loads(_run("dvc", "status", "--json"))
    if changed:
        raise InputError(
            f"{', '.join(changed)}: dvc.lock is not of the files here (dvc status says what differs); commit or undo your"
            " changes, or make the results anew with: dvc repro"
        )
    certify()
    return "results are those of dvc.lock, and Snakemake has nothing to do"


def _run(tool: str, *arguments: str) -> str:
    """The output of one of the tools of this environment.

    Raises:
        InputError: it failed; with its last words.
    """
    ran = subprocess.run([sys.executable, "-m", tool, *arguments], capture_output=True, text=True)
    if ran.returncode:
        words = [line for line in (ran.stderr or ran.stdout).splitlines() if line.strip()]
        raise InputError(f"{tool} {arguments[0]}: {words[-1].strip() if words else f'exit code {ran.returncode}'}")
    return ran.stdout + ran.stderr
