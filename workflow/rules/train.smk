rule pretrain:
    """One stage of one run: the previous stage's state in, this stage's state out."""
    input:
        state=plan.previous_state,
        visits=f"{RESULTS}/visits/{{run}}.json",
        src=sources.closure("fxcore.training.pretrain"),
    output:
        state=f"{RESULTS}/checkpoints/{{run}}/{{stage}}.safetensors",
        history=f"{RESULTS}/training/{{run}}/{{stage}}.csv",
    log:
        f"{RESULTS}/logs/pretrain/{{run}}/{{stage}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain/{{run}}/{{stage}}.tsv"
    wildcard_constraints:
        run=plan.snapping(False),
    priority: plan.priority
    threads: plan.machine.threads
    resources:
        gpu=plan.gpus_of_run,
    params:
        results=plan.root,
        slice=plan.train_slice,
    message:
        "{wildcards.run}: training {wildcards.stage}"
    shell:
        "python -m fxcore pretrain {wildcards.run} --stage {wildcards.stage} --from {input.state:q}"
        " --results {params.results:q} --params {params.slice:q} --threads {threads} --gpus {resources.gpu} --log {log:q}"


# Outputs cannot depend on wildcards: a run that takes snapshots of the teacher has one more.
use rule pretrain as pretrain_snapshots with:
    output:
        state=f"{RESULTS}/checkpoints/{{run}}/{{stage}}.safetensors",
        history=f"{RESULTS}/training/{{run}}/{{stage}}.csv",
        snapshots=f"{RESULTS}/checkpoints/{{run}}/snapshots/{{stage}}.safetensors",
    wildcard_constraints:
        run=plan.snapping(True),
