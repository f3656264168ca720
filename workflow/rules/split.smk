for family in plan.data.families:

    rule:
        """Which images of the datasets of a family train, choose and test: a list a dataset, and what it counts."""
        name:
            f"split_{family}"
        input:
            stores=plan.data.stores_of_family(family),
            src=sources.closure("fxcore.data.split"),
        output:
            plan.data.splits(family),
        log:
            f"{RESULTS}/logs/split/{family}.log",
        benchmark:
            f"{RESULTS}/benchmarks/split/{family}.tsv"
        params:
            results=plan.root,
            slice=make.split_slice(plan.params, family).canonical(),
            family=family,
        message:
            f"{family}: who trains, who tests"
        shell:
            "python -m fxcore split {params.family} --results {params.results:q} --params {params.slice:q} --log {log:q}"
