// Training curves: the loss by epoch, a line for each fold and set of rows.
"use strict";

flow.section("training", (data, root) => {
  data.forEach((stage, at) => {
    const place = root.querySelector(`.curves[data-stage="${at}"]`);
    const points = stage.curves.flatMap((curve) => curve.points.map(([epoch, loss]) => ({
      epoch, loss, fold: curve.fold, split: curve.split || "loss", line: `${curve.fold} ${curve.split}`,
    })));
    const finite = points.filter((point) => point.loss !== null);
    if (!place || finite.length === 0) return;
    const lowest = [...d3.group(finite, (point) => point.line).values()].map((line) => d3.least(line, (point) => point.loss));
    const splits = [...new Set(points.map((point) => point.split))];
    const positive = finite.every((point) => point.loss > 0);
    const range = positive ? Math.max(...finite.map((point) => point.loss)) / Math.min(...finite.map((point) => point.loss)) : 1;
    const whole = finite.every((point) => Number.isInteger(point.epoch));
    flow.plot(place, (width) => ({
      height: 320,
      marginLeft: 56,
      marginBottom: 38,
      x: { label: "epoch", labelAnchor: "center", labelArrow: "none", ticks: Math.max(3, Math.floor(width / 90)), tickFormat: (x) => (whole && !Number.isInteger(x) ? "" : flow.format(x)) },
      y: { label: "loss", grid: true, type: range > 30 ? "log" : "linear" },
      color: { domain: splits, range: splits.map((_, i) => flow.color.series(i)), legend: splits.length > 1 },
      marks: [
        Plot.line(points, { x: "epoch", y: "loss", z: "line", stroke: "split", strokeWidth: 1.5, strokeOpacity: 0.8, className: "curve" }),
        Plot.dot(lowest, { x: "epoch", y: "loss", fill: "split", r: 4, className: "lowest" }),
        Plot.tip(finite, Plot.pointer({ x: "epoch", y: "loss", title: (p) => `${p.fold ? `fold ${p.fold}, ` : ""}${p.split}\nepoch ${flow.format(p.epoch)}: ${flow.format(p.loss, 4)}` })),
      ],
    }), { label: `Loss of ${stage.stage}`, description: "A line for each fold and set of rows. Dots are the lowest losses." });
  });
});
