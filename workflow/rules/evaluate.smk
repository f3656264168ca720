rule score:
    """Validation chooses among a run's states; the chosen predict the test set, once."""
    input:
        states=plan.kept_states,
        stores=plan.stores_of_run,
        src=sources.closure("fxcore.evaluation.score"),
    output:
        predictions=f"{RESULTS}/predictions/{{run}}.parquet",
        choice=f"{RESULTS}/predictions/{{run}}.json",
    log:
        f"{RESULTS}/logs/score/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score/{{run}}.tsv"
    threads: plan.machine.threads
    resources:
        gpu=plan.gpus_to_score,
    params:
        results=plan.root,
        slice=plan.score_slice,
    message:
        "{wildcards.run}: choosing on validation, predicting test"
    shell:
        "python -m fxcore score {wildcards.run} --states {input.states:q} --results {params.results:q} --params {params.slice:q}"
        " --threads {threads} --gpus {resources.gpu} --log {log:q}"


rule evaluate:
    """A run's test metrics with intervals, from its saved predictions."""
    input:
        predictions=f"{RESULTS}/predictions/{{run}}.parquet",
        choice=f"{RESULTS}/predictions/{{run}}.json",
        stores=plan.stores_of_run,
        src=sources.closure("fxcore.evaluation.evaluate"),
    output:
        f"{RESULTS}/metrics/{{run}}.json",
    log:
        f"{RESULTS}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{run}}.tsv"
    params:
        results=plan.root,
        slice=plan.evaluate_slice,
    message:
        "{wildcards.run}: metrics of the test set"
    shell:
        "python -m fxcore evaluate {wildcards.run} --results {params.results:q} --params {params.slice:q} --log {log:q}"
