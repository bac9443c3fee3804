"""What a forecast costs on this machine: stages, beside STEPS, growth, arithmetic and start-up, in one table.

    python experiments/bench.py --out runs/bench

`make bench` does the same. Contestants run in turn, round after round, on as many threads as there are cores;
the table gives medians. The parts are in `experiments/benchmark/`, each returns rows of the table, which is
written after each part.
"""

import argparse
import os
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from benchmark import arithmetic, calls, growth, stages, startup, versus  # noqa: E402
from benchmark.measure import TINY, Options, Sizes, cores, use_threads  # noqa: E402
from benchmark.table import machine, markdown, write  # noqa: E402

from ssldm.forecast.nowcaster import InputDepartsFromTraining, resolve_device  # noqa: E402

PARTS = {part.PART: part.measure for part in (stages, versus, growth, calls, arithmetic, startup)}
_FULL = (4400, 3800)


def parse() -> tuple[Options, list[str], Path]:
    """What was asked for: options, parts, folder of the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be repeated")
    parser.add_argument("--model", default="small", help="shipped name or folder (default: small)")
    parser.add_argument("--device", default="cpu", help="of the networks: cpu, cuda or auto (default: cpu)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each is measured (default: 3)")
    parser.add_argument("--threads", type=int, default=cores(), help="default: as many as there are cores")
    parser.add_argument("--data", type=Path, default=HERE.parent / "../shared/data", help="radar files")
    parser.add_argument("--full", action="store_true", help=f"the continental composite at {_FULL}")
    parser.add_argument("--continental-steps", action="store_true", help="STEPS there, too")
    parser.add_argument("--tiny", action="store_true", help="everything as small as possible, to test it")
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "runs" / "bench", help="folder of the results"
    )
    given = parser.parse_args()
    if given.rounds < 1 or given.threads < 1:
        parser.error("expected at least one round and one thread")
    sizes = TINY if given.tiny else Sizes()
    if given.full:
        sizes = replace(sizes, continental=_FULL)
    options = Options(
        sizes=sizes,
        rounds=given.rounds,
        model=given.model,
        device=resolve_device(given.device),
        threads=given.threads,
        data=Path(os.devnull) if given.tiny else given.data,
        continental_steps=given.continental_steps or given.tiny,
    )
    return options, given.only or list(PARTS), given.out


def main() -> None:
    """Measure part after part."""
    options, parts, out = parse()
    out.mkdir(parents=True, exist_ok=True)
    found = machine(options)
    use_threads(options.threads)
    warnings.simplefilter("ignore", InputDepartsFromTraining)
    rows = []
    with tempfile.TemporaryDirectory(prefix="ssldm-bench-") as work:
        options = replace(options, work=Path(work))
        for part in parts:
            print(f"{part} …", file=sys.stderr, flush=True)
            rows += PARTS[part](options)
            write(out, found, options, rows)
    print(markdown(found, options, rows))


if __name__ == "__main__":
    main()
