"""``bench metrics``: what each number means."""

from __future__ import annotations

import click

from bench.cli.output import JSON, console, emit
from bench.metrics import METRICS


@click.group("metrics")
def command() -> None:
    """Metrics and their definitions."""


@command.command("list")
@JSON
def list_metrics(as_json: bool) -> None:
    """List the metrics with unit, direction and definition."""
    if as_json:
        fields = (
            "name",
            "label",
            "unit",
            "higher_is_better",
            "definition",
            "source",
            "version",
            "aggregation",
            "columns",
        )
        rows = [
            {field: getattr(metric, field) for field in fields}
            | {"regions": "any" if metric.regions is None else sorted(metric.regions)}
            for metric in METRICS.values()
        ]
        emit({"metrics": rows})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "unit", "better", "definition", "source"):
        table.add_column(column, overflow="fold")
    for metric in METRICS.values():
        better = "higher" if metric.higher_is_better else "lower"
        table.add_row(metric.name, metric.unit, better, metric.definition, metric.source)
    console().print(table)
