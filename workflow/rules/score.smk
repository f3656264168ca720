rule score:
    """Validation chooses among a run's cycles; the chosen predict the test set, once."""
    input:
        kept=f"{RESULTS}/kept/{{run}}/manifest.json",
        visits=f"{RESULTS}/visits/{{run}}.json",
        src=sources.closure("fxcore.evaluation.score"),
    output:
        predictions=f"{RESULTS}/predictions/{{run}}.parquet",
        choice=f"{RESULTS}/predictions/{{run}}.json",
    log:
        f"{RESULTS}/logs/score/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score/{{run}}.tsv"
    priority: plan.priority
    threads: plan.machine.threads
    resources:
        gpu=plan.gpus_to_score,
        mem_mb=plan.memory,
        runtime=plan.minutes_to_score,
    params:
        results=plan.root,
        slice=plan.sliced(make.score_slice, "run"),
    message:
        "{wildcards.run}: choosing on validation, predicting test"
    shell:
        "python -m fxcore score {wildcards.run} --results {params.results:q} --params {params.slice:q}"
        " --threads {threads} --gpus {resources.gpu} --log {log:q}"
