"""Draws light curves with their fits, as `docs/best_failures.svg`: tidal disruptions missed, and others taken for one.

    flow run pipelines/best.toml
    for what in deredden fits.fitted; do flow export last $what -o $what.parquet; done
    python3 benches/light_curves.py out/predictions.parquet deredden.parquet fits.fitted.parquet > docs/best_failures.svg

It needs pyarrow. Panels are the objects whose score is furthest on the wrong side.
"""

import sys

import pyarrow.parquet as parquet

WIDTH, HEIGHT, GAP = 360, 190, 46
COLORS = {"u": "#7b3fa0", "g": "#1f77b4", "r": "#2ca02c", "i": "#d4a017", "z": "#d95f02", "y": "#a11d21"}


def main(predictions, curves, fitted):
    scores = parquet.read_table(predictions).to_pylist()
    scores = [row for row in scores if row["fold"] is not None and row["repeat"] == 0]
    missed = sorted((r for r in scores if r["label"] == "TDE"), key=lambda r: r["p_TDE"])[:2]
    taken = sorted((r for r in scores if r["label"] != "TDE"), key=lambda r: -r["p_TDE"])[:2]
    rows = {r["object_id"]: r for r in parquet.read_table(curves).to_pylist()}
    fits = {r["object_id"]: r for r in parquet.read_table(fitted).to_pylist()}
    panels = missed + taken
    height = (HEIGHT + GAP) * 2 + 24
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * (WIDTH + GAP) + 16}" height="{height}" '
          'font-family="sans-serif" font-size="11">')
    print('<rect width="100%" height="100%" fill="white"/>')
    for number, score in enumerate(panels):
        x, y = GAP + number % 2 * (WIDTH + GAP), 22 + number // 2 * (HEIGHT + GAP)
        print(f'<g transform="translate({x},{y})">')
        panel(score, rows[score["object_id"]], fits[score["object_id"]])
        print("</g>")
    for number, (band, color) in enumerate(COLORS.items()):
        x, y = GAP + 40 * number, height - 10
        print(f'<circle cx="{x}" cy="{y - 4}" r="3" fill="{color}"/><text x="{x + 8}" y="{y}">{band}</text>')
    print("</svg>")


def panel(score, row, fit):
    curve, model = row["lightcurve"], fit["lightcurve"]
    low, high = min(model["mjd"]) - 60, max(model["mjd"]) + 60
    points = [p for p in zip(curve["mjd"], curve["band"], curve["flux"], curve["flux_err"]) if low < p[0] < high]
    top = max([p[2] + p[3] for p in points] + model["flux"]) * 1.05
    bottom = min([p[2] - p[3] for p in points] + [0.0]) * 1.05

    def at(time, flux):
        flux = min(max(flux, bottom), top)
        return (time - low) / (high - low) * WIDTH, (top - flux) / (top - bottom) * HEIGHT

    zero = at(low, 0.0)[1]
    print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>')
    print(f'<path d="M0 {zero:.1f}H{WIDTH}" stroke="#ccc"/>')
    verdict = "missed" if score["label"] == "TDE" else "taken for TDE"
    print(f'<text y="-6">{score["label"]}, {verdict}: P(TDE) {score["p_TDE"]:.2f}, redshift {row["redshift"]:.2f}</text>')
    print(f'<text x="-4" y="10" text-anchor="end">{top:.0f}</text>'
          f'<text x="-4" y="{zero + 4:.1f}" text-anchor="end">0</text>'
          f'<text x="{WIDTH}" y="{HEIGHT + 13}" text-anchor="end">{high - low:.0f} days; flux in microjansky</text>')
    for band, color in COLORS.items():
        line = [at(t, f) for t, b, f in zip(model["mjd"], model["band"], model["flux"]) if b == band]
        if line:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in line)
            print(f'<path d="M{path}" fill="none" stroke="{color}" stroke-opacity="0.6"/>')
        for time, _, flux, error in (p for p in points if p[1] == band):
            (x, up), down = at(time, flux + error), at(time, flux - error)[1]
            print(f'<path d="M{x:.1f} {up:.1f}V{down:.1f}" stroke="{color}" stroke-opacity="0.35"/>'
                  f'<circle cx="{x:.1f}" cy="{at(time, flux)[1]:.1f}" r="2" fill="{color}"/>')


if __name__ == "__main__":
    main(*sys.argv[1:4])
