// A check: how far each metric is from its baseline, and how earlier checks came out.
"use strict";

flow.section("check", (data, root) => {
  data.evaluations.forEach((evaluation, at) => {
    const place = root.querySelector(`.forests[data-evaluation="${at}"]`);
    if (!place || evaluation.metrics.length === 0) return;
    flow.forest(place, {
      rows: evaluation.metrics.map(({ metric, found }) => ({ name: metric.title + (metric.loss ? " (a loss)" : ""), ...found })),
      axis: "now less baseline",
      names: ["baseline", "now"],
      label: "Now less the baseline",
      description: "Differences with their 95 % intervals. Beyond the red line a metric fails.",
    });
  });

  /** When a run began, by its id. */
  const when = (run) => run.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d).*$/, "$1-$2-$3 $4:$5");

  const past = root.querySelector(".past");
  if (!past) return;
  for (const evaluation of data.evaluations) {
    for (const { metric, past: checks } of evaluation.metrics) {
      if (checks.length < 2) continue;
      const rows = checks.map(([run, now, baseline, floor, verdict], at) => ({ at, when: when(run), now, baseline, floor, verdict }));
      const color = { worse: flow.color.bad, better: flow.color.good, ok: flow.color.series(0) };
      flow.plot(past, (width) => ({
        height: 240,
        marginLeft: 52,
        marginBottom: 40,
        x: {
          label: "check", labelAnchor: "center", labelArrow: "none", domain: [-0.3, rows.length - 0.7],
          ticks: rows.length, tickFormat: (i) => {
            const every = Math.ceil(rows.length / Math.max(2, Math.floor(width / 90)));
            const known = Number.isInteger(i) && i >= 0 && i % every === 0 ? rows[i] : null;
            return known ? known.when.slice(5, 16) : "";
          },
        },
        y: { label: metric.title, grid: true, nice: true },
        marks: [
          Plot.line(rows, { x: "at", y: "baseline", stroke: flow.color.text, strokeDasharray: "4 3", curve: "step", className: "baseline" }),
          Plot.line(rows, { x: "at", y: "floor", stroke: flow.color.bad, curve: "step", className: "limit" }),
          Plot.line(rows, { x: "at", y: "now", stroke: flow.color.dim }),
          Plot.dot(rows, { x: "at", y: "now", r: 4.5, fill: (row) => color[row.verdict], symbol: (row) => (row.verdict === "worse" ? "times" : "circle"), stroke: (row) => color[row.verdict], className: "now" }),
          Plot.tip(rows, Plot.pointer({
            x: "at", y: "now",
            title: (row) => `${row.when}\nnow ${flow.format(row.now)}, baseline ${flow.format(row.baseline)}\npasses ${metric.loss ? "up" : "down"} to ${flow.format(row.floor)}\n${row.verdict}`,
          })),
        ],
        symbol: { type: "identity" },
      }), {
        label: `${evaluation.name}: ${metric.title}`,
        description: "Dashed: the baseline of each check. Red: the last value that passes.",
      });
    }
  }
});
