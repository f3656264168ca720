rule corpus:
    """The pictures that pretraining without labels sees: none of a patient that heads are measured on."""
    input:
        stores=plan.study.stores_of_corpus,
        src=sources.closure("fxcore.cxrlt.corpus"),
    output:
        rows=f"{RESULTS}/corpus.parquet",
        counts=f"{RESULTS}/corpus.json",
    log:
        f"{RESULTS}/logs/corpus/corpus.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpus/corpus.tsv"
    params:
        results=plan.root,
        slice=plan.sliced(make.corpus_slice),
    message:
        "pictures for pretraining without labels"
    shell:
        "python -m fxcore corpus --results {params.results:q} --params {params.slice:q} --log {log:q}"
