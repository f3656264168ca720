rule pretrain:
    """One stage of one run: the previous stage's state in, this stage's state out."""
    input:
        state=plan.previous_state,
        stores=plan.stores_of_run,
        src=sources.closure("fxcore.training.pretrain"),
    output:
        state=f"{RESULTS}/checkpoints/{{run}}/stage_{{stage}}.safetensors",
        history=f"{RESULTS}/metrics/training/{{run}}/stage_{{stage}}.csv",
    log:
        f"{RESULTS}/logs/pretrain/{{run}}/stage_{{stage}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain/{{run}}/stage_{{stage}}.tsv"
    threads: plan.machine.threads
    resources:
        gpu=plan.gpus_of_run,
    params:
        results=plan.root,
        slice=plan.train_slice,
    message:
        "{wildcards.run}: training stage {wildcards.stage}"
    shell:
        "python -m fxcore pretrain {wildcards.run} --stage {wildcards.stage} --results {params.results:q} --params {params.slice:q}"
        " --threads {threads} --gpus {resources.gpu} --log {log:q}"
