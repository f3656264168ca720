rule phantom:
    """Synthetic radiographs in a dataset's native format."""
    input:
        src=plan.supply.phantom_sources,
    output:
        folder=directory(f"{RESULTS}/phantoms/{{dataset}}"),
    log:
        f"{RESULTS}/logs/phantom/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/phantom/{{dataset}}.tsv"
    priority: plan.priority
    params:
        results=plan.root,
        slice=plan.sliced(make.phantom_slice, "dataset"),
    message:
        "{wildcards.dataset}: drawing phantoms"
    shell:
        "python -m fxcore phantom {wildcards.dataset} --results {params.results:q} --params {params.slice:q} --log {log:q}"


rule normalize:
    """A dataset's store from its native files, checked."""
    input:
        retrieved=plan.supply.retrieved_of_dataset,
        phantom=plan.supply.phantom_of_dataset,
        src=plan.supply.normalize_sources,
    output:
        [
            f"{RESULTS}/data/{{dataset}}/{plan.params.store_size}/{name}"
            for name in STORE_FILES
        ],
    log:
        f"{RESULTS}/logs/normalize/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/normalize/{{dataset}}.tsv"
    priority: plan.priority
    threads: plan.machine.threads
    resources:
        mem_mb=plan.memory,
        runtime=plan.data.minutes_to_normalize,
    params:
        results=plan.root,
        slice=plan.sliced(make.store_slice, "dataset"),
        native=plan.supply.native,
    message:
        "{wildcards.dataset}: from native files to the store"
    shell:
        "python -m fxcore normalize {wildcards.dataset} --results {params.results:q} --params {params.slice:q} --threads {threads} --log {log:q}"
