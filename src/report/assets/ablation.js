// The forest plots of an ablation, and what its variants cost.
"use strict";

flow.section("ablation", (data, root) => {
  const percent = flow.format(100 * data.level);
  data.schemes.forEach((scheme, at) => {
    const place = root.querySelector(`.forests[data-scheme="${at}"]`);
    if (!place || scheme.rows.length === 0) return;
    const rows = (metric) =>
      scheme.rows.filter((row) => row.found[metric]).map((row) => ({ name: row.name, ...row.found[metric] }));
    const forest = (container, metric, more = "") => {
      const { title, loss } = scheme.metrics[metric];
      flow.forest(container, {
        rows: rows(metric),
        margin: data.margin,
        axis: `${title}, variant less base${loss ? " (a loss: less is better)" : ""}`,
        label: title[0].toUpperCase() + title.slice(1),
        description: more,
      });
    };
    const left = scheme.left_out > 0 ? ` The ${scheme.rows.length} variants that differ most are shown, ${scheme.left_out} are not.` : "";
    forest(place, 0, `Differences to the base with their ${percent} % intervals. Within the band they would not matter.${left}`);
    const others = flow.element("div", { class: "plots" });
    place.append(flow.element("details", { open: true }, flow.element("summary", {}, "The other metrics, which explain it"), others));
    for (let metric = 1; metric < scheme.metrics.length; metric += 1) forest(others, metric);
  });

  const place = root.querySelector(".costs");
  const costs = data.costs.map(([name, cold, now]) => ({ name, cold, now }));
  if (!place || costs.length === 0) return;
  const wide = Math.max(...costs.map((cost) => cost.name.length)) * 7 + 16;
  flow.plot(place, (width) => ({
    height: costs.length * 24 + 62,
    marginBottom: 38,
    marginLeft: Math.min(wide, 0.45 * width),
    marginRight: 24,
    x: { label: "CPU seconds", labelAnchor: "center", labelArrow: "none", grid: true, ticks: Math.max(3, Math.floor(width / 110)) },
    y: { domain: costs.map((cost) => cost.name), label: null, tickSize: 0 },
    marks: [
      Plot.barX(costs, { x: "cold", y: "name", fill: flow.color.series(0), fillOpacity: 0.3, className: "cold" }),
      Plot.barX(costs, { x: "now", y: "name", fill: flow.color.series(0), insetTop: 4, insetBottom: 4, className: "now" }),
      Plot.ruleX([0]),
      Plot.tip(costs, Plot.pointerY({
        x: "cold", y: "name", title: (cost) => `${cost.name}\nalone and cold: ${flow.format(cost.cold)} s\nadded to this run: ${flow.format(cost.now)} s`,
      })),
    ],
  }), {
    label: "CPU by variant",
    description: "Pale: what a run of the variant alone takes with nothing in the store. Dark: what it added to this run.",
  });
});
