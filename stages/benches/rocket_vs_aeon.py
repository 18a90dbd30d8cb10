#!/usr/bin/env python3
"""CPU seconds of the ROCKET and MiniRocket transforms in aeon and here, on the same work.

    pip install aeon
    python3 stages/benches/rocket_vs_aeon.py
    python3 stages/benches/rocket_vs_aeon.py --minirocket

The work is 5,000 kernels, or 10,000 features of MiniRocket, on each of 6 bands of 3,043 objects with 100 points, random walks, on one
thread. aeon's CPU time (user and system, of the process) covers `transform` alone: fitting, which draws
the kernels, and a small transform that makes numba compile come before. Ours covers drawing the
kernels, the transform and the memory of the result; see `examples/rocket_cpu.rs`. `--aeon-only` leaves
our part out, `--binary PATH` takes a built example instead of calling cargo.
"""

import argparse
import os
import subprocess
import time
from pathlib import Path

OBJECTS, BANDS, POINTS, KERNELS = 3043, 6, 100, 5000

# One thread, as numba and the BLAS read these when they are imported.
ONE_THREAD = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
os.environ.update(ONE_THREAD)


def aeon_seconds(minirocket: bool) -> float:
    import aeon
    import numpy as np
    from aeon.transformations.collection.convolution_based import MiniRocket, Rocket

    draw = np.random.default_rng(1)
    walks = draw.standard_normal((BANDS, OBJECTS, 1, POINTS)).cumsum(axis=-1).astype(np.float32)
    total = 0.0
    for band, series in enumerate(walks):
        if minirocket:
            rocket = MiniRocket(n_kernels=2 * KERNELS, n_jobs=1, random_state=band)
        else:
            rocket = Rocket(n_kernels=KERNELS, normalise=False, n_jobs=1, random_state=band)
        rocket.fit(series)
        if band == 0:
            rocket.transform(series[:8])
        start = time.process_time()
        features = rocket.transform(series)
        total += time.process_time() - start
        # MiniRocket has a multiple of 84 features.
        assert features.shape == (OBJECTS, 9996 if minirocket else 2 * KERNELS)
    name = "MiniRocket" if minirocket else "Rocket"
    print(f"aeon {aeon.__version__} {name}: {total:.2f} CPU s (transform)", flush=True)
    return total


def flow_seconds(binary: str | None, minirocket: bool) -> float:
    command = ["cargo", "run", "--release", "-q", "-p", "flow-stages", "--example", "rocket_cpu", "--"]
    run = subprocess.run(
        ([binary] if binary else command) + ["--minirocket"] * minirocket,
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"RAYON_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    print(run.stdout, end="")
    # "flow rocket, LEVEL: SECONDS CPU s, ..."
    return float(run.stdout.split(":", 1)[1].split()[0])


def main() -> None:
    options = argparse.ArgumentParser(description="ROCKET: CPU seconds, aeon and flow")
    options.add_argument("--aeon-only", action="store_true")
    options.add_argument("--minirocket", action="store_true")
    options.add_argument("--binary", type=os.path.abspath)
    chosen = options.parse_args()
    ours = None if chosen.aeon_only else flow_seconds(chosen.binary, chosen.minirocket)
    theirs = aeon_seconds(chosen.minirocket)
    if ours is not None:
        print(f"ratio: {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
