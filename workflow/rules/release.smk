rule release:
    """A run's weights as one file, with a card that says what they are."""
    input:
        kept=f"{RESULTS}/kept/{{run}}/manifest.json",
        choice=f"{RESULTS}/predictions/{{run}}.json",
        src=sources.closure("fxcore.evaluation.release"),
    output:
        weights=f"{RESULTS}/weights/{{run}}.safetensors",
        card=f"{RESULTS}/weights/{{run}}.md",
    log:
        f"{RESULTS}/logs/release/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/release/{{run}}.tsv"
    params:
        results=plan.root,
        slice=plan.sliced(make.release_slice, "run"),
    message:
        "{wildcards.run}: weights with their card"
    shell:
        "python -m fxcore release {wildcards.run} --results {params.results:q} --params {params.slice:q} --log {log:q}"
