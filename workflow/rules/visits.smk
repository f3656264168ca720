rule visits:
    """What the stores that a run trains on hold: training starts anew exactly when this changes."""
    input:
        manifests=plan.stores_of_run,
        src=sources.closure("fxcore.data.visits"),
    output:
        f"{RESULTS}/visits/{{run}}.json",
    log:
        f"{RESULTS}/logs/visits/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/visits/{{run}}.tsv"
    priority: plan.priority
    params:
        results=plan.root,
        slice=plan.sliced(make.visits_slice, "run"),
    message:
        "{wildcards.run}: datasets it visits"
    shell:
        "python -m fxcore visits {wildcards.run} --results {params.results:q} --params {params.slice:q} --log {log:q}"
