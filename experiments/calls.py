"""Calls against skill: what seconds buy, from no forecast model at all to ten calls of the paper's denoiser.

    python experiments/calls.py --published runs/published/model --windows 12

The shipped model (no calls of a denoiser), the paper's recipe with 1, 2, 4 and 10 calls, LINDA, STEPS and
extrapolation on the same windows; seconds are medians of rounds in which all take turns, on one thread.
Writes docs/research/calls-table.md and docs/images/calls.png. Archives: `experiments/archives.sh`.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ssldm.atomic import replacing
from ssldm.rain_maps import panel_grid
from ssldm.report.contestants import Contestant, EnsembleSettings, ModelContestant, baseline, trained
from ssldm.report.evaluate import evaluate
from ssldm.report.preparation import Report, Selection, plan_of, prepare
from ssldm.report.work import in_processes

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
CALLS = (1, 2, 4, 10)
REFERENCE = "steps"
COLUMNS = {
    "seconds": "seconds",
    "crps": "CRPS, mm/h",
    "skill": "CRPS of STEPS's",
    "classifier_auc": "told apart (AUC)",
}
ONE_WORKER = 1


def contestants(
    published: Path, members: int, calls: tuple[int, ...], baselines: list[str]
) -> list[Contestant]:
    """Those of the curve."""
    settings = EnsembleSettings(members=members)
    model = trained(f"published={published}", settings)
    assert isinstance(model, ModelContestant)
    asked = [
        replace(model, name=f"published-{number}", settings=replace(settings, steps=number))
        for number in calls
    ]
    return [trained("small", settings), *asked, *(baseline(name, settings) for name in baselines)]


def seconds_of(report: Report, rounds: int) -> dict[str, float]:
    """Median seconds of a forecast of each contestant, on the first window."""
    torch.set_num_threads(ONE_WORKER)
    plan = report.plan
    context = report.windows[0].of(plan.series(), plan.frames).load().isel(time=slice(plan.context_frames))
    forecasters = {each.name: each.load() for each in plan.contestants}
    times: dict[str, list[float]] = {name: [] for name in forecasters}
    for _ in range(rounds):
        for name, forecast in forecasters.items():
            began = time.perf_counter()
            forecast(context, plan.lead_frames).load()
            times[name].append(time.perf_counter() - began)
    return {name: float(np.median(each)) for name, each in times.items()}


def table_of(scores: pd.DataFrame, seconds: dict[str, float]) -> pd.DataFrame:
    """A row a contestant."""
    whole = scores[(scores["lead_frame"] == 0) & ~(scores["scale"] > 1)]
    wide = whole[whole["metric"].isin(["crps", "classifier_auc"])]
    wide = wide.pivot_table(index="contestant", columns="metric", values="value", sort=False)
    wide["skill"] = wide["crps"] / wide.loc[REFERENCE, "crps"]
    wide.insert(0, "seconds", pd.Series(seconds))
    return wide.reindex(columns=list(COLUMNS))


def markdown(table: pd.DataFrame, report: Report, members: int) -> str:
    """The table for the documentation."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in table.sort_values("seconds").iterrows():
        cells = [
            f"{row['seconds']:.2g}",
            f"{row['crps']:.3g}",
            f"{row['skill']:.3f}",
            f"{row['classifier_auc']:.2f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    note = (
        f"{len(report.windows)} windows, {members} members, {report.plan.lead_frames} lead times; one thread."
    )
    return "\n".join([*lines, "", note, ""])


def draw(table: pd.DataFrame, path: Path) -> None:
    """CRPS and looks against seconds."""
    figure, axes = panel_grid(1, 2, 4.2, tall=0.8)
    for axis, column in zip(axes[0], ("skill", "classifier_auc"), strict=True):
        if table[column].isna().all():  # of too few windows
            continue
        model = table[table.index.str.startswith(("small", "published"))]
        for part, marker in ((model, "o"), (table.drop(model.index), "s")):
            axis.scatter(part["seconds"], part[column], marker=marker, zorder=3)
        for name, row in table.iterrows():
            axis.annotate(
                str(name), (row["seconds"], row[column]), (4, 4), textcoords="offset points", fontsize=8
            )
        axis.set(xscale="log", xlabel="seconds a forecast", ylabel=COLUMNS[column])
        axis.grid(color="0.9")
    with replacing(path) as aside:
        figure.savefig(aside, dpi=100, format="png")


def main() -> None:
    """Make the table and the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--published", type=Path, default=HERE / "published")
    parser.add_argument("--data", action="append", help="archive; may be repeated")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--calls", default=",".join(map(str, CALLS)))
    parser.add_argument("--baselines", default="extrapolation,steps,linda")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "calls")
    parser.add_argument("--docs", type=Path, default=DOCS)
    given = parser.parse_args()
    archives = given.data or [f"runs/archives/{name}.zarr" for name in ("smhi-test", "meteoswiss-test")]
    asked = contestants(
        given.published, given.members, tuple(map(int, given.calls.split(","))), given.baselines.split(",")
    )
    plan = plan_of(archives, asked, given.out)
    selection = Selection(size=given.size, at_most=given.windows)
    report = prepare(plan, selection, reference=REFERENCE, command="experiments/calls.py")
    seconds = seconds_of(report, given.rounds)
    work = partial(in_processes, workers=given.workers)
    table = table_of(evaluate(report, work=work, progress=lambda items, _: items), seconds)
    (given.docs / "research").mkdir(parents=True, exist_ok=True)
    with replacing(given.docs / "research" / "calls-table.md") as aside:
        aside.write_text(markdown(table, report, given.members))
    draw(table, given.docs / "images" / "calls.png")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
