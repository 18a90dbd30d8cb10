// Training curves: a plot for each measure, with a line for each fit and set of rows. Several fits have their mean as
// a thick line.
"use strict";

flow.section("training", (data, root) => {
  /** The mean of the fits of a set of rows by epoch, as long as half of them have come that far. The final fit, which
   *  has other rows than the fits of folds, does not count. */
  const mean = (curves) => {
    const folds = curves.filter((curve) => !curve.final);
    const byEpoch = d3.rollup(
      folds.flatMap((curve) => curve.points.filter(([, value]) => value !== null)),
      (points) => ({ fits: points.length, value: d3.mean(points, ([, value]) => value) }),
      ([epoch]) => epoch,
    );
    const most = d3.max(byEpoch.values(), (at) => at.fits) ?? 0;
    if (most < 2) return [];
    const epochs = [...byEpoch.keys()].sort(d3.ascending).filter((epoch) => 2 * byEpoch.get(epoch).fits >= most);
    return epochs.map((epoch) => ({ epoch, value: byEpoch.get(epoch).value, split: curves[0].split, fits: byEpoch.get(epoch).fits }));
  };

  const draw = (place, stage, measure, all) => {
    const curves = all.map((curve) => ({ ...curve, split: curve.split || measure }));
    const points = curves.flatMap((curve, line) => curve.points.map(([epoch, value]) => ({
      epoch, value, line, fold: curve.fold, split: curve.split,
    })));
    const finite = points.filter((point) => point.value !== null);
    if (finite.length === 0) return;
    const bySplit = d3.group(curves, (curve) => curve.split);
    const splits = [...bySplit.keys()];
    const means = [...bySplit.values()].flatMap(mean);
    // All plots of a stage have the same colors.
    const named = [...new Set(stage.curves.map((curve) => curve.split || measure))];
    // The lowest loss of rows that the fit has not seen says where it was best. That of its own rows is mostly the last.
    const judged = splits.length > 1 ? splits.filter((split) => !split.startsWith("train")) : splits;
    const lowest = measure !== "loss" ? [] : [...d3.group(finite.filter((point) => judged.includes(point.split)), (point) => point.line).values()]
      .map((line) => d3.least(line, (point) => point.value));
    const [low, high] = d3.extent(finite, (point) => point.value);
    const whole = finite.every((point) => Number.isInteger(point.epoch));
    const several = means.length > 0;
    const fold = (point) => (point.fold ? `${point.fold.startsWith("final") ? "" : "fold "}${point.fold}, ` : "");
    const description = [
      several ? "Thin lines are single fits, thick ones their mean as long as half of the fits have come that far." : "",
      lowest.length ? `Dots are the lowest losses${splits.length > 1 ? ` of ${judged.join(", ")}` : ""}.` : "",
    ].filter(Boolean).join(" ");
    flow.plot(place, (width) => ({
      height: 320,
      marginLeft: 56,
      marginBottom: 38,
      x: { label: "epoch", labelAnchor: "center", labelArrow: "none", ticks: Math.max(3, Math.floor(width / 90)), tickFormat: (x) => (whole && !Number.isInteger(x) ? "" : flow.format(x)) },
      y: { label: measure, grid: true, type: low > 0 && high / low > 30 ? "log" : "linear" },
      color: { domain: named, range: named.map((_, i) => flow.color.series(i)), legend: named.length > 1 },
      marks: [
        Plot.line(points, { x: "epoch", y: "value", z: "line", stroke: "split", strokeWidth: several ? 0.8 : 1.5, strokeOpacity: several ? 0.4 : 0.8, className: "curve" }),
        Plot.dot(lowest, { x: "epoch", y: "value", fill: "split", r: several ? 2.5 : 4, className: "lowest" }),
        Plot.line(means, { x: "epoch", y: "value", stroke: "split", strokeWidth: 3, className: "mean" }),
        Plot.tip(finite, Plot.pointer({ x: "epoch", y: "value", title: (p) => `${fold(p)}${p.split}\nepoch ${flow.format(p.epoch)}: ${flow.format(p.value, 4)}` })),
      ],
    }), { label: `${measure[0].toUpperCase()}${measure.slice(1)} of ${stage.stage}`, description });
  };

  data.forEach((stage, at) => {
    const place = root.querySelector(`.curves[data-stage="${at}"]`);
    if (!place) return;
    d3.group(stage.curves, (curve) => curve.measure).forEach((curves, measure) => draw(place, stage, measure, curves));
  });
});
