// Two runs side by side: differences of metrics, and the objects that changed sides.
"use strict";

flow.section("pair", (data, root) => {
  data.pairs.forEach((pair, at) => {
    const forests = root.querySelector(`.forests[data-pair="${at}"]`);
    if (forests && pair.metrics.length > 0) {
      flow.forest(forests, {
        rows: pair.metrics.map(({ metric, found }) => ({ name: metric.title + (metric.loss ? " (a loss)" : ""), ...found })),
        margin: pair.margin,
        axis: "B less A",
        names: ["A", "B"],
        label: "B less A",
        description: "Differences on the same objects with their 95 % intervals. Within the band they would not matter.",
      });
    }
    const changed = root.querySelector(`.changed[data-pair="${at}"]`);
    if (!changed || pair.objects.length === 0) return;
    const objects = pair.objects.map(([id, name, a, b, gained]) => ({ id, name, a, b, gained: gained === 1 }));
    const classes = [...new Set(objects.map((object) => object.name))].sort();
    const [low, high] = d3.extent(objects.flatMap((object) => [object.a, object.b]));
    const domain = d3.nice(Math.max(0, low - 0.02), Math.min(1, high + 0.02), 5);
    flow.plot(changed, (width) => {
      const size = Math.min(width, 460);
      return {
        width: size,
        height: size,
        marginLeft: 48,
        marginBottom: 40,
        x: { label: "score in A", labelAnchor: "center", labelArrow: "none", domain, grid: true, ticks: 5 },
        y: { label: "score in B", domain, grid: true, ticks: 5 },
        symbol: { domain: classes, legend: true },
        marks: [
          Plot.line(domain.map((end) => [end, end]), { stroke: flow.color.dim, strokeDasharray: "4 3" }),
          Plot.dot(objects, { x: "a", y: "b", r: 4.5, symbol: "name", stroke: (object) => (object.gained ? flow.color.good : flow.color.bad), strokeWidth: 2, className: "object" }),
          Plot.tip(objects, Plot.pointer({
            x: "a", y: "b",
            title: (object) => `${object.id}\n${object.name}\nA ${flow.format(object.a)}, B ${flow.format(object.b)}\n${object.gained ? "wrong in A, right in B" : "right in A, wrong in B"}`,
          })),
        ],
      };
    }, {
      label: "Scores of the objects that changed sides",
      description: "Green: wrong in A and right in B. Red: right in A and wrong in B.",
    });
  });
});
