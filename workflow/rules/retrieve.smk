localrules:
    retrieve,  # nodes of a cluster often reach no network


rule retrieve:
    """A dataset's native files, fetched by its route: the only rule that opens a connection."""

    # No source files: what was fetched is what its checksums say, whichever code did it. The command reads its slice from the
    # parameter file, so that no URL is on a command line; not a parameter, since another path to it is no other route.
    output:
        record=f"{RESULTS}/retrieved/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/retrieve/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieve/{{dataset}}.tsv"
    priority: plan.priority
    params:
        results=plan.root,
        slice=plan.supply.retrieve_slice,
    message:
        "{wildcards.dataset}: fetching native files"
    shell:
        "python -m fxcore retrieve {wildcards.dataset} --results {params.results:q}"
        ' --params "$FXCORE_PARAMS" --log {log:q}'
