"""Compares the kind `statistics` with the package light-curve: figures, and CPU seconds of one thread.

    cargo build --release
    pip install light-curve pyarrow
    python3 stages/benches/statistics_vs_light_curve.py

Both measure 39 features of 6 bands of the demo survey's 3,043 labelled objects. The seconds of flow are those of its
process: it reads the light curves, measures them and commits a table. Those of light-curve are its calls alone.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

import light_curve
import numpy
import pyarrow.parquet as parquet

PIPELINE = """
[pipeline]
name = "statistics"
seed = 42

[stages.ingest]
use = "ingest"
format = "demo"
labelled = 3043
unlabelled = 0

[stages.statistics]
use = "statistics"
inputs = { curves = "ingest" }
"""

FEATURES = [
    light_curve.Amplitude(), light_curve.AndersonDarlingNormal(), light_curve.BeyondNStd(1), light_curve.Cusum(),
    light_curve.Duration(), light_curve.Eta(), light_curve.EtaE(), light_curve.ExcessVariance(),
    light_curve.InterPercentileRange(0.25), light_curve.Kurtosis(), light_curve.LinearFit(),
    light_curve.LinearTrend(), light_curve.MagnitudePercentageRatio(0.4, 0.05), light_curve.MaximumSlope(),
    light_curve.MaximumTimeInterval(), light_curve.Mean(), light_curve.MeanVariance(), light_curve.Median(),
    light_curve.MedianAbsoluteDeviation(), light_curve.MedianBufferRangePercentage(0.1),
    light_curve.MinimumTimeInterval(), light_curve.ObservationCount(), light_curve.OtsuSplit(),
    light_curve.PercentAmplitude(), light_curve.PercentDifferenceMagnitudePercentile(0.05),
    light_curve.ReducedChi2(), light_curve.Skew(), light_curve.StandardDeviation(), light_curve.StetsonK(),
    light_curve.TimeMean(), light_curve.TimeStandardDeviation(), light_curve.WeightedMean(),
]


def run(folder, *arguments):
    """Runs flow, and returns the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    flow = os.path.abspath(os.environ.get("FLOW", "target/release/flow"))
    subprocess.run([flow, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def series(curves):
    """The light curves by object and band, as light-curve takes them."""
    for row in curves.to_pylist():
        light = row["lightcurve"]
        columns = [numpy.array(light[name]) for name in ("mjd", "flux", "flux_err")]
        bands = numpy.array(light["band"])
        for band in "ugrizy":
            yield row["object_id"], band, [column[bands == band] for column in columns]


def theirs(all_series):
    """The features of light-curve and the CPU seconds that it took; NaN is what it does not define."""
    extractor = light_curve.Extractor(*FEATURES)
    names = [name for feature in FEATURES for name in feature.names]
    each = [tuple(columns) for _, _, columns in all_series]
    start = time.process_time()
    rows = extractor.many(each, fill_value=numpy.nan, sorted=True, check=False, n_jobs=1)
    return names, rows, time.process_time() - start


def main():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "p.toml"), "w") as file:
            file.write(PIPELINE)
        open(os.path.join(folder, "flow.toml"), "w").close()
        run(folder, "run", "p.toml", "--to", "ingest")
        ours = run(folder, "run", "p.toml", "--jobs", "1")
        for what in "ingest.curves", "statistics.features":
            run(folder, "export", "last", what, "-o", what + ".parquet")
        curves = parquet.read_table(os.path.join(folder, "ingest.curves.parquet"))
        found = parquet.read_table(os.path.join(folder, "statistics.features.parquet"))
    all_series = list(series(curves))
    names, rows, seconds = theirs(all_series)
    ids = {name: place for place, name in enumerate(found["object_id"].to_pylist())}
    columns = {name: found[name].to_numpy() for name in found.column_names if name != "object_id"}
    worst = dict.fromkeys(names, (0.0, "", ""))
    compared = 0
    for (object_id, band, _), row in zip(all_series, rows):
        for name, wanted in zip(names, row):
            value = columns[f"{band}_flux_{name}"][ids[object_id]]
            if numpy.isnan(value) and (numpy.isnan(wanted) or name.startswith("otsu_std")):
                continue
            compared += 1
            off = abs(value - wanted) / max(abs(wanted), 1e-3)
            if not off <= worst[name][0]:
                worst[name] = (off, object_id, band)
    for name, (off, object_id, band) in sorted(worst.items(), key=lambda item: -item[1][0])[:5]:
        print(f"{name}: largest relative difference {off:.1e} ({object_id}, {band})")
    print(f"{compared} figures of {len(rows)} series were compared")
    print(f"flow {ours:.2f} CPU s, light-curve {seconds:.2f} CPU s")
    return 0 if all(off < 1e-5 for off, *_ in worst.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
