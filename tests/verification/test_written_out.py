"""Every score against its formula written out in plain loops: random fields, fields with gaps, four pixels.

The loops share nothing with the package but the definition of a picture's grey, which is written out too.
"""

import cmath
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr

from ssldm.verification.comparison import compare
from ssldm.verification.statistics import Protocol, scores_of

PROTOCOL = Protocol(thresholds=(0.5, 2.0), pools=(1, 4), scales=(1, 2, 4), period_frames=2)
Pixel = tuple[int, int, int]


class Loops:
    """All scores of members ``(m, t, h, w)`` and truth ``(t, h, w)``, pixel by pixel."""

    def __init__(self, members: np.ndarray, truth: np.ndarray) -> None:
        self.members = members.astype(float).tolist()
        self.truth = truth.astype(float).tolist()
        self.count = len(members)
        self.shape = truth.shape
        self.valid = {
            p
            for p in itertools.product(*map(range, truth.shape))
            if math.isfinite(self.observed(p)) and all(map(math.isfinite, self.ensemble(p)))
        }

    def observed(self, p: Pixel) -> float:
        return self.truth[p[0]][p[1]][p[2]]

    def ensemble(self, p: Pixel) -> list[float]:
        return [member[p[0]][p[1]][p[2]] for member in self.members]

    def mean(self, p: Pixel) -> float:
        return sum(self.ensemble(p)) / self.count

    def blocks(self, side: int) -> Iterator[list[Pixel]]:
        """The pixels that count of each block that counts."""
        leads, height, width = self.shape
        for t, i, j in itertools.product(range(leads), range(height // side), range(width // side)):
            inside = [(t, side * i + a, side * j + b) for a in range(side) for b in range(side)]
            found = [p for p in inside if p in self.valid]
            if 2 * len(found) >= side * side and found:
                yield found

    def contingency(self, threshold: float, side: int, of_mean: bool) -> dict[str, float]:
        hit = miss = false = right = 0
        for block in self.blocks(side):
            wet = max(self.observed(p) for p in block) >= threshold
            for k in range(1 if of_mean else self.count):
                forecast = max(self.mean(p) if of_mean else self.ensemble(p)[k] for p in block) >= threshold
                hit += forecast and wet
                miss += wet and not forecast
                false += forecast and not wet
                right += not forecast and not wet
        number = hit + miss + false + right
        chance = ((hit + miss) * (hit + false) + (right + miss) * (right + false)) / number
        return {
            "csi": ratio(hit, hit + miss + false),
            "pod": ratio(hit, hit + miss),
            "far": ratio(false, hit + false),
            "bias": ratio(hit + false, hit + miss),
            "hss": ratio(hit + right - chance, number - chance),
        }

    def crps(self, side: int, how: str, fair: bool, above: float = 0.0) -> float:
        values = []
        for block in self.blocks(side):
            pool = max if how == "max" else lambda numbers: sum(numbers) / len(numbers)
            y = max(pool([self.observed(p) for p in block]), above)
            xs = [max(pool([self.ensemble(p)[k] for p in block]), above) for k in range(self.count)]
            pairs = sum(abs(a - b) for a in xs for b in xs)
            norm = self.count * (self.count - 1) if fair else self.count**2
            values.append(sum(abs(x - y) for x in xs) / self.count - 0.5 * pairs / norm)
        return sum(values) / len(values)

    def all_crps(self, side: int) -> dict[str, float]:
        return {
            "crps": self.crps(side, "mean", fair=False),
            "crps_fair": self.crps(side, "mean", fair=True),
            "crps_max": self.crps(side, "max", fair=False),
        }

    def over_two_frames(self) -> "Loops | None":
        """Means of each frame and the one before; None of a single frame."""
        if self.shape[0] < 2:
            return None

        def means(field: list[list[list[float]]]) -> np.ndarray:
            first = [[math.nan] * self.shape[2]] * self.shape[1]
            pairs = itertools.pairwise(field)
            rest = [
                [[(a + b) / 2 for a, b in zip(*rows, strict=True)] for rows in zip(*frames, strict=True)]
                for frames in pairs
            ]
            return np.array([first, *rest])

        return Loops(np.array([means(member) for member in self.members]), means(self.truth))

    def block_means(self, t: int) -> dict[tuple[int, int], tuple[float, list[float]]]:
        """Of the 4×4 blocks that count: by row and column the observed mean and those of the members."""
        found = {}
        for block in self.blocks(4):
            if block[0][0] == t:
                place = block[0][1] // 4, block[0][2] // 4
                y = sum(self.observed(p) for p in block) / len(block)
                xs = [sum(self.ensemble(p)[k] for p in block) / len(block) for k in range(self.count)]
                found[place] = (y, xs)
        return found

    def multivariate(self) -> dict[str, float]:
        energies, variograms = [], []
        for t in range(self.shape[0]):
            blocks = self.block_means(t)

            def distance(one: list[float], other: list[float]) -> float:
                return math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one))

            truth = [y for y, _ in blocks.values()]
            members = [[xs[k] for _, xs in blocks.values()] for k in range(self.count)]
            if truth:
                error = sum(distance(member, truth) for member in members) / self.count
                apart = sum(distance(a, b) for a in members for b in members) / self.count**2
                energies.append(error - 0.5 * apart)
            for (i, j), (y, xs) in blocks.items():
                for apart, (down, right) in itertools.product((1, 2, 4, 8), ((1, 0), (0, 1))):
                    if (other := blocks.get((i + apart * down, j + apart * right))) is not None:
                        pairs = zip(xs, other[1], strict=True)
                        expected = sum(abs(a - b) ** 0.5 for a, b in pairs) / self.count
                        variograms.append((abs(y - other[0]) ** 0.5 - expected) ** 2)
        return {
            "energy_score": ratio(sum(energies), len(energies)),
            "variogram_score": ratio(sum(variograms), len(variograms)),
        }

    def probabilities(self, threshold: float) -> list[tuple[float, bool]]:
        return [
            (sum(x >= threshold for x in self.ensemble(p)) / self.count, self.observed(p) >= threshold)
            for p in self.valid
        ]

    def brier(self, threshold: float) -> dict[str, float]:
        pairs = self.probabilities(threshold)
        base = sum(wet for _, wet in pairs) / len(pairs)
        reliability = resolution = 0.0
        for probability in {p for p, _ in pairs}:
            bin_of = [wet for p, wet in pairs if p == probability]
            frequency = sum(bin_of) / len(bin_of)
            reliability += len(bin_of) * (probability - frequency) ** 2 / len(pairs)
            resolution += len(bin_of) * (frequency - base) ** 2 / len(pairs)
        wet, dry = [p for p, o in pairs if o], [p for p, o in pairs if not o]
        told = sum((a > b) + 0.5 * (a == b) for a in wet for b in dry)
        return {
            "brier": sum((p - wet) ** 2 for p, wet in pairs) / len(pairs),
            "brier_reliability": reliability,
            "brier_resolution": resolution,
            "brier_uncertainty": base * (1 - base),
            "roc_area": ratio(told, len(wet) * len(dry)),
        }

    def fss(self, threshold: float, side: int) -> float:
        leads, height, width = self.shape
        error = reference = 0.0
        for t, i, j in itertools.product(range(leads), range(height - side + 1), range(width - side + 1)):
            inside = [(t, i + a, j + b) for a in range(side) for b in range(side)]
            found = [p for p in inside if p in self.valid]
            if not found:
                continue
            exceeding = sum(x >= threshold for p in found for x in self.ensemble(p))
            f = exceeding / (self.count * len(found))
            o = sum(self.observed(p) >= threshold for p in found) / len(found)
            weight = len(found) / side**2
            error += weight * (f - o) ** 2
            reference += weight * (f * f + o * o)
        return 1 - error / reference

    def ranks(self) -> list[float]:
        counts = [0] * (self.count + 1)
        for p in self.valid:
            if max([self.observed(p), *self.ensemble(p)]) >= 0.1:
                counts[sum(x < self.observed(p) for x in self.ensemble(p))] += 1
        return [c * len(counts) / sum(counts) for c in counts]

    def errors(self) -> dict[str, float]:
        n, m = len(self.valid), self.count
        square = sum((self.mean(p) - self.observed(p)) ** 2 for p in self.valid) / n
        variance = (
            sum(sum((x - self.mean(p)) ** 2 for x in self.ensemble(p)) / (m - 1) for p in self.valid) / n
        )
        spread = math.sqrt((m + 1) / m * variance)
        return {
            "mae": sum(abs(self.mean(p) - self.observed(p)) for p in self.valid) / n,
            "rmse": math.sqrt(square),
            "spread": spread,
            "spread_skill": spread / math.sqrt(square),
            "mean_rate": sum(map(self.mean, self.valid)) / n,
            "observed_rate": sum(map(self.observed, self.valid)) / n,
        }

    def pictures(self) -> dict[str, float]:
        squares, pixels, peaks = 0.0, 0, []
        for k, t in itertools.product(range(self.count), range(self.shape[0])):
            here = [p for p in self.valid if p[0] == t]
            squares += sum((grey(self.ensemble(p)[k]) - grey(self.observed(p))) ** 2 for p in here)
            pixels += len(here)
            if here:
                strongest = max(self.ensemble(p)[k] for p in here)
                peaks.append(strongest - max(self.observed(p) for p in here))
        return {
            "psnr": -10 * math.log10(squares / pixels),
            "max_error": sum(peaks) / len(peaks),
            "max_absolute_error": sum(map(abs, peaks)) / len(peaks),
        }

    def value(self, p: Pixel, member: int | None) -> float:
        if p not in self.valid:
            return 0.0
        return self.observed(p) if member is None else self.ensemble(p)[member]

    def ssim(self) -> float:
        leads, height, width = self.shape
        gauss = [math.exp(-(a * a) / (2 * 1.5**2)) for a in range(-5, 6)]
        total = sum(gauss) ** 2
        found = []
        for k, t in itertools.product(range(self.count), range(leads)):
            for i, j in itertools.product(range(5, height - 5), range(5, width - 5)):
                window = [(a, b) for a in range(-5, 6) for b in range(-5, 6)]
                if not all((t, i + a, j + b) in self.valid for a, b in window):
                    continue
                sums = [0.0] * 5
                for a, b in window:
                    w = gauss[a + 5] * gauss[b + 5] / total
                    x = grey(self.value((t, i + a, j + b), None))
                    y = grey(self.value((t, i + a, j + b), k))
                    for n, term in enumerate((x, y, x * x, y * y, x * y)):
                        sums[n] += w * term
                mx, my, xx, yy, xy = sums
                c1, c2 = 0.01**2, 0.03**2
                above = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
                below = (mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2)
                found.append(above / below)
        return sum(found) / len(found)

    def power(self, wavelength: float, member: int | None) -> float:
        """Mean power over frames and over the wave vectors within a quarter octave of a wavelength."""
        leads, height, width = self.shape
        found = []
        for u, v in itertools.product(range(height), range(width)):
            fu, fv = (n / size if 2 * n < size else n / size - 1 for n, size in ((u, height), (v, width)))
            frequency = math.hypot(fu, fv)
            if frequency == 0 or not 2**-0.25 < wavelength * frequency < 2**0.25:
                continue
            for t in range(leads):
                wave = sum(
                    self.value((t, i, j), member)
                    * cmath.exp(-2j * math.pi * (u * i / height + v * j / width))
                    for i, j in itertools.product(range(height), range(width))
                )
                found.append(abs(wave) ** 2 / (height * width))
        return sum(found) / len(found)

    def neighbours(self, p: Pixel, reach: int) -> list[Pixel]:
        """Pixels of the frame at most so many rows and columns away."""
        t, i, j = p
        _, height, width = self.shape
        rows, columns = (
            range(max(n - reach, 0), min(n + reach + 1, size)) for n, size in ((i, height), (j, width))
        )
        return [(t, a, b) for a in rows for b in columns]

    def objects(self, member: int | None, least: float = 1.0, of: int | None = None) -> list[set[Pixel]]:
        """Pixels with so much rain, of one frame or of all, that hang together by side or corner."""
        wet = {p for p in self.valid if self.value(p, member) >= least and of in (None, p[0])}
        found = []
        while wet:
            whole, edge = set(), {wet.pop()}
            while edge:
                whole |= edge
                edge = {q for p in edge for q in self.neighbours(p, 1)} & wet
                wet -= edge
            found.append(whole)
        return found

    def smooth(self, field: list[list[float]], sigma: int, order: tuple[int, int]) -> list[list[float]]:
        """Averages by a Gaussian, or by its derivative along an axis; the domain is mirrored at its edges."""
        reach = 4 * sigma
        gauss = {a: math.exp(-(a * a) / (2 * sigma * sigma)) for a in range(-reach, reach + 1)}
        total = sum(gauss.values())

        def along_rows(rows: list[list[float]], derivative: int) -> list[list[float]]:
            weight = {a: g / total * (a / sigma**2 if derivative else 1.0) for a, g in gauss.items()}
            mirrored = [row + row[::-1] for row in rows]
            return [
                [sum(w * row[(j + a) % len(row)] for a, w in weight.items()) for j in range(len(row) // 2)]
                for row in mirrored
            ]

        def turned(rows: list[list[float]]) -> list[list[float]]:
            return [list(column) for column in zip(*rows, strict=True)]

        return turned(along_rows(turned(along_rows(field, order[1])), order[0]))

    def coherences(self, member: int | None) -> list[float]:
        leads, height, width = self.shape
        pixels = list(itertools.product(range(height), range(width)))
        found = []
        for t in range(leads):
            logs = [
                [math.log(max(self.value((t, i, j), member), 0.1)) for j in range(width)]
                for i in range(height)
            ]
            down, right = self.smooth(logs, 1, (1, 0)), self.smooth(logs, 1, (0, 1))
            for i, j in pixels:
                if not set(self.neighbours((t, i, j), 4)) <= self.valid:
                    down[i][j] = right[i][j] = 0.0
            yy, xx, xy = (
                self.smooth([[a[i][j] * b[i][j] for j in range(width)] for i in range(height)], 4, (0, 0))
                for a, b in ((down, down), (right, right), (down, right))
            )
            for i, j in pixels:
                if self.value((t, i, j), member) >= 1.0 and xx[i][j] + yy[i][j] > 1e-10:
                    # The eigenvalues are m + r and m - r, of the mean m of the diagonal.
                    m = (xx[i][j] + yy[i][j]) / 2
                    r = math.sqrt((xx[i][j] - yy[i][j]) ** 2 / 4 + xy[i][j] ** 2)
                    found.append(((m + r) - (m - r)) / ((m + r) + (m - r)))
        return found

    def elongation(self, whole: set[Pixel]) -> float:
        """Of the ellipse with the moments of the squares of an object, by the eigenvalues' formula."""
        n = len(whole)
        my, mx = (sum(p[axis] for p in whole) / n for axis in (1, 2))
        yy = sum((p[1] - my) ** 2 for p in whole) / n + 1 / 12
        xx = sum((p[2] - mx) ** 2 for p in whole) / n + 1 / 12
        xy = sum((p[1] - my) * (p[2] - mx) for p in whole) / n
        middle, root = (yy + xx) / 2, math.sqrt(((yy + xx) / 2) ** 2 - (yy * xx - xy * xy))
        return math.sqrt((middle + root) / (middle - root))

    def field(self, t: int, member: int | None) -> tuple[float, float, float, float, float] | None:
        """Mean rain, centre, scaled volume and scatter of its objects; None of a dry frame."""
        _, height, width = self.shape
        rain = {(t, i, j): self.value((t, i, j), member) for i in range(height) for j in range(width)}
        wet = sorted(value for value in rain.values() if value >= 0.1)
        if not wet:
            return None
        place = 0.95 * (len(wet) - 1)
        low, high = wet[math.floor(place)], wet[math.ceil(place)]
        least = (low + (place - math.floor(place)) * (high - low)) / 15

        def centre(pixels: set[Pixel]) -> tuple[float, float]:
            total = sum(rain[p] for p in pixels)
            return tuple(sum(rain[p] * p[axis] for p in pixels) / total for axis in (1, 2))

        y, x = centre(set(rain))
        volume = scatter = total = 0.0
        for whole in self.objects(member, least, t):
            of = sum(rain[p] for p in whole)
            total += of
            volume += of * of / max(rain[p] for p in whole)
            scatter += of * math.dist(centre(whole), (y, x))
        return sum(rain.values()) / len(rain), y, x, volume / total, scatter / total

    def sal(self) -> dict[str, float]:
        frames = []
        for k, t in itertools.product(range(self.count), range(self.shape[0])):
            one, other = self.field(t, k), self.field(t, None)
            if one and other:
                structure, amplitude = (2 * (one[i] - other[i]) / (one[i] + other[i]) for i in (3, 0))
                diagonal = math.hypot(*self.shape[1:])
                apart = math.dist(one[1:3], other[1:3]) / diagonal
                location = apart + 2 * abs(one[4] - other[4]) / diagonal
                frames.append((structure, amplitude, location, abs(structure), abs(amplitude)))
        names = ("structure", "amplitude", "location", "structure_error", "amplitude_error")
        means = [sum(terms) / len(frames) for terms in zip(*frames, strict=True)]
        return {f"sal_{name}": mean for name, mean in zip(names, means, strict=True)}

    def looks(self, sources: list[int | None]) -> dict[str, float]:
        """Of some members, or of the observation, ``[None]``."""
        objects = [whole for member in sources for whole in self.objects(member)]
        areas = [len(whole) for whole in objects]
        coherent = [c for member in sources for c in self.coherences(member)]
        wet = sum(areas)
        logs = sum(area * math.log(area) for area in areas)
        elongated = sum(len(whole) * math.log(self.elongation(whole)) for whole in objects)
        return {
            "objects": ratio(sum(area >= 3 for area in areas), wet),
            "object_area": math.exp(ratio(logs, wet)),
            "elongation": math.exp(ratio(elongated, wet)),
            "coherence": ratio(sum(coherent), len(coherent)),
        }


def ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def grey(rate: float) -> float:
    return min(max(math.log10(max(rate, 0.1) / 0.1) / 3.0, 0.0), 1.0)


def fields(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    if kind == "four pixels":
        truth = np.array([[[0.0, 3.0], [0.7, 0.2]]])
        members = np.array([[[[0.4, 2.5], [0.0, 0.6]]], [[[0.9, 1.0], [2.2, 0.05]]]])
        return members.astype(np.float32), truth.astype(np.float32)
    truth = rng.gamma(0.5, 2.0, (2, 14, 13))
    members = truth * np.exp(0.8 * rng.normal(size=(3, 2, 14, 13))) + 0.01 * rng.random((3, 2, 14, 13))
    if kind == "gaps":
        truth[0, :1, :2] = np.nan
        truth[1, rng.random((14, 13)) < 0.02] = np.nan
        members[:, :, 13:, 10:] = np.nan
        members[1, 0, 0, 12] = np.nan
    return members.astype(np.float32), truth.astype(np.float32)


@pytest.fixture(params=["random", "gaps", "four pixels"])
def both(request: pytest.FixtureRequest) -> tuple[xr.Dataset, Loops]:
    members, truth = fields(request.param)
    observed = xr.DataArray(
        truth, dims=("time", "y", "x"), coords={"time": np.arange(len(truth)).astype("M8[s]")}
    )
    sums = compare({"it": members}, observed, PROTOCOL)["it"]
    return scores_of(sums.sum("lead_time")), Loops(members, truth)


def assert_scores(found: xr.Dataset, expected: dict[str, float], **where: float) -> None:
    for name, value in expected.items():
        at = {key: of for key, of in where.items() if key in found[name].dims}
        assert found[name].sel(at).item() == pytest.approx(value, rel=2e-5, abs=1e-6, nan_ok=True), (name, at)


def test_contingency(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    sides = (1, 4) if loops.shape[1] >= 4 else (1,)
    for threshold, side in itertools.product((0.5, 2.0), sides):
        for of_mean, suffix in ((False, ""), (True, "_mean")):
            expected = loops.contingency(threshold, side, of_mean)
            named = {name + suffix: value for name, value in expected.items()}
            assert_scores(found, named, threshold=threshold, pool=side)


def test_crps(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    for side in (1, 4) if loops.shape[1] >= 4 else (1,):
        assert_scores(found, loops.all_crps(side), pool=side)


def test_crps_of_rain_above_thresholds(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    for threshold in (0.5, 2.0):
        expected = loops.crps(1, "mean", fair=False, above=threshold)
        assert_scores(found, {"crps_above": expected}, threshold=threshold)


def test_crps_of_amounts(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    means = loops.over_two_frames()
    if means is None:
        assert np.isnan(found["crps_amount"]).all()
        return
    for side in (1, 4):
        expected = {f"{name}_amount": value for name, value in means.all_crps(side).items()}
        assert_scores(found, expected, pool=side)


def test_fields_as_a_whole(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    assert_scores(found, loops.multivariate())


def test_probabilities(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    for threshold in (0.5, 2.0):
        assert_scores(found, loops.brier(threshold), threshold=threshold)
        pairs = loops.probabilities(threshold)
        for k in range(loops.count + 1):
            wet = [wet for probability, wet in pairs if round(probability * loops.count) == k]
            expected = {
                "forecast_share": len(wet) / len(pairs),
                "observed_frequency": ratio(sum(wet), len(wet)),
            }
            assert_scores(found, expected, threshold=threshold, exceeding=k)


def test_fractions(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    for threshold, side in itertools.product((0.5, 2.0), (1, 2, 4)):
        expected = loops.fss(threshold, side) if side <= min(loops.shape[1:]) else math.nan
        assert_scores(found, {"fss": expected}, threshold=threshold, scale=side)


def test_ensemble(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    for rank, expected in enumerate(loops.ranks()):
        assert_scores(found, {"rank_frequency": expected}, rank=rank)
    assert_scores(found, {"highest_rank": loops.ranks()[-1]})
    assert_scores(found, loops.errors())
    number = sum(math.isfinite(rate) for frame in loops.truth for row in frame for rate in row)
    assert_scores(found, {"coverage": len(loops.valid) / number, "counted": len(loops.valid) / number})


def test_pictures(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    assert_scores(found, loops.pictures())
    assert_scores(found, {"ssim": loops.ssim() if loops.shape[1] > 10 else math.nan})


def test_spectrum(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    for wavelength in (2.0, 4.0, 8.0) if loops.shape[1] > 10 else (2.0,):
        observed = loops.power(wavelength, None)
        power = sum(loops.power(wavelength, k) for k in range(loops.count)) / loops.count
        expected = {"power": power, "observed_power": observed, "power_ratio": power / observed}
        assert_scores(found.sel(wavelength=wavelength), expected)


def test_looks(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    forecast, observed = loops.looks([*range(loops.count)]), loops.looks([None])
    assert_scores(found, {f"observed_{name}": value for name, value in observed.items()})
    assert_scores(found, {name: ratio(value, observed[name]) for name, value in forecast.items()})


def test_sal(both: tuple[xr.Dataset, Loops]) -> None:
    found, loops = both
    assert_scores(found, loops.sal())
