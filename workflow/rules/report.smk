rule table:
    """One table of the paper as CSV, Markdown, LaTeX and HTML."""
    input:
        results=plan.table_inputs,
        src=plan.report_sources,
        # Which splits are a release's own, for captions.
        registry="fxcore/data/registry.yaml",
    output:
        f"{RESULTS}/tables/{{table}}.csv",
        f"{RESULTS}/tables/{{table}}.md",
        f"{RESULTS}/tables/{{table}}.tex",
        # A CSV would only be offered for download there.
        report(
            f"{RESULTS}/tables/{{table}}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"{RESULTS}/logs/table/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{table}}.tsv"
    params:
        results=plan.root,
        slice=plan.sliced(contents.table_slice, "table"),
        runs=list(plan.params.trained),
        # A parameter, so that a strict run looks at tables that are there already.
        strict=plan.strict,
    message:
        "{wildcards.table}"
    shell:
        "python -m fxcore table {wildcards.table} --results {params.results:q} --params {params.slice:q} --log {log:q} {params.strict}"


rule figure:
    """One figure as PNG and PDF, and its caption."""
    input:
        results=plan.figure_inputs,
        src=plan.report_sources,
        # Which splits are a release's own, for captions.
        registry="fxcore/data/registry.yaml",
    output:
        report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        f"{RESULTS}/figures/{{figure}}.pdf",
        caption=f"{RESULTS}/figures/{{figure}}.md",
    log:
        f"{RESULTS}/logs/figure/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{figure}}.tsv"
    params:
        results=plan.root,
        slice=plan.sliced(contents.figure_slice, "figure"),
        runs=list(plan.params.trained),
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
        f"{RESULTS}/index.md",
    log:
        f"{RESULTS}/logs/index/index.log",
    benchmark:
        f"{RESULTS}/benchmarks/index/index.tsv"
    params:
        results=plan.root,
        tables=plan.tables,
        figures=plan.figures,
    message:
        "all tables and figures on one page"
    shell:
        "python -m fxcore index --tables {params.tables} --figures {params.figures} --results {params.results:q} --log {log:q}"
