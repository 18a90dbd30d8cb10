// Draws which actions ran when and what they cost, and opens the stage that a link names.
flow.section("provenance", (data, root) => {
  const gray = flow.color.line;
  const color = (timeline, stage) =>
    timeline.colors[stage] === null ? gray : flow.color.series(timeline.colors[stage]);

  // The colors in use, with the stages that share the last one under one name.
  function domain(timeline) {
    const names = [];
    const range = [];
    timeline.stages.forEach((name, stage) => {
      if (timeline.colors[stage] === null) return;
      names.push(name);
      range.push(color(timeline, stage));
    });
    if (names.length < timeline.stages.length) {
      names.push("other stages");
      range.push(gray);
    }
    return { domain: names, range, legend: true };
  }

  const group = (timeline, stage) =>
    timeline.colors[stage] === null ? "other stages" : timeline.stages[stage];

  function actions(timeline, container) {
    const bars = timeline.bars.map(([lane, stage, [start, end], count, label]) => ({
      lane,
      group: group(timeline, stage),
      what: label === null ? `${timeline.stages[stage]}: ${count} actions` : `${timeline.stages[stage]}: ${label}`,
      start,
      // A bar that is too short to be seen is widened a little.
      end: Math.max(end, start + timeline.end_s / 800),
      took: end - start,
    }));
    flow.plot(
      container,
      {
        height: 60 + Math.min(timeline.lanes, 32) * 18,
        marginLeft: 30,
        x: { label: "seconds since the run began", domain: [0, timeline.end_s || 1] },
        y: { label: null, ticks: [], type: "band", domain: [...Array(timeline.lanes).keys()] },
        color: domain(timeline),
        marks: [
          Plot.barX(bars, {
            x1: "start",
            x2: "end",
            y: "lane",
            fill: "group",
            insetTop: timeline.lanes > 32 ? 0 : 1,
            insetBottom: timeline.lanes > 32 ? 0 : 1,
            title: (bar) => `${bar.what}\n${flow.format(bar.took, 3)} s from ${flow.format(bar.start, 3)} s on`,
            tip: true,
          }),
        ],
      },
      {
        label: "Actions over time",
        description: "A bar for each action that ran. Actions that overlap are in different lanes.",
      },
    );
  }

  function cpu(timeline, container) {
    const sums = new Map();
    timeline.stages.forEach((_, stage) => {
      const name = group(timeline, stage);
      const known = sums.get(name) || timeline.times_s.map(() => 0);
      sums.set(name, known.map((sum, at) => sum + timeline.cpu_s[stage][at]));
    });
    const points = [...sums].flatMap(([name, used]) =>
      used.map((seconds, at) => ({ group: name, time: timeline.times_s[at], seconds })),
    );
    flow.plot(
      container,
      {
        height: 220,
        x: { label: "seconds since the run began" },
        y: { label: "CPU seconds so far", grid: true },
        color: domain(timeline),
        marks: [
          Plot.areaY(points, { x: "time", y: "seconds", fill: "group", order: null, tip: true }),
          Plot.ruleY([0]),
        ],
      },
      {
        label: "CPU seconds by stage",
        description: "The CPU seconds that the actions of each stage had used by each time, one above the other.",
      },
    );
  }

  const timeline = data.timeline;
  if (timeline) {
    actions(timeline, root.querySelector("[data-figure=actions]"));
    cpu(timeline, root.querySelector("[data-figure=cpu]"));
  }

  const stages = [...root.querySelectorAll("details.stage")];
  function open() {
    const id = decodeURIComponent(location.hash.slice(1));
    const found = stages.find((stage) => stage.id === id);
    if (!found) return;
    found.open = true;
    found.scrollIntoView();
  }
  window.addEventListener("hashchange", open);
  open();
  // Paper has no way to open what is closed.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...root.querySelectorAll("details:not([open])")];
    closed.forEach((part) => (part.open = true));
  });
  window.addEventListener("afterprint", () => closed.forEach((part) => (part.open = false)));
});
