"""What every metric means, from ``groundswell/metrics.py`` itself."""

from __future__ import annotations

from groundswell.metrics import CATALOGUE, LABELS


def metrics_page() -> str:
    """``docs/metrics.md``."""
    lines = [
        "# Metrics",
        "",
        "<!-- made by `groundswell docs metrics` from groundswell/metrics.py; do not edit -->",
        "",
        "Each process serves its own at `/metrics` (`observability.port` plus the number of the process), in the text",
        "format of Prometheus or, where it is asked for, in OpenMetrics. A histogram has `_bucket`, `_sum` and",
        "`_count`.",
        "",
        "| metric | type | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
    lines += ["", "| label | values |", "| --- | --- |"]
    lines += [f"| `{label}` | {values} |" for label, values in LABELS.items()]
    return "\n".join(lines) + "\n"
