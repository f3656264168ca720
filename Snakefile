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
# Jobs name the parameter file in what they say to do.
plan_file = config.get("params", "params.yaml")
os.environ["FXCORE_PARAMS"] = str(plan_file)


envvars:
    "PATH",
    "FXCORE_PARAMS",


from fxcore import machine, sources
from fxcore.planning import contents
from fxcore.errors import InputError
from fxcore.failures import failures
from fxcore.versioning import finished
from fxcore.paths import STORE_FILES
from fxcore.planning.plan import PHASES, Plan
from fxcore.slices import make

phase = config.get("phase")
try:
    plan, targets = Plan.of(config)
except InputError as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None

RESULTS = str(plan.results)
STARTED = time.time()
# For workflow/report/figure.rst, which can read the configuration and no file.
config["captions"] = plan.captions

# Snakemake ignores `gpu` in local runs unless it has a limit (docs/explanation/architecture.md).
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", machine.gpus())


report: "workflow/report/workflow.rst"


wildcard_constraints:
    **plan.constraints,


localrules:
    all,


rule all:
    input:
        targets,


for name in PHASES:
    if phase in (None, name):

        include: f"workflow/rules/{name}.smk"


onstart:
    if plan.params.left_out:
        sys.stderr.write(
            f"not there, and left out: {', '.join(plan.params.left_out)}\n"
        )
    # For its limit of jobs a second Snakemake looks at all jobs once a second, and once more for every job that has finished: after
    # some hundreds that takes a core. Jobs of a local run last seconds, and need no limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    # A stage of dvc.yaml runs one phase and is recorded by DVC itself.
    if phase is None and "DVC_STAGE" not in os.environ:
        sys.stderr.write(finished(plan, plan_file, workflow.dag_settings.targets))


onerror:
    sys.stderr.write(failures(plan.results / "logs", STARTED))
