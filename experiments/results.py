"""What the studies publish: a tidy table, a table and a figure for the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from study import HERE, VALIDATION, Options

from ssldm.rain_maps import panel_grid
from ssldm.report.contestants import EnsembleSettings, trained
from ssldm.report.evaluate import evaluate
from ssldm.report.preparation import Selection, plan_of, prepare
from ssldm.training.preset import load_preset

COLUMNS = ("variant", "seed", "dataset", "metric", "threshold", "scale", "value", "lower", "upper", "n")
FORECAST_METRICS = (
    "crps", "csi", "csi_mean", "fss", "bias", "spread_skill", "power_ratio", "max_error",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of a table, a panel of a figure: one score."""

    label: str
    dataset: str
    metric: str
    threshold: float | None = None
    scale: float | None = None

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table of results that hold this score."""
        part = table[(table["dataset"] == self.dataset) & (table["metric"] == self.metric)]
        for column, wanted in (("threshold", self.threshold), ("scale", self.scale)):
            part = part if wanted is None else part[np.isclose(part[column].astype(float), wanted, rtol=0.02)]
        return part


FORECAST_ROWS = (
    Row("CRPS, mm/h", "forecast", "crps", None, 1),
    *(Row(f"CSI of the mean, {t:g} mm/h", "forecast", "csi_mean", t, 1) for t in (0.5, 2.0, 8.0)),
    *(Row(f"CSI of members, {t:g} mm/h", "forecast", "csi", t, 1) for t in (0.5, 2.0, 8.0)),
    Row("FSS of 16 pixels, 2 mm/h", "forecast", "fss", 2.0, 16),
    Row("spread over error", "forecast", "spread_skill"),
)


def write_results(options: Options, rows: pd.DataFrame) -> pd.DataFrame:
    """Write the tidy table ``results.csv``; returns it in its order."""
    table = rows.reindex(columns=list(COLUMNS)).sort_values(
        ["dataset", "metric", "threshold", "scale", "variant", "seed"], kind="stable", ignore_index=True
    )
    partial_path = options.results / "results.csv.partial"
    table.to_csv(partial_path, index=False, float_format="%.5g")
    partial_path.replace(options.results / "results.csv")
    return table


def forecast_rows(
    options: Options, models: dict[str, Path], members: int = 8, steps: int = 8
) -> pd.DataFrame:
    """Scores of trained denoisers on the windows of the validation split, by `ssldm verify`'s own report.

    Args:
        models: weights folders by ``variant-seed``.
        members, steps: of the ensembles.
    """
    settings = EnsembleSettings(members=members, steps=steps)
    contestants = [trained(f"{name}={folder}", settings) for name, folder in models.items()]
    plan = plan_of(options.paths(VALIDATION), contestants, options.out / "report")
    size = load_preset(options.preset).window.size
    report = prepare(plan, Selection(size=size, thresholds="default"), reference=None, command="")
    table = evaluate(report, workers=options.workers, progress=lambda items, _: items)
    chosen = table[(table["lead_frame"] == 0) & table["metric"].isin(FORECAST_METRICS)]
    names = chosen["contestant"].str.rsplit("-", n=1, expand=True)
    return chosen.assign(variant=names[0], seed=names[1].astype(int), dataset="forecast", n=chosen["windows"])


def markdown(table: pd.DataFrame, variants: Sequence[str], shown: Sequence[Row], path: Path) -> None:
    """Write a table with variants in columns: mean over seeds, and the hull of their intervals in brackets.

    Args:
        table: as `write_results` returns it.
        variants: in the order of the columns.
        shown: the rows.
        path: of the Markdown file.
    """
    names = (variant.replace("_", " ") for variant in variants)  # a browser may break them
    lines = [["", "n", *names], ["---"] * (2 + len(variants))]
    for row in shown:
        part = row.of(table)
        cells = [_cell(part[part["variant"] == variant]) for variant in variants]
        lines.append([row.label, f"{part['n'].max():.0f}" if len(part) else "–", *cells])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _cell(part: pd.DataFrame) -> str:
    known = part.dropna(subset=["value"])
    if known.empty:
        return "–"
    lower, upper = known["lower"].min(), known["upper"].max()
    interval = "" if np.isnan(lower) else f" [{lower:.3f}, {upper:.3f}]"
    mean = known["value"].mean()
    return f"{mean:,.0f}{interval}" if abs(mean) >= 100 else f"{mean:.3f}{interval}"


def figure(table: pd.DataFrame, variants: Sequence[str], shown: Sequence[Row], path: Path) -> None:
    """Draw one panel a row: each training a dot with its interval, variants side by side."""
    columns = min(4, len(shown))
    drawing, axes = panel_grid(-(-len(shown) // columns), columns, 2.6)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, row in zip(axes.flat, shown, strict=False):
        part = row.of(table)
        for place, variant in enumerate(variants):
            found = part[part["variant"] == variant]
            offsets = place + 0.12 * (np.arange(len(found)) - (len(found) - 1) / 2)
            axis.vlines(offsets, found["lower"], found["upper"], color="0.7")
            axis.plot(offsets, found["value"], "o", markersize=4)
        axis.set_xticks(range(len(variants)), [v.replace("_", "\n") for v in variants], fontsize=6)
        axis.set_xlim(-0.5, len(variants) - 0.5)
        axis.set_title(row.label, fontsize=8)
        axis.tick_params(axis="y", labelsize=7)
        axis.grid(axis="y", color="0.92")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=100)


def publish(
    options: Options,
    table: pd.DataFrame,
    variants: Sequence[str],
    shown: Sequence[Row],
    drawn: Sequence[Row] | None = None,
) -> None:
    """Write table and figure (of all rows, or of those to be drawn) for the documentation."""
    name, docs = options.results.name, HERE.parent / "docs"
    markdown(table, variants, shown, docs / "studies" / f"{name}-table.md")
    figure(table, variants, shown if drawn is None else drawn, docs / "images" / f"study-{name}.png")
