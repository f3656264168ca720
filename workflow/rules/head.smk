rule head:
    """A head on a frozen backbone: rates tried on held-out images, trained again, predictions of dev, test and gold."""
    input:
        backbone=plan.study.backbone_of_head,
        stores=plan.study.stores_of_head,
        src=sources.closure("fxcore.cxrlt.head"),
    output:
        weights=f"{RESULTS}/heads/{{head}}.safetensors",
        predictions=f"{RESULTS}/predictions/cxrlt/{{head}}.parquet",
        choice=f"{RESULTS}/predictions/cxrlt/{{head}}.json",
    log:
        f"{RESULTS}/logs/head/{{head}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/head/{{head}}.tsv"
    threads: plan.machine.threads
    resources:
        gpu=plan.study.gpus_of_head,
        mem_mb=plan.memory,
        runtime=plan.study.minutes_of_head,
    params:
        results=plan.root,
        slice=plan.sliced(make.head_slice, "head"),
    message:
        "{wildcards.head}: training a head"
    shell:
        "python -m fxcore head {wildcards.head} --results {params.results:q} --params {params.slice:q}"
        " --threads {threads} --gpus {resources.gpu} --log {log:q}"
