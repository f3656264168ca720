rule score:
    """Validation chooses among a run's states; the chosen predict the test set, once."""
    input:
        states=plan.candidate_states,
        snapshots=plan.snapshots_of_run,
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
    params:
        results=plan.root,
        slice=plan.score_slice,
    message:
        "{wildcards.run}: choosing on validation, predicting test"
    shell:
        "python -m fxcore score {wildcards.run} --states {input.states:q} --snapshots {input.snapshots:q}"
        " --results {params.results:q} --params {params.slice:q} --threads {threads} --gpus {resources.gpu} --log {log:q}"
