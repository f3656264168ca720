rule leakage:
    """What any two lists share, under each policy of splitting, and what runs test of what they train on."""
    input:
        data=plan.data.split_stores,
        src=sources.closure("fxcore.data.leakage"),
    output:
        lists=f"{RESULTS}/metrics/leakage/lists.parquet",
        runs=f"{RESULTS}/metrics/leakage/runs.parquet",
    log:
        f"{RESULTS}/logs/leakage/leakage.log",
    benchmark:
        f"{RESULTS}/benchmarks/leakage/leakage.tsv"
    params:
        results=plan.root,
        slice=plan.sliced(make.leakage_slice),
    message:
        "what lists share"
    shell:
        "python -m fxcore leakage --results {params.results:q} --params {params.slice:q} --log {log:q}"


rule evaluate:
    """A run's test metrics with intervals, from its saved predictions."""
    input:
        predictions=plan.compared,
        src=sources.closure("fxcore.evaluation.evaluate"),
    output:
        f"{RESULTS}/metrics/{{run}}.json",
    log:
        f"{RESULTS}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{run}}.tsv"
    priority: plan.priority
    params:
        results=plan.root,
        slice=plan.sliced(make.evaluate_slice, "run"),
    message:
        "{wildcards.run}: metrics of the test set"
    shell:
        "python -m fxcore evaluate {wildcards.run} --results {params.results:q} --params {params.slice:q} --log {log:q}"


rule evaluate_few_shot:
    """Test metrics of all trainings on few images, from their saved predictions."""
    input:
        predictions=plan.few_shot_of_runs,
        src=sources.closure("fxcore.evaluation.evaluate_few_shot"),
    output:
        f"{RESULTS}/metrics/few_shot.json",
    log:
        f"{RESULTS}/logs/evaluate_few_shot/evaluate_few_shot.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_few_shot/evaluate_few_shot.tsv"
    params:
        results=plan.root,
        slice=plan.sliced(make.few_shot_metrics_slice),
    message:
        "few images: metrics of the test set"
    shell:
        "python -m fxcore evaluate-few-shot --results {params.results:q} --params {params.slice:q} --log {log:q}"


rule evaluate_head:
    """Metrics of a head or an ensemble with intervals, from saved predictions."""
    input:
        predictions=plan.study.heads_of,
        src=sources.closure("fxcore.cxrlt.evaluate_head"),
    output:
        f"{RESULTS}/metrics/cxrlt/{{measured}}.json",
    log:
        f"{RESULTS}/logs/evaluate_head/{{measured}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_head/{{measured}}.tsv"
    params:
        results=plan.root,
        slice=plan.sliced(make.evaluate_head_slice, "measured"),
    message:
        "{wildcards.measured}: metrics of dev, test and gold"
    shell:
        "python -m fxcore evaluate-head {wildcards.measured} --results {params.results:q} --params {params.slice:q} --log {log:q}"


rule summary:
    """The headline numbers of all runs, for `dvc metrics` and `dvc plots`."""
    input:
        metrics=plan.metrics_of_runs,
        choices=plan.choices_of_runs,
        few_shot=plan.few_shot_metrics,
        heads=plan.study.metrics,
        src=sources.closure("fxcore.evaluation.summary"),
    output:
        summary=f"{RESULTS}/metrics/summary.json",
        validation=f"{RESULTS}/metrics/validation.csv",
    log:
        f"{RESULTS}/logs/summary/summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/summary/summary.tsv"
    params:
        results=plan.root,
        runs=list(plan.params.trained),
        few_shot="--few-shot" if plan.params.few_shot.runs else "",
        heads=plan.study.measured,
    message:
        "all runs: headline metrics"
    shell:
        "python -m fxcore summary {params.runs} {params.few_shot} {params.heads} --results {params.results:q} --log {log:q}"
