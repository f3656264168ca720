rule ssl:
    """One stage of a backbone, pretrained without labels."""
    input:
        corpus=f"{RESULTS}/corpus.parquet",
        start=plan.study.start_of_stage,
        src=sources.closure("fxcore.cxrlt.ssl"),
    output:
        weights=f"{RESULTS}/checkpoints/cxrlt/{{backbone}}/{{resolution}}.safetensors",
        history=f"{RESULTS}/checkpoints/cxrlt/{{backbone}}/{{resolution}}.csv",
    log:
        f"{RESULTS}/logs/ssl/{{backbone}}/{{resolution}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ssl/{{backbone}}/{{resolution}}.tsv"
    threads: plan.machine.threads
    resources:
        gpu=plan.study.gpus_of_backbone,
        mem_mb=plan.memory,
        runtime=plan.study.minutes_of_ssl,
    params:
        results=plan.root,
        slice=plan.sliced(make.ssl_slice, "backbone", "resolution"),
    message:
        "{wildcards.backbone}: pretraining at {wildcards.resolution} pixels"
    shell:
        "python -m fxcore ssl {wildcards.backbone} {wildcards.resolution} --results {params.results:q} --params {params.slice:q}"
        " --threads {threads} --gpus {resources.gpu} --log {log:q}"


rule keep_backbone:
    """DVC's copy of a stage, which heads are put on."""
    input:
        weights=f"{RESULTS}/checkpoints/cxrlt/{{backbone}}/{{resolution}}.safetensors",
        history=f"{RESULTS}/checkpoints/cxrlt/{{backbone}}/{{resolution}}.csv",
        src=sources.closure("fxcore.cxrlt.keep_backbone"),
    output:
        weights=f"{RESULTS}/backbones/{{backbone}}/{{resolution}}.safetensors",
        history=f"{RESULTS}/backbones/{{backbone}}/{{resolution}}.csv",
    log:
        f"{RESULTS}/logs/keep_backbone/{{backbone}}/{{resolution}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/keep_backbone/{{backbone}}/{{resolution}}.tsv"
    params:
        results=plan.root,
    message:
        "{wildcards.backbone}: keeping {wildcards.resolution} pixels"
    shell:
        "python -m fxcore keep-backbone {wildcards.backbone} {wildcards.resolution} --results {params.results:q} --log {log:q}"
