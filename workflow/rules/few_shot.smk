rule few_shot:
    """A run trained again on few of its images, several times; each training predicts the test set."""
    input:
        start=plan.start_of_run,
        visits=f"{RESULTS}/visits/{{run}}.json",
        src=sources.closure("fxcore.evaluation.few_shot"),
    output:
        predictions=f"{RESULTS}/predictions/few_shot/{{run}}.parquet",
        choice=f"{RESULTS}/predictions/few_shot/{{run}}.json",
    log:
        f"{RESULTS}/logs/few_shot/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/few_shot/{{run}}.tsv"
    threads: plan.machine.threads
    resources:
        gpu=plan.gpus_to_score,
        mem_mb=plan.memory,
        runtime=plan.minutes_of_few_shot,
    params:
        results=plan.root,
        slice=plan.sliced(make.few_shot_slice, "run"),
    message:
        "{wildcards.run}: training on few images"
    shell:
        "python -m fxcore few-shot {wildcards.run} --results {params.results:q} --params {params.slice:q}"
        " --threads {threads} --gpus {resources.gpu} --log {log:q}"
