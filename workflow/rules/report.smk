rule table:
    """One table of the paper as CSV, Markdown and LaTeX."""
    input:
        results=plan.table_inputs,
        src=sources.closure("fxcore.report.table"),
    output:
        report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        f"{RESULTS}/tables/{{table}}.md",
        f"{RESULTS}/tables/{{table}}.tex",
    log:
        f"{RESULTS}/logs/table/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{table}}.tsv"
    params:
        results=plan.root,
        slice=plan.table_slice,
        runs=list(plan.params.trained),
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
        report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        f"{RESULTS}/figures/{{figure}}.pdf",
    log:
        f"{RESULTS}/logs/figure/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{figure}}.tsv"
    params:
        results=plan.root,
        slice=plan.figure_slice,
        runs=list(plan.params.trained),
        data=plan.data,
    message:
        "{wildcards.figure}"
    shell:
        "python -m fxcore figure {wildcards.figure} --results {params.results:q} --params {params.slice:q} --log {log:q}"


rule index:
    """One page that shows every table and figure."""
    input:
        shown=plan.index_inputs,
        src=sources.closure("fxcore.report.index"),
    output:
        report(
            f"{RESULTS}/index.md",
            caption="../report/index.rst",
            category="Overview",
        ),
    log:
        f"{RESULTS}/logs/index/index.log",
    benchmark:
        f"{RESULTS}/benchmarks/index/index.tsv"
    params:
        results=plan.root,
        tables=plan.tables,
        data=plan.data,
    message:
        "all tables and figures on one page"
    shell:
        "python -m fxcore index --tables {params.tables} --results {params.results:q} --log {log:q}"
