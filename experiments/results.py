"""What the studies publish: a tidy table, a table and a figure for the documentation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from study import HERE, VALIDATION, Job, Options, denoiser_seconds, preset_of, steps_for

from ssldm.rain_maps import panel_grid
from ssldm.report.contestants import EnsembleSettings, trained
from ssldm.report.evaluate import evaluate
from ssldm.report.preparation import Selection, plan_of, prepare
from ssldm.report.work import in_processes

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
    digits: int = 3

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table of results that hold this score."""
        part = table[(table["dataset"] == self.dataset) & (table["metric"] == self.metric)]
        for column, wanted in (("threshold", self.threshold), ("scale", self.scale)):
            part = part if wanted is None else part[np.isclose(part[column].astype(float), wanted, rtol=0.02)]
        return part


FORECAST_ROWS = (
    Row("CRPS, mm/h", "forecast", "crps", None, 1),
    Row("change of CRPS, mean over windows, %", "forecast", "crps_change", None, 1, digits=1),
    Row("windows with a lower CRPS", "forecast", "lower_crps", None, 1, digits=0),
    *(Row(f"CSI of the mean, {t:g} mm/h", "forecast", "csi_mean", t, 1) for t in (0.5, 2.0, 8.0)),
    *(Row(f"CSI of members, {t:g} mm/h", "forecast", "csi", t, 1) for t in (0.5, 2.0, 8.0)),
    Row("FSS of 16 pixels, 2 mm/h", "forecast", "fss", 2.0, 16),
    Row("spread over error", "forecast", "spread_skill"),
)
COST_ROWS = (
    Row("parameters", "cost", "parameters", digits=0),
    Row("steps", "cost", "steps", digits=0),
    Row("windows a second", "cost", "windows_a_second", digits=1),
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
    options: Options, models: dict[str, Path], reference: str, members: int = 8, steps: int = 8
) -> pd.DataFrame:
    """Scores of trained denoisers on the windows of the validation split, by `ssldm verify`'s own report.

    Args:
        models: weights folders by ``variant-seed``.
        reference: the variant that others of its seed are compared with, window by window.
        members, steps: of the ensembles.
    """
    settings = EnsembleSettings(members=members, steps=steps)
    contestants = [trained(f"{name}={folder}", settings) for name, folder in models.items()]
    plan = plan_of(options.paths(VALIDATION), contestants, options.out / "report")
    size = preset_of(options).window.size
    report = prepare(plan, Selection(size=size, thresholds="default"), reference=None, command="")
    table = evaluate(
        report, work=partial(in_processes, workers=options.workers), progress=lambda items, _: items
    )
    chosen = table[(table["lead_frame"] == 0) & table["metric"].isin(FORECAST_METRICS)]
    scores = chosen.rename(columns={"windows": "n"})
    pairs = paired_rows(pd.read_csv(plan.out / "windows.csv"), models, reference)
    rows = pd.concat([scores, pairs], ignore_index=True)
    names = rows["contestant"].str.rsplit("-", n=1, expand=True)
    return rows.assign(variant=names[0], seed=names[1].astype(int), dataset="forecast")


def paired_rows(by_window: pd.DataFrame, names: Iterable[str], reference: str) -> pd.DataFrame:
    """How the CRPS of each window differs from the reference's of the same seed.

    Two rows for each name: ``crps_change``, its mean over windows in %, with a 90% interval from a bootstrap
    over windows; and ``lower_crps``, in how many windows it is lower.

    Args:
        by_window: columns window, contestant, crps.
        names: contestants, ``variant-seed``.
        reference: a variant.
    """
    crps = by_window.pivot(index="window", columns="contestant", values="crps")
    rows = []
    for name in names:
        of_reference = f"{reference}-{name.rsplit('-', 1)[1]}"
        if name == of_reference:
            continue
        change = 100.0 * (crps[name] / crps[of_reference] - 1.0).dropna().to_numpy()
        drawn = np.random.default_rng(0).choice(change, (10_000, len(change))).mean(axis=1)
        lower, upper = np.quantile(drawn, (0.05, 0.95))
        shared = {"contestant": name, "scale": 1, "n": len(change)}
        rows += [
            {**shared, "metric": "crps_change", "value": change.mean(), "lower": lower, "upper": upper},
            {**shared, "metric": "lower_crps", "value": (change < 0).sum()},
        ]
    return pd.DataFrame(rows)


def cost_rows(options: Options, done: Sequence[Job]) -> pd.DataFrame:
    """Parameters, seconds a step, steps and windows a second of trainings that were paced each alone."""
    rows = []
    for job in done:
        preset = preset_of(options, job.overrides)
        with torch.device("meta"):
            parameters = sum(p.numel() for p in preset.denoiser.build().parameters())
        steps = steps_for(options, job.variant, partial(denoiser_seconds, preset))
        seconds = options.budget * 60.0 / steps
        costs = {
            "parameters": parameters,
            "steps": steps,
            "seconds_a_step": seconds,
            "windows_a_second": preset.denoiser_training.optimisation.batch_size / seconds,
        }
        shared = {"variant": job.variant, "seed": job.seed, "dataset": "cost", "n": 1}
        rows += [{**shared, "metric": metric, "value": value} for metric, value in costs.items()]
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame, variants: Sequence[str], shown: Sequence[Row], path: Path) -> None:
    """Write a table with variants in columns: mean over seeds, and the hull of their intervals in brackets.

    Args:
        table: as `write_results` returns it.
        variants: in the order of the columns.
        shown: the rows.
        path: of the Markdown file.
    """
    lines = [["", "n", *_spaced(variants)], ["---"] * (2 + len(variants))]
    for row in shown:
        part = row.of(table)
        cells = [_cell(part[part["variant"] == variant], row.digits) for variant in variants]
        lines.append([row.label, f"{part['n'].max():.0f}" if len(part) else "–", *cells])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _spaced(variants: Sequence[str]) -> list[str]:
    """Names that a browser may break, and that read better in a figure."""
    return [variant.replace("_", " ") for variant in variants]


def _cell(part: pd.DataFrame, digits: int) -> str:
    known = part.dropna(subset=["value"])
    if known.empty:
        return "–"
    bounds = known["lower"].min(), known["upper"].max()
    interval = "" if np.isnan(bounds[0]) else f" [{', '.join(f'{bound:.{digits}f}' for bound in bounds)}]"
    return f"{known['value'].mean():,.{digits}f}{interval}"


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
        axis.set_xticks(range(len(variants)), _spaced(variants), fontsize=6, rotation=40, ha="right")
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
