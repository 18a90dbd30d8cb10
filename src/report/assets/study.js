// The history of a study, its parameters, and what nested cross-validation says.
"use strict";

flow.section("study", (data, root) => {
  const place = (name) => root.querySelector(`.${name}`);
  const better = (a, b) => (data.minimise ? a < b : a > b);
  const trials = data.trials.map(([trial, generation, state, value, values]) => ({ trial, generation, state, value, values }));
  const complete = trials.filter((trial) => trial.state === "complete");
  const pruned = trials.filter((trial) => trial.state === "pruned" && trial.value !== null);
  const failed = trials.filter((trial) => trial.state === "failed");
  const best = trials.find((trial) => trial.trial === data.best);
  const metric = data.objective.split(".").pop();
  // Many dots need less room each.
  const radius = trials.length > 300 ? 2 : 3.5;

  const text = (axis, value) => {
    if (value === null || value === undefined) return "-";
    return axis.choice ? axis.choice[value] : flow.format(value, 4);
  };
  const short = (path) => {
    const last = path.split(".").pop();
    return data.axes.filter((axis) => axis.path.split(".").pop() === last).length > 1 ? path : last;
  };
  const words = (trial) => [
    `trial ${trial.trial}, ${trial.state}${trial.trial === data.best ? ", the best" : ""}`,
    trial.value === null ? null : `${metric} ${trial.state === "pruned" ? "no better than " : ""}${flow.format(trial.value, 4)}`,
    ...data.axes.map((axis, at) => `${short(axis.path)} = ${text(axis, trial.values[at])}`),
  ].filter((line) => line !== null).join("\n");

  // Bounds of pruned trials can be far below everything, and would leave no room for the rest.
  const shown = [...complete.map((trial) => trial.value), ...(data.base === null ? [] : [data.base])];
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  const pad = Math.max((high - low) * 0.08, Math.abs(high) * 0.005, 1e-9);
  const domain = [low - pad, high + pad];
  const within = (value) => Math.min(Math.max(value, domain[0]), domain[1]);

  const bestSoFar = () => {
    let record = data.base;
    const steps = record === null ? [] : [{ trial: -1, value: record }];
    for (const trial of trials) {
      if (trial.state === "complete" && (record === null || better(trial.value, record))) record = trial.value;
      if (record !== null) steps.push({ trial: trial.trial, value: record });
    }
    return steps;
  };

  const points = (x, channels) => [
    Plot.dot(pruned, { x, y: (trial) => within(trial.value), symbol: "triangle", rotate: data.minimise ? 0 : 180, r: radius, stroke: flow.color.warn, className: "pruned", ...channels }),
    Plot.dot(complete, { x, y: "value", r: radius, fill: flow.color.series(0), fillOpacity: 0.75, className: "complete", ...channels }),
    best ? Plot.dot([best], { x, y: "value", r: 7, stroke: flow.color.good, strokeWidth: 2.5, className: "best", ...channels }) : null,
  ];
  const asItIs = data.base === null ? null : Plot.ruleY([data.base], { stroke: flow.color.text, strokeDasharray: "4 3" });

  if (complete.length > 0) {
    flow.plot(place("history"), (width) => ({
      height: 300,
      marginLeft: 56,
      marginBottom: 38,
      x: { label: "trial", labelAnchor: "center", labelArrow: "none", domain: [-1, Math.max(...trials.map((trial) => trial.trial)) + 0.5], ticks: Math.min(trials.length, Math.floor(width / 80)), tickFormat: (x) => (Number.isInteger(x) && x >= 0 ? String(x) : "") },
      y: { label: data.objective, domain, grid: true },
      marks: [
        asItIs,
        Plot.lineY(bestSoFar(), { x: "trial", y: "value", curve: "step-after", stroke: flow.color.good, strokeWidth: 2, className: "best-so-far" }),
        ...points("trial", {}),
        Plot.dot(failed, { x: "trial", y: domain[0], symbol: "times", stroke: flow.color.bad, r: 4, className: "failed" }),
        Plot.tip(trials, Plot.pointer({ x: "trial", y: (trial) => (trial.value === null ? domain[0] : within(trial.value)), title: words })),
      ],
    }), {
      label: "The trials in order",
      description: "Dots are trials, the green line is the best so far, the dashed line the pipeline as it is."
        + (pruned.length > 0 ? ` Triangles are trials that were stopped: they are no better than this${data.minimise ? "" : ", and may be far below"}.` : "")
        + (failed.length > 0 ? " Crosses are trials that failed." : ""),
    });
  }

  if (place("importance") && data.importance.length > 0) {
    const bars = data.importance.map(([path, divergence, chance]) => ({ name: short(path), divergence, chance }))
      .sort((a, b) => b.divergence - a.divergence);
    const wide = Math.max(...bars.map((bar) => bar.name.length)) * 6.8 + 14;
    flow.plot(place("importance"), (width) => ({
      height: bars.length * 26 + 58,
      marginBottom: 38,
      marginLeft: Math.min(wide, 0.45 * width),
      marginRight: 16,
      x: { label: "importance", labelAnchor: "center", labelArrow: "none", grid: true, ticks: Math.max(3, Math.floor(width / 110)) },
      y: { domain: bars.map((bar) => bar.name), label: null, tickSize: 0 },
      marks: [
        Plot.barX(bars, { x: "divergence", y: "name", fill: (bar) => (bar.divergence > bar.chance ? flow.color.series(0) : flow.color.dim), fillOpacity: 0.8, insetTop: 4, insetBottom: 4, className: "importance" }),
        Plot.tickX(bars, { x: "chance", y: "name", stroke: flow.color.bad, strokeWidth: 2, className: "chance" }),
        Plot.ruleX([0]),
      ],
    }), { label: "Importance of the parameters", description: "A bar that does not pass its red line is no more than chance gives." });
  }

  /** The scale of a parameter. Of logarithmic ticks only 1, 2 and 5 are named. */
  const scale = (axis, width) => {
    if (axis.choice) {
      const crowded = axis.choice.join("").length * 8 > width;
      return {
        domain: [-0.5, axis.choice.length - 0.5],
        ticks: axis.choice.map((_, i) => i),
        tickFormat: (i) => axis.choice[i] ?? "",
        tickRotate: crowded ? -25 : 0,
      };
    }
    const round = (v) => "125".includes(v.toExponential()[0]) && !v.toExponential().includes(".");
    const named = axis.log ? round : axis.whole ? Number.isInteger : () => true;
    return {
      type: axis.log ? "log" : "linear",
      domain: [axis.low, axis.high],
      ticks: Math.max(3, Math.floor(width / 90)),
      tickFormat: (v) => (named(v) ? flow.format(v, 4) : ""),
    };
  };

  if (complete.length > 0 && place("parameters")) {
    // Many parameters of many trials would be more dots than a browser draws at once.
    const step = Math.ceil((trials.length * data.axes.length) / 20000);
    data.axes.forEach((axis, at) => {
      const x = (trial) => trial.values[at];
      const has = (list) => list.filter((trial, i) => trial.values[at] !== null && i % step === 0);
      if (has(complete).length === 0) return;
      // Options stand beside each other; trials of one option are spread a little so that none hides.
      const spread = (trial) => x(trial) + 0.5 * (((trial.trial * 0.618034) % 1) - 0.5);
      const place_of = axis.choice ? spread : x;
      flow.plot(place("parameters"), (width) => ({
        height: 220,
        marginLeft: 52,
        marginBottom: 38,
        x: { label: short(axis.path), labelAnchor: "center", labelArrow: "none", insetLeft: 6, insetRight: 6, ...scale(axis, width) },
        y: { label: metric, domain, grid: true, ticks: 5 },
        marks: [
          asItIs,
          Plot.dot(has(pruned), { x: place_of, y: (trial) => within(trial.value), symbol: "triangle", rotate: data.minimise ? 0 : 180, r: radius, stroke: flow.color.warn, className: "pruned" }),
          Plot.dot(has(complete), { x: place_of, y: "value", r: radius, fill: flow.color.series(0), fillOpacity: 0.75, className: "complete" }),
          best && best.values[at] !== null ? Plot.dot([best], { x: place_of, y: "value", r: 7, stroke: flow.color.good, strokeWidth: 2.5, className: "best" }) : null,
          Plot.tip(has(complete), Plot.pointer({ x: place_of, y: "value", title: words })),
        ],
      }), { label: `${metric} by ${short(axis.path)}` });
    });
  }

  if (complete.length > 2 && data.axes.length > 1) {
    const unit = (axis, value) => {
      if (value === null) return null;
      if (axis.choice) return axis.choice.length > 1 ? value / (axis.choice.length - 1) : 0.5;
      const [a, b, v] = axis.log ? [Math.log(axis.low), Math.log(axis.high), Math.log(value)] : [axis.low, axis.high, value];
      return b > a ? (v - a) / (b - a) : 0.5;
    };
    const ranked = [...complete].sort((a, b) => (better(a.value, b.value) ? 1 : -1)).slice(-100);
    const spread = d3.extent(ranked, (trial) => trial.value);
    const names = data.axes.map((axis) => short(axis.path));
    const steps = ranked.flatMap((trial) =>
      data.axes.map((axis, at) => ({ trial, name: names[at], at: unit(axis, trial.values[at]) })));
    const ends = data.axes.flatMap((axis, at) => [
      { name: names[at], at: 0, text: text(axis, axis.choice ? 0 : axis.low) },
      { name: names[at], at: 1, text: text(axis, axis.choice ? axis.choice.length - 1 : axis.high) },
    ]);
    flow.plot(place("parallel"), (width) => ({
      height: 280,
      marginTop: 30,
      marginBottom: 58,
      marginLeft: 16,
      marginRight: 16,
      x: { type: "point", domain: names, label: null, tickSize: 0, tickPadding: 24, padding: 0.3, tickRotate: names.join("").length * 8 > width ? -20 : 0 },
      y: { domain: [0, 1], axis: null },
      opacity: { domain: spread, range: data.minimise ? [0.95, 0.1] : [0.1, 0.95] },
      marks: [
        Plot.ruleX(names, { stroke: flow.color.dim }),
        Plot.line(steps, {
          x: "name", y: "at", z: (step) => step.trial.trial, curve: "monotone-x",
          stroke: flow.color.series(0), strokeWidth: ranked.length > 40 ? 1 : 1.5, strokeOpacity: (step) => step.trial.value,
          className: "trial",
        }),
        Plot.line(steps.filter((step) => step.trial.trial === data.best), {
          x: "name", y: "at", curve: "monotone-x", stroke: flow.color.good, strokeWidth: 3, className: "best",
        }),
        ...[0, 1].map((end) => Plot.text(ends.filter(({ at }) => at === end), {
          x: "name", y: "at", text: "text", dy: end ? -12 : 13, fill: flow.color.dim,
        })),
      ],
    }), { label: "Which values went together", description: `Each line is a trial, of the best ${ranked.length}: the stronger, the better. The best one is green.` });
  }

  if (data.nested && place("nested")) {
    const ends = data.nested.flatMap(([inner, outer], fold) => [
      { fold, where: "inner folds", value: inner }, { fold, where: "outer fold", value: outer },
    ]).filter((end) => end.value !== null);
    flow.plot(place("nested"), (width) => ({
      height: 260,
      width: Math.min(width, 480),
      marginLeft: 56,
      x: { type: "point", domain: ["inner folds", "outer fold"], label: null, padding: 0.4 },
      y: { label: data.objective, grid: true, nice: true },
      marks: [
        Plot.line(ends, { x: "where", y: "value", z: "fold", stroke: flow.color.series(0), className: "fold" }),
        Plot.dot(ends, { x: "where", y: "value", r: 4, fill: flow.color.series(0) }),
        Plot.text(ends.filter((end) => end.where === "outer fold"), { x: "where", y: "value", text: (end) => `fold ${end.fold}`, dx: 10, textAnchor: "start" }),
      ],
    }), {
      label: "From the inner folds to the outer one",
      description: "What each search found in its inner folds, and what the chosen values came to on the objects that it had not seen.",
    });
  }
});
