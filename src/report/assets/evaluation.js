// The plots of evaluations. The data are an `Inspection` of flow_stages each, with what the evaluation reported.
"use strict";

flow.section("evaluation", (data, root) => {
  const { color, element, format, interval } = flow;

  // The label of the horizontal axis stands below its numbers.
  const roomy = (options) => ({ marginBottom: 44, ...options });
  const plot = (holder, options, words) => {
    const figure = flow.plot(holder, roomy(options), words);
    return { update: (next) => figure.update(roomy(next)) };
  };

  const TITLES = { f1: "F1", precision: "purity (precision)", recall: "completeness (recall)", pr_auc: "AP", roc_auc: "ROC-AUC" };
  const BY = { magnitude: "magnitude at peak", points: "number of observations" };

  /** The places of a curve at which it has a value. */
  const points = (curve) =>
    curve.x
      .map((x, i) => ({ x, y: curve.y[i], low: curve.low[i], high: curve.high[i] }))
      .filter((point) => point.y !== null);

  const percent = (x) => (x === null || x === undefined ? "-" : `${format(100 * x, 3)} %`);

  /** The marks of a curve with its band. */
  const curve = (band, stroke, width = 2) => {
    const all = points(band);
    return [
      Plot.areaY(all, { x: "x", y1: "low", y2: "high", fill: stroke, fillOpacity: 0.18 }),
      Plot.lineY(all, { x: "x", y: "y", stroke, strokeWidth: width }),
    ];
  };

  /** Points with the words that a tip shows. */
  const spoken = (band, words) => points(band).map((d) => ({ ...d, words: words(d) }));

  /** One tip for all that a plot shows: that of the point nearest to the pointer. */
  const tip = (rows, options = { x: "x", y: "y" }) => Plot.tip(rows, Plot.pointer({ title: "words", ...options }));

  const unit = (label, options = {}) => ({ label, domain: [0, 1], ticks: 5, ...options });
  const dash = { stroke: color.dim, strokeDasharray: "4 4" };

  /** A value with its interval as a cross, at the place of another value with its own. */
  const cross = ([x, xLow, xHigh], [y, yLow, yHigh], title) => {
    const one = [{ x, xLow, xHigh, y, yLow, yHigh, title }];
    if (x === null || x === undefined || y === null || y === undefined) return [];
    return [
      Plot.ruleX(one, { x: "x", y1: "yLow", y2: "yHigh", stroke: color.bad, strokeWidth: 1.5 }),
      Plot.ruleY(one, { y: "y", x1: "xLow", x2: "xHigh", stroke: color.bad, strokeWidth: 1.5 }),
      Plot.dot(one, { x: "x", y: "y", symbol: "diamond", r: 5, fill: color.bad, title: "title" }),
    ];
  };

  /** A grid of figures at the end of an element. */
  const grid = (parent) => parent.appendChild(element("div", { class: "plots" }));

  /** Precision by recall, and recall by false-positive rate, of one class or of several. */
  const drawCurves = (holder, one) => {
    const known = one.classes.map((item, i) => ({ ...item, stroke: color.series(i) })).filter((item) => item.curves);
    if (known.length === 0) return;
    const single = one.positive !== null;
    const { operating, expected } = one;
    const chosen = operating
      ? ` Dot: the threshold ${format(operating.threshold)}, chosen on these very objects. Diamond: what to expect of it.`
      : "";
    const many = single ? "" : " One line for each class against the rest, and a thick one for their average.";
    const each = (name, words) => [
      ...known.flatMap((item) => curve(item.curves[name], item.stroke, single ? 2 : 1.5).slice(single ? 0 : 1)),
      ...(one.average ? curve(one.average[name], color.text, 3) : []),
      tip([
        ...known.flatMap((item) => spoken(item.curves[name], words(item.name))),
        ...(one.average ? spoken(one.average[name], words("average over classes")) : []),
      ]),
    ];
    const legend = single
      ? {}
      : { color: { legend: true, domain: known.map((item) => item.name), range: known.map((item) => item.stroke) } };
    const share = single ? known[0].positives / one.rows : null;
    plot(holder, {
      ...legend,
      x: unit("completeness (recall) →"),
      y: unit("↑ purity (precision)"),
      marks: [
        Plot.frame({ stroke: color.line }),
        single ? Plot.ruleY([share], dash) : null,
        ...each("precision", (name) => (d) => `${name}\ncompleteness ${percent(d.x)}\npurity ${interval(d.y, d.low, d.high)}`),
        ...(operating ? cross(expected.recall, expected.precision, `expected\nF1 ${interval(...expected.f1)}`) : []),
        operating ? Plot.dot([operating], { x: "recall", y: "precision", r: 5, fill: color.text, title: (d) => `threshold ${format(d.threshold)}\nF1 ${format(d.f1)}` }) : null,
      ],
    }, {
      label: `Purity against completeness: AP ${interval(...expected.pr_auc)}`,
      description: `How many of the objects above a threshold are right, and how many of the class are found.${many}${chosen}${single ? " Dashed: guesses." : ""}`,
    });
    plot(holder, {
      ...legend,
      x: unit("share of the rest that is taken for the class →", { type: "sqrt", ticks: [0, 0.01, 0.05, 0.2, 0.5, 1], tickFormat: String }),
      y: unit("↑ completeness (recall)"),
      marks: [
        Plot.frame({ stroke: color.line }),
        Plot.line(d3.range(0, 1.01, 0.02), { x: (d) => d, y: (d) => d, ...dash }),
        ...each("roc", (name) => (d) => `${name}\nfalse positives ${percent(d.x)}\ncompleteness ${interval(d.y, d.low, d.high)}`),
        operating ? Plot.dot([operating], { x: "false_positive_rate", y: "recall", r: 5, fill: color.text, title: (d) => `threshold ${format(d.threshold)}` }) : null,
      ],
    }, {
      label: `ROC curve: area ${interval(...expected.roc_auc)}`,
      description: `How many of the class are found, and how many of the rest are taken for it, on a scale that spreads small shares.${many} Dashed: guesses.`,
    });
  };

  const LINES = ["purity", "completeness", "F1"];
  const lineColors = { legend: true, domain: LINES.slice(0, 2), range: [color.series(0), color.series(1)] };

  /** Purity and completeness at thresholds. */
  const thresholds = (one, item) => {
    const { purity, completeness } = item.curves;
    const f1 = purity.x.map((x, i) => {
      const [p, r] = [purity.y[i], completeness.y[i]];
      return { x, y: p === null || p + r === 0 ? null : (2 * p * r) / (p + r) };
    });
    const end = purity.x[0];
    const { operating } = one;
    const words = (name) => (d) => `threshold ${format(d.x)}\n${name} ${interval(d.y, d.low, d.high)}`;
    return {
      color: { ...lineColors, domain: LINES, range: [...lineColors.range, color.series(2)] },
      x: { label: `threshold on P(${item.name}) →`, domain: [0, end] },
      y: unit(null),
      marks: [
        Plot.frame({ stroke: color.line }),
        ...curve(purity, color.series(0)),
        ...curve(completeness, color.series(1)),
        Plot.lineY(f1.filter((d) => d.y !== null), { x: "x", y: "y", stroke: color.series(2), strokeDasharray: "5 3" }),
        operating ? Plot.ruleX([operating.threshold], { stroke: color.text }) : null,
        operating ? Plot.text([operating], { x: "threshold", y: 1, text: (d) => format(d.threshold), dy: -8, fill: color.text }) : null,
        tip([...spoken(purity, words("purity")), ...spoken(completeness, words("completeness"))]),
      ],
    };
  };

  /** Purity and completeness among the objects that score highest. */
  const budgets = (one, item) => {
    const { top_purity: purity, top_completeness: completeness } = item.curves;
    const words = (name) => (d) => `the ${format(d.x)} that score highest\n${name} ${interval(d.y, d.low, d.high)}\nof class ${item.name}: ${format(name === "purity" ? d.x * d.y : item.positives * d.y)}`;
    return {
      color: lineColors,
      x: { label: "objects looked at, the highest scores first →", type: "log", domain: [1, one.rows], tickFormat: ",", ticks: 4 },
      y: unit(null),
      marks: [
        Plot.frame({ stroke: color.line }),
        Plot.ruleX([item.positives], dash),
        ...curve(purity, color.series(0)),
        ...curve(completeness, color.series(1)),
        tip([...spoken(purity, words("purity")), ...spoken(completeness, words("completeness"))]),
      ],
    };
  };

  /** How many objects score how high, by class. */
  const histogram = (one, item) => {
    const { end, counts } = item.histogram;
    const width = end / (counts[0]?.[1].length || 1);
    const bars = counts.map(([name, bins]) => bins.map((n, i) => ({ name, n, x1: i * width, x2: (i + 1) * width })));
    const most = Math.max(2, ...counts.flatMap(([, bins]) => bins));
    // A bin without objects has no logarithm, and stands on the floor.
    const height = (d) => Math.max(d.n, 0.5);
    const words = (d) => `${d.name}\n${format(d.x1)} to ${format(d.x2)}: ${format(d.n)}`;
    const seen = bars.flat().filter((d) => d.n > 0).map((d) => ({ ...d, x: (d.x1 + d.x2) / 2, y: d.n, words: words(d) }));
    const [own, ...rest] = bars;
    const steps = (all) => all.flatMap((d) => [{ ...d, x: d.x1 }, { ...d, x: d.x2 }]);
    const { operating } = one;
    return {
      color: { legend: true, domain: counts.map(([name]) => name), range: counts.map((_, i) => color.series(i)) },
      x: { label: `P(${item.name}) →`, domain: [0, end] },
      y: { label: "↑ objects", type: "log", domain: [0.5, most * 1.3], ticks: 4, tickFormat: ",d" },
      marks: [
        Plot.rect(own ?? [], { x1: "x1", x2: "x2", y1: () => 0.5, y2: height, fill: color.series(0), fillOpacity: 0.45 }),
        ...rest.map((all, i) => Plot.lineY(steps(all), { x: "x", y: height, stroke: color.series(i + 1), strokeWidth: 1.5 })),
        tip(seen),
        operating ? Plot.ruleX([operating.threshold], { stroke: color.text }) : null,
        Plot.ruleY([0.5], { stroke: color.line }),
      ],
    };
  };

  /** Whether probabilities mean what they say. */
  const drawReliability = (holder, one) => {
    if (one.reliability.length === 0) return;
    const what = one.positive === null ? "of their most probable class" : one.positive;
    plot(holder, {
      x: unit("predicted probability →"),
      y: unit("↑ share that came true"),
      r: { type: "sqrt", range: [3, 10], domain: [0, Math.max(...one.reliability.map((bin) => bin.rows))] },
      marks: [
        Plot.frame({ stroke: color.line }),
        Plot.link([0], { x1: 0, y1: 0, x2: 1, y2: 1, ...dash }),
        Plot.ruleX(one.reliability.filter((bin) => bin.low !== null), { x: "predicted", y1: "low", y2: "high", stroke: color.series(0), strokeWidth: 1.5 }),
        Plot.dot(one.reliability, { x: "predicted", y: "observed", r: "rows", fill: color.series(0), stroke: "var(--back)" }),
        tip(one.reliability, {
          x: "predicted", y: "observed",
          title: (bin) => `${format(bin.from)} to ${format(bin.to)}: ${format(bin.rows)} objects\nmean probability ${format(bin.predicted)}\ncame true ${interval(bin.observed, bin.low, bin.high)}`,
        }),
      ],
    }, {
      label: "Reliability",
      description: `Of the objects that have a probability of 0.3 of being ${what}, three in ten should be. Points below the dashed line promise too much, points above it too little; a point is as large as its bin is full.`,
    });
  };

  /** The figures of one class, with a choice of classes where there are several. */
  const drawClass = (holder, one, room) => {
    const known = one.classes.filter((item) => item.curves);
    const first = known[0] ?? one.classes[0];
    const figures = [];
    if (one.classes.length > 1) {
      const choose = element("select", {
        onchange: (event) => {
          const item = one.classes.find((other) => other.name === event.target.value);
          figures.forEach(([figure, draw]) => figure.update(draw(one, item)));
        },
      }, ...(known.length > 0 ? known : one.classes).map((item) => element("option", { value: item.name }, item.name)));
      room.append(element("p", { class: "controls" }, element("label", {}, "One class against the rest: ", choose)));
      holder = grid(room);
    }
    const add = (draw, label, description) => figures.push([plot(holder, draw(one, first), { label, description }), draw]);
    if (first.curves) {
      const at = one.operating ? " The line is the threshold for new objects." : "";
      add(thresholds, "Purity and completeness by threshold", `What a threshold gives: the higher it is, the purer and the less complete is what scores above it.${at}`);
      add(budgets, "Purity and completeness among the highest scores", `What somebody finds who looks at the highest scores only. The dashed line is the number of objects of the class: a perfect ranking is pure up to it.`);
    }
    add(histogram, "Scores by true class", `How many objects have which score, on a logarithmic scale${one.repeats > 1 ? ", over all repeats" : ""}.`);
  };

  /** A metric of slices, each with its interval. */
  const sliceFigure = (one, slices, metric) => {
    const rows = slices.slices.map((slice) => {
      const figure = slice.figures.find((other) => other.metric === metric);
      const [low, high] = figure?.interval ?? [null, null];
      return { ...slice, value: figure?.value ?? null, low, high };
    });
    const count = (d) => (d.positives === null ? format(d.rows) : `${format(d.positives)}/${format(d.rows)}`);
    const size = (d) => (d.positives === null ? `${format(d.rows)} objects` : `${format(d.positives)} of ${format(d.rows)} are ${one.positive}`);
    const words = (d) => `${d.name}: ${size(d)}\n${TITLES[metric]} ${interval(d.value, d.low, d.high)}`;
    const [all, low, high] = one.expected[metric];
    const known = rows.filter((d) => d.value !== null);
    const crowded = slices.by === "fold" && one.repeats > 1;
    // The folds of several repeats are too many for a line each, so those of a repeat share one.
    const line = crowded ? (d) => d.name.split(".")[0] : (d) => d.name;
    const names = [...new Set(rows.map(line))];
    return {
      height: 68 + 24 * names.length,
      marginLeft: 12 + 6.5 * Math.max(6, ...names.map((name) => name.length)),
      marginRight: crowded ? 20 : 16 + 6.5 * Math.max(...rows.map((d) => count(d).length)),
      x: { label: `${TITLES[metric]} →`, domain: [0, 1], ticks: 5, grid: true },
      y: { label: null, domain: names, type: "point", padding: 0.6 },
      marks: [
        low === null || low === undefined ? null : Plot.rect([0], { x1: low, x2: high, fill: color.dim, fillOpacity: 0.15 }),
        all === null || all === undefined ? null : Plot.ruleX([all], dash),
        crowded ? null : Plot.ruleY(known.filter((d) => d.low !== null), { x1: "low", x2: "high", y: line, stroke: color.series(0), strokeWidth: 2 }),
        Plot.dot(known, { x: "value", y: line, r: crowded ? 3 : 4.5, fill: color.series(0), fillOpacity: crowded ? 0.6 : 1 }),
        crowded ? null : Plot.text(rows, { x: 1, y: line, dx: 8, textAnchor: "start", text: count, fill: color.dim }),
        Plot.text(rows.filter((d) => d.figures.length === 0 && !crowded), { x: 0.5, y: line, text: () => "too few to say", fill: color.dim, fontStyle: "italic" }),
        tip(known, { x: "value", y: line, title: words }),
      ],
    };
  };

  const drawSlices = (holder, one) => {
    if (one.slices.length === 0) return;
    const metrics = Object.keys(TITLES);
    const figures = [];
    const buttons = metrics.map((metric) => element("button", {
      type: "button",
      "aria-pressed": String(metric === "f1"),
      onclick: () => {
        figures.forEach(([figure, slices]) => figure.update(sliceFigure(one, slices, metric)));
        buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(metrics[i] === metric)));
      },
    }, TITLES[metric]));
    holder.append(
      element("h4", {}, "Where it does well, and where not"),
      element("p", { class: "controls", role: "group", "aria-label": "Metric" }, ...buttons.flatMap((button) => [button, " "])),
      element("p", { class: "dim" },
        `Each slice with its 95 % interval; the dashed line and the shade around it are all objects. ${one.positive === null ? "To the right: objects" : `To the right: ${one.positive} and objects`} of the slice. Purity and F1 also depend on how common the class is in a slice.`),
    );
    const room = grid(holder);
    for (const slices of one.slices) {
      const name = BY[slices.by] ?? slices.by;
      const description = slices.by === "fold" && one.repeats > 1 ? "A dot for each fold, a line for each repeat." : "";
      figures.push([plot(room, sliceFigure(one, slices, "f1"), { label: `By ${name}`, description }), slices]);
    }
  };

  /** Bars with names to the left. */
  const bars = (rows, label, { fill, legend, error = false }) => {
    const ends = error ? rows.map((d) => d.value + (d.std ?? 0)) : rows.map((d) => d.value);
    const lows = error ? rows.map((d) => d.value - (d.std ?? 0)) : [0];
    const longest = Math.max(4, ...rows.map((d) => d.name.length));
    const shown = (name) => (name.length > 26 ? `${name.slice(0, 25)}…` : name);
    return {
      height: 64 + 19 * rows.length,
      marginLeft: 12 + 6.6 * Math.min(26, longest),
      marginRight: 30,
      ...(legend ? { color: { legend: true, ...legend } } : {}),
      x: { label: `${label} →`, domain: [Math.min(0, ...lows), Math.max(1e-6, ...ends)], ticks: 4, grid: true },
      y: { label: null, domain: rows.map((d) => d.name), tickFormat: shown, tickSize: 0 },
      marks: [
        Plot.barX(rows, { x: "value", y: "name", fill, insetTop: 1, insetBottom: 1 }),
        error ? Plot.ruleY(rows.filter((d) => d.std !== null), { y: "name", x1: (d) => d.value - d.std, x2: (d) => d.value + d.std, stroke: color.text, strokeWidth: 1.5 }) : null,
        Plot.ruleX([0], { stroke: color.dim }),
        Plot.tip(rows, Plot.pointerY({ x: "value", y: "name", title: "words" })),
      ],
    };
  };

  const drawFeatures = (room, features) => {
    const holder = room.appendChild(element("div", {}));
    const names = features.groups.map((group) => group.name);
    const paint = (name) => color.series(Math.min(7, Math.max(0, names.indexOf(name))));
    const groups = features.groups.map((group) => ({
      name: group.name,
      value: 100 * group.share,
      words: `${group.name}: ${percent(group.share)}\n${format(group.used)} of ${format(group.features)} features matter`,
    }));
    const known = groups.length > 1;
    if (known) {
      plot(holder, bars(groups, "importance in %", { fill: (d) => paint(d.name) }),
        { label: `${features.model}: importance by ${features.by}` });
    }
    const top = features.top.map(([name, group, value]) => ({ name, group, value: 100 * value, words: `${name} (${group}): ${percent(value)}` }));
    if (top.length > 0) {
      plot(room, bars(top, "importance in %", { fill: (d) => paint(d.group) }),
        { label: `${features.model}: the ${top.length} features that matter most`, description: known ? "Colors are those of the groups." : "" });
    }
    for (const { stage, groups } of features.worth) {
      const rows = groups.map(({ group, pr_auc: [value, std] }) => ({ name: group, value, std, words: `${group}: AP falls by ${format(value)} ± ${format(std)}` }));
      plot(holder, bars(rows, "AP falls by", { fill: color.series(0), error: true }),
        { label: `${stage}: what groups of features are worth`, description: "How far the average precision of held-out objects falls if the values of a group are shuffled among them; bars are the standard deviation over folds." });
    }
  };

  for (const one of data.evaluations) {
    const block = [...root.querySelectorAll("[data-evaluation]")].find((other) => other.dataset.evaluation === one.name);
    const part = (name) => block.querySelector(`[data-plots="${name}"]`);
    if (one.classes) {
      const room = part("curves");
      const holder = grid(room);
      drawCurves(holder, one);
      drawClass(holder, one, room);
      drawReliability(holder, one);
      drawSlices(part("slices"), one);
    }
    for (const features of one.features) {
      const holder = [...block.querySelectorAll('[data-plots="features"]')].find((other) => other.dataset.model === features.model);
      drawFeatures(holder, features);
    }
  }
});
