rule table:
    """One table of the paper as CSV, Markdown and LaTeX."""
    input:
        results=plan.table_inputs,
        src=sources.closure("fxcore.report.table"),
    output:
        f"{RESULTS}/tables/{{table}}.csv",
        f"{RESULTS}/tables/{{table}}.md",
        f"{RESULTS}/tables/{{table}}.tex",
    log:
        f"{RESULTS}/logs/table/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{table}}.tsv"
    params:
        results=plan.root,
        slice=plan.table_slice,
    message:
        "{wildcards.table}"
    shell:
        "python -m fxcore table {wildcards.table} --results {params.results:q} --params {params.slice:q} --log {log:q}"


rule figure:
    """One figure as PNG and PDF."""
    input:
        results=plan.figure_inputs,
        src=sources.closure("fxcore.report.figure"),
    output:
        f"{RESULTS}/figures/{{figure}}.png",
        f"{RESULTS}/figures/{{figure}}.pdf",
    log:
        f"{RESULTS}/logs/figure/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{figure}}.tsv"
    params:
        results=plan.root,
        slice=plan.figure_slice,
    message:
        "{wildcards.figure}"
    shell:
        "python -m fxcore figure {wildcards.figure} --results {params.results:q} --params {params.slice:q} --log {log:q}"
