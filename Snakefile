"""Every table and figure, from native data: `snakemake --cores all`. Facts of the machine: local.yaml, FXCORE_NATIVE."""

import os
import sys
import time
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")

sys.path.insert(0, workflow.basedir)
# Jobs run with the interpreter that runs Snakemake, whether or not its environment is active.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


envvars:
    "PATH",


from fxcore import machine, sources
from fxcore.errors import InputError
from fxcore.failures import failures
from fxcore.paths import STORE_FILES
from fxcore.plan import PHASES, Plan

phase = config.get("phase")
try:
    plan, targets = Plan.of(config)
except InputError as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None

RESULTS = str(plan.results)
STARTED = time.time()

# Snakemake ignores `gpu` in local runs unless it has a limit (docs/explanation/architecture.md).
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", machine.gpus())


# The joint run is the longest chain of jobs; the others fill the cores beside it.
if workflow.scheduling_settings and not workflow.scheduling_settings.prioritytargets:
    workflow.scheduling_settings.prioritytargets = plan.first()

# What a killed job left is made again without asking: outputs are written whole, under their name, at the very end.
if workflow.dag_settings:
    workflow.dag_settings.force_incomplete = True


wildcard_constraints:
    dataset="|".join(plan.params.datasets),
    run="|".join(plan.params.runs),
    stage=r"\d{4}",


localrules:
    all,


rule all:
    input:
        targets,


for name in PHASES:
    if phase in (None, name):

        include: f"workflow/rules/{name}.smk"


onerror:
    sys.stderr.write(failures(plan.results / "logs", STARTED))
