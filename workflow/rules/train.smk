rule pretrain:
    """One stage of one run: the previous stage's state in, this stage's state out."""
    input:
        state=plan.previous_state,
        visits=f"{RESULTS}/visits/{{run}}.json",
        src=sources.closure("fxcore.training.pretrain"),
    output:
        weights=f"{RESULTS}/checkpoints/{{run}}/{{stage}}.safetensors",
        optimizer=f"{RESULTS}/checkpoints/{{run}}/optimizer/{{stage}}.safetensors",
        snapshots=f"{RESULTS}/checkpoints/{{run}}/snapshots/{{stage}}.safetensors",
        history=f"{RESULTS}/checkpoints/{{run}}/history/{{stage}}.csv",
    log:
        f"{RESULTS}/logs/pretrain/{{run}}/{{stage}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain/{{run}}/{{stage}}.tsv"
    priority: plan.priority
    threads: plan.machine.threads
    resources:
        gpu=plan.gpus_of_run,
        mem_mb=plan.memory,
        runtime=plan.minutes_to_train,
    params:
        results=plan.root,
        slice=plan.sliced(make.train_slice, "run"),
    message:
        "{wildcards.run}: training {wildcards.stage}"
    shell:
        "python -m fxcore pretrain {wildcards.run} --stage {wildcards.stage} --results {params.results:q}"
        " --params {params.slice:q} --threads {threads} --gpus {resources.gpu} --log {log:q}"


rule keep:
    """What is kept of a run: weights of every cycle, snapshots, histories, the last optimiser. DVC knows this copy."""
    input:
        files=plan.worth_keeping,
        src=sources.closure("fxcore.training.keep"),
    output:
        f"{RESULTS}/kept/{{run}}/manifest.json",
    log:
        f"{RESULTS}/logs/keep/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/keep/{{run}}.tsv"
    priority: plan.priority
    params:
        results=plan.root,
        slice=plan.sliced(make.keep_slice, "run"),
    message:
        "{wildcards.run}: keeping weights"
    shell:
        "python -m fxcore keep {wildcards.run} --results {params.results:q} --params {params.slice:q} --log {log:q}"
