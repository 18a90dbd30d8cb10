// Forest plots: differences with their intervals, a row each, and what they mean.
"use strict";

(() => {
  /** How verdicts look. Color never says it alone. */
  const LOOKS = {
    better: { color: flow.color.good, symbol: "triangle", rotate: 0 },
    worse: { color: flow.color.bad, symbol: "triangle", rotate: 180 },
    equivalent: { color: flow.color.series(0), symbol: "square", rotate: 0 },
    ok: { color: flow.color.series(0), symbol: "square", rotate: 0 },
    inconclusive: { color: flow.color.dim, symbol: "circle", rotate: 0 },
  };
  const look = (row) => LOOKS[row.verdict] ?? LOOKS.inconclusive;

  const signed = (x) => (x > 0 ? "+" : "") + flow.format(x, 3);

  /** What the tip of a row says. */
  const words = (row, names) =>
    [
      row.name,
      `${names[0]} ${flow.format(row.before)}, ${names[1]} ${flow.format(row.after)}`,
      `difference ${signed(row.value)} [${signed(row.low)}, ${signed(row.high)}]`,
      row.p === undefined ? null : `p = ${flow.format(row.p)}`,
      row.limit === undefined ? null : `limit ${signed(row.limit)}`,
      row.verdict,
    ].filter((line) => line !== null).join("\n");

  /** Widths of text, near enough to leave room for it. */
  const room = (texts) => Math.max(0, ...texts.map((text) => text.length)) * 6.6;

  /** Draws rows `{name, value, low, high, before, after, p, limit, verdict}` into `container`.
   *
   *  `margin` is the half width of the band within which differences do not matter, if there is one. `axis` is
   *  the label of the axis, and `names` says what comes before and after. Names stand above their rows where
   *  there is no room beside them. */
  flow.forest = (container, { rows, margin = 0, axis, names = ["base", "variant"], label, description }) => {
    const wide = room(rows.map((row) => row.name)) + 14;
    const options = (width) => {
      // On a narrow screen name and verdict stand above the interval, which then has the whole width.
      const said = width > 480;
      const beside = said && wide < 0.34 * width;
      const step = beside ? 24 : 36;
      return {
        height: rows.length * step + 58,
        marginLeft: beside ? wide : 8,
        marginRight: said ? 92 : 14,
        marginTop: 12,
        marginBottom: 38,
        x: { label: axis, labelAnchor: "center", labelArrow: "none", nice: true, insetLeft: 6, insetRight: 6, ticks: Math.max(3, Math.floor(width / 110)), grid: true },
        y: { domain: rows.map((row) => row.name), axis: null },
        symbol: { type: "identity" },
        marks: [
          margin > 0 ? Plot.rectX([margin], { x1: -margin, x2: margin, fill: flow.color.series(0), fillOpacity: 0.13 }) : null,
          Plot.ruleX([0], { stroke: flow.color.text, strokeDasharray: "4 3" }),
          Plot.ruleY(rows, { x1: "low", x2: "high", y: "name", stroke: (row) => look(row).color, strokeWidth: 2.5, className: "interval" }),
          Plot.tickX(rows.filter((row) => row.limit !== undefined), { x: "limit", y: "name", stroke: flow.color.bad, strokeWidth: 2, inset: 4, className: "limit" }),
          Plot.dot(rows, {
            x: "value", y: "name", r: 4.5, fill: (row) => look(row).color, stroke: "var(--back)",
            symbol: (row) => look(row).symbol, rotate: (row) => look(row).rotate, className: "value",
          }),
          Plot.text(rows, beside
            ? { y: "name", text: "name", frameAnchor: "left", textAnchor: "end", dx: -8 }
            : { y: "name", text: (row) => (said ? row.name : `${row.name}: ${row.verdict}`), frameAnchor: "left", textAnchor: "start", dy: -13 }),
          said ? Plot.text(rows, { y: "name", text: "verdict", frameAnchor: "right", textAnchor: "start", dx: 8, fill: (row) => look(row).color }) : null,
          Plot.tip(rows, Plot.pointerY({ x: "value", y: "name", title: (row) => words(row, names) })),
        ],
      };
    };
    return flow.plot(container, options, { label, description });
  };
})();
