// The objects of an evaluation: lists to go through, the light curve of each object, and why it is judged as it is.
"use strict";

flow.section("objects", (data, root) => {
  const { element, format, color, table } = flow;

  /** A flux below this many errors is an upper limit in magnitudes, at as many errors. */
  const SIGMA = 3;
  /** The days before and after the peak in the closer view, in the observer's frame. */
  const AROUND = [-100, 300];
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "wye", "star", "cross"];
  const MINUS = "\u2212";
  /** Room for the label of a horizontal axis below its figures. */
  const LABEL = 36;
  const AXIS = { marginBottom: LABEL + 6 };

  const magnitude = (flux) => 23.9 - 2.5 * Math.log10(flux);
  const everything = { id: "all", title: "All in this page", about: "in the order of their names", of: data.of, objects: data.objects.map((_, i) => i) };
  const lists = [...data.lists.filter((list) => list.objects.length > 0), everything];
  const places = new Map(data.objects.map((object, i) => [object.id, i]));

  const state = {
    list: lists[0],
    object: null,
    magnitudes: false,
    phase: false,
    near: false,
    bands: new Set(data.bands.map((_, i) => i)),
    fit: data.fits.length > 0 ? 0 : -1,
  };

  // ---- Light curve ------------------------------------------------------------------------------------------

  /** Whether times are phases. Without a peak there are none. */
  const isPhase = (object) => state.phase && Boolean(object.peak);

  /** The time of a point on the axis that is chosen. */
  const timeOf = (object) => {
    if (!isPhase(object)) return (t) => t;
    const [peak, stretch] = [object.peak[0], 1 + (object.z ?? 0)];
    return (t) => (t - peak) / stretch;
  };

  /** The observations of a band, as they are drawn. */
  const pointsOf = (object, band) => {
    const [time, flux, error] = object.curve[band];
    const at = timeOf(object);
    return time.map((t, i) => {
      const [f, e] = [flux[i], error[i]];
      const point = { t: at(t), day: object.start + t, f, e, band };
      if (!state.magnitudes) return { ...point, y: f, low: f - e, high: f + e, limit: false };
      const limit = f < SIGMA * e;
      if (limit) return { ...point, y: magnitude(SIGMA * e), limit };
      return { ...point, y: magnitude(f), low: magnitude(f + e), high: magnitude(Math.max(f - e, f / 10)), limit };
    });
  };

  /** The curve of the model that is chosen, in a band. */
  const fitOf = (object, band) => {
    const fit = state.fit < 0 ? null : object.fits?.[state.fit];
    const [flux, error, own] = fit?.bands[band] ?? [[]];
    const time = own ?? fit?.t;
    const at = timeOf(object);
    const points = flux.map((f, i) => {
      const e = error ? error[i] : null;
      if (!state.magnitudes) return { t: at(time[i]), y: f, low: e === null ? f : f - e, high: e === null ? f : f + e };
      const bright = (x) => (x > 0 ? magnitude(x) : NaN);
      return { t: at(time[i]), y: bright(f), low: bright(f + (e ?? 0)), high: bright(f - (e ?? 0)) };
    });
    return { points, errors: Boolean(error) };
  };

  const tip = (object) => (d) => [
    `${data.bands[d.band]}, day ${d.day.toFixed(2)}`,
    `flux ${format(d.f, 4)} \u00b1 ${format(d.e, 2)}`,
    d.f >= SIGMA * d.e ? `${magnitude(d.f).toFixed(2)} \u00b1 ${((1.0857 * d.e) / d.f).toFixed(2)} mag` : `fainter than ${magnitude(SIGMA * d.e).toFixed(2)} mag`,
    object.averaged ? `mean of up to ${object.averaged} observations` : null,
  ].filter(Boolean).join("\n");

  /** What a range of values needs on an axis: some room on both sides. */
  const padded = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    return [low - room, high + room];
  };

  const isNear = (object) => state.near && Boolean(object.peak);

  const viewed = (object) => {
    if (!isNear(object)) return null;
    const at = timeOf(object);
    return AROUND.map((days) => at(object.peak[0] + days));
  };

  const lightCurve = (object) => (width) => {
    const bands = data.bands.map((_, i) => i).filter((i) => state.bands.has(i));
    const view = viewed(object);
    const inside = (d) => !view || (d.t >= view[0] && d.t <= view[1]);
    const marks = [];
    const all = [];
    for (const band of bands) {
      const ink = color.band(data.bands[band], band);
      const points = pointsOf(object, band).filter(inside);
      const fit = fitOf(object, band);
      const curve = fit.points.filter(inside);
      const measured = points.filter((d) => !d.limit);
      if (fit.errors) marks.push(Plot.areaY(curve, { x: "t", y1: "low", y2: "high", curve: "monotone-x", fill: ink, fillOpacity: 0.15 }));
      if (curve.length) marks.push(Plot.line(curve, { x: "t", y: "y", curve: "monotone-x", stroke: ink, strokeWidth: 1.5 }));
      marks.push(Plot.ruleX(measured, { x: "t", y1: "low", y2: "high", stroke: ink, strokeOpacity: 0.55 }));
      marks.push(Plot.dot(measured, { x: "t", y: "y", r: 3, fill: ink, symbol: SYMBOLS[band % SYMBOLS.length] }));
      marks.push(Plot.text(points.filter((d) => d.limit), { x: "t", y: "y", text: () => "\u25bd", fill: ink, fillOpacity: 0.6, fontSize: 9 }));
      all.push(...points);
    }
    const heights = all.map((d) => d.y);
    const model = bands.flatMap((band) => fitOf(object, band).points.filter(inside).map((d) => d.y).filter(Number.isFinite));
    const shown = [...heights, ...(state.magnitudes ? [] : model)].filter(Number.isFinite);
    return {
      height: Math.max(280, Math.min(440, width * 0.5)),
      marginLeft: 48,
      ...AXIS,
      x: {
        labelOffset: LABEL,
        label: isPhase(object) ? "rest-frame days from the peak" : `day ${MINUS} ${object.start}`,
        domain: view ?? undefined,
        nice: !view,
      },
      y: {
        label: state.magnitudes ? "AB magnitude" : "flux",
        domain: shown.length ? (state.magnitudes ? padded(shown).reverse() : padded([0, ...shown])) : undefined,
        grid: true,
      },
      clip: true,
      marks: [
        state.magnitudes ? null : Plot.ruleY([0], { stroke: color.dim }),
        object.peak ? Plot.ruleX([timeOf(object)(object.peak[0])], { stroke: color.dim, strokeDasharray: "2,3" }) : null,
        ...marks,
        Plot.tip(all, Plot.pointer({ x: "t", y: "y", title: tip(object) })),
      ],
    };
  };

  // ---- Probabilities and features ---------------------------------------------------------------------------

  /** A name that fits into a margin. */
  const shortened = (margin) => (name) => {
    const most = Math.floor(margin / 7) - 1;
    return name.length > most ? `${name.slice(0, most - 1)}\u2026` : name;
  };
  const names = (domain, margin) => ({ marginLeft: margin, y: { domain, label: null, tickFormat: shortened(margin) } });

  const fitName = ([repeat, fold]) => (fold === null ? "final fit" : `repeat ${repeat}, fold ${fold}`);

  /** Every fit of the model: its probabilities by class. */
  const ownFits = (object) => {
    const fits = object.models?.[0] ?? [];
    return fits.flatMap((fit) => data.classes.map((name, i) => ({ row: name, p: fit[2][i], fit: fitName(fit) })));
  };

  const probabilities = (object) => (width) => ({
    height: 60 + 24 * data.classes.length,
    ...AXIS,
    ...names(data.classes, Math.min(120, width * 0.3)),
    x: { domain: [0, 1], label: "probability", grid: true, labelOffset: LABEL },
    marks: [
      Plot.barX(data.classes.map((name, i) => ({ name, p: object.p[i] })), {
        x: "p", y: "name", insetTop: 3, insetBottom: 3, fillOpacity: 0.45,
        fill: (d) => (d.name === object.label ? color.good : d.name === object.predicted ? color.bad : color.dim),
      }),
      Plot.dot(ownFits(object), { x: "p", y: "row", r: 3, fill: color.text, tip: true, title: (d) => `${d.fit}: ${format(d.p)}` }),
      data.positive && object.threshold !== undefined
        ? Plot.tickX([object], { x: "threshold", y: () => data.positive, stroke: color.text, strokeWidth: 2, title: () => `threshold ${format(object.threshold)}` })
        : null,
    ],
  });

  const otherModels = (object) => {
    const rows = data.models.flatMap((name, i) => {
      const at = i === 0 && data.positive ? data.classes.indexOf(data.positive) : data.classes.indexOf(object.label);
      return (object.models[i] ?? []).map((fit) => ({ name, p: i === 0 ? fit[2][at] : fit[2], fit: fitName(fit) })).filter((d) => d.p !== undefined);
    });
    const models = data.models.filter((name) => rows.some((d) => d.name === name));
    return models.length < 2 ? null : (width) => ({
      height: 60 + 22 * models.length,
      ...AXIS,
      ...names(models, Math.min(150, width * 0.4)),
      x: { domain: [0, 1], label: `P(${data.positive ?? object.label})`, grid: true, labelOffset: LABEL },
      marks: [
        Plot.ruleY(models, { stroke: color.line }),
        Plot.dot(rows, { x: "p", y: "name", r: 4, fill: color.series(0), fillOpacity: 0.6, tip: true, title: (d) => `${d.name}, ${d.fit}: ${format(d.p)}` }),
      ],
    });
  };

  const moved = (object) => (width) => ({
    height: 60 + 24 * object.why.features.length,
    ...AXIS,
    ...names(object.why.features.map(([name]) => name), Math.min(190, width * 0.45)),
    x: { label: `moved the margin of ${object.why.class} by`, grid: true, ticks: Math.max(2, Math.floor(width / 110)), labelOffset: LABEL },
    marks: [
      Plot.barX(object.why.features, {
        x: (d) => d[1], y: (d) => d[0], fill: (d) => (d[1] > 0 ? color.series(1) : color.series(0)), insetTop: 3, insetBottom: 3,
        tip: true, title: (d) => `${d[0]} = ${format(d[2])}\nmoved by ${format(d[1])}`,
      }),
      Plot.ruleX([0], { stroke: color.text }),
    ],
  });

  /** The classes with which an object's features are compared: its own, the one that is predicted, and the positive one. */
  const compared = (object) => [...new Set([object.label, object.predicted, data.positive])].filter((name) => name && data.features.some((f) => f.classes[name]));

  /** Each feature on a scale of its own, from the lowest to the highest of what is drawn. */
  const ranges = (object) => {
    const classes = compared(object);
    const rows = data.features.flatMap((feature, i) => {
      const value = object.values[i];
      const known = classes.map((name) => feature.classes[name]).filter(Boolean);
      const ends = [...known.flat(), ...(value === null ? [] : [value])];
      const [low, high] = [Math.min(...ends), Math.max(...ends)];
      const scale = (x) => (high > low ? (x - low) / (high - low) : 0.5);
      return classes.filter((name) => feature.classes[name]).map((name) => ({ feature, name, value, q: feature.classes[name].map(scale), at: value === null ? null : scale(value) }));
    });
    const features = data.features.map((feature) => feature.name);
    const title = (d) => `${d.feature.name} = ${format(d.value)}\n${d.name}: ${format(d.feature.classes[d.name][2])} [${format(d.feature.classes[d.name][0])}, ${format(d.feature.classes[d.name][4])}]`;
    const offset = (d) => (classes.indexOf(d.name) - (classes.length - 1) / 2) * 7;
    return (width) => ({
      height: 40 + (10 + 9 * classes.length) * features.length,
      ...names(features, Math.min(190, width * 0.45)),
      x: { axis: null, domain: [-0.02, 1.02] },
      color: { domain: classes, range: classes.map((name) => color.series(data.classes.indexOf(name))), legend: true },
      marks: [
        ...classes.flatMap((name) => {
          const some = rows.filter((d) => d.name === name);
          const dy = some.length ? offset(some[0]) : 0;
          return [
            Plot.ruleY(some, { x1: (d) => d.q[0], x2: (d) => d.q[4], y: (d) => d.feature.name, stroke: "name", dy, strokeOpacity: 0.7 }),
            Plot.ruleY(some, { x1: (d) => d.q[1], x2: (d) => d.q[3], y: (d) => d.feature.name, stroke: "name", strokeWidth: 5, dy, strokeOpacity: 0.6 }),
            Plot.dot(some, { x: (d) => d.q[2], y: (d) => d.feature.name, r: 2, fill: "var(--back)", stroke: "name", dy, tip: true, title }),
          ];
        }),
        Plot.tickX(rows.filter((d) => d.at !== null), { x: "at", y: (d) => d.feature.name, stroke: color.text, strokeWidth: 2, title }),
      ],
    });
  };

  // ---- The panel of an object -------------------------------------------------------------------------------

  const facts = (object) => {
    const verdict = object.right === undefined ? null : object.right ? "right" : "wrong";
    const repeats = object.repeats > 1 ? `wrong in ${object.wrong} of ${object.repeats} repeats` : null;
    const ofFinal = object.repeats === 0 ? "by the final fit" : null;
    const named = [
      ["Class", object.label ? (object.raw ? `${object.label} (${object.raw})` : object.label) : "unknown"],
      ["Predicted", [object.predicted, verdict && `(${verdict})`, ofFinal].filter(Boolean).join(" ") || null],
      ["Score", object.score === undefined ? null : [format(object.score, 4), object.threshold === undefined ? null : `threshold ${format(object.threshold, 3)}`, repeats].filter(Boolean).join(", ")],
      ["Redshift", object.z === undefined ? "unknown" : object.z_err === undefined ? format(object.z, 4) : `${format(object.z, 4)} \u00b1 ${format(object.z_err, 2)}`],
      ["E(B\u2212V)", object.ebv === undefined ? null : format(object.ebv)],
      ["Peak", object.peak ? `${object.peak[3].toFixed(2)} mag in ${data.bands[object.peak[1]]}, day ${(object.start + object.peak[0]).toFixed(2)}` : object.curve ? `no flux of ${SIGMA} errors` : null],
      ["Observations", object.points === undefined ? null : object.averaged ? `${format(object.points)}, up to ${object.averaged} averaged to a point` : format(object.points)],
      ["Split", object.split ?? null],
      ["In", lists.filter((list) => list !== everything && list.objects.includes(places.get(object.id))).map((list) => list.title.toLowerCase()).join(", ") || "no list"],
    ];
    return element("dl", { class: "facts" }, ...named.filter(([, value]) => value !== null).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  };

  const toggle = (text, pressed, change, attributes = {}) => element("button", {
    type: "button", "aria-pressed": String(pressed), ...attributes,
    onclick: () => { change(); show(); },
  }, text);

  const group = (label, ...children) => element("span", { role: "group", "aria-label": label, class: "group" }, ...children);

  const controls = (object) => {
    const set = (key, value) => () => { state[key] = value; };
    const bands = data.bands.map((name, i) => toggle(name, state.bands.has(i), () => {
      if (!state.bands.delete(i)) state.bands.add(i);
    }, { style: `--ink: ${color.band(name, i)}`, class: "band", "aria-label": `band ${name}` }));
    const fits = data.fits.map((name, i) => [name, i]).filter(([, i]) => object.fits?.[i]);
    return element("div", { class: "controls" },
      group("Bands", ...bands),
      group("Brightness", toggle("Flux", !state.magnitudes, set("magnitudes", false)), toggle("Magnitude", state.magnitudes, set("magnitudes", true))),
      group("Time", toggle("Days", !isPhase(object), set("phase", false)), toggle("Rest-frame phase", isPhase(object), set("phase", true), { disabled: !object.peak })),
      group("Stretch of time", toggle("All", !isNear(object), set("near", false)), toggle("Around the peak", isNear(object), set("near", true), { disabled: !object.peak })),
      fits.length ? group("Fitted model", toggle("No fit", state.fit < 0, set("fit", -1)), ...fits.map(([name, i]) => toggle(`Fit: ${name}`, state.fit === i, set("fit", i)))) : null);
  };

  const observations = (object) => {
    const rows = object.curve.flatMap(([time, flux, error], band) => time.map((t, i) => [data.bands[band], object.start + t, flux[i], error[i]]));
    rows.sort((a, b) => a[1] - b[1]);
    const text = ([band, day, flux, error]) => [band, day.toFixed(2), String(flux), String(error), flux >= SIGMA * error ? magnitude(flux).toFixed(2) : ""];
    const details = element("details", {}, element("summary", {}, `Table of ${object.averaged ? "points" : "observations"} (${rows.length})`));
    // Hundreds of rows that nobody looks at would make every step slow.
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(table(["band", "day", "flux", "error", "magnitude"], rows.map(text)));
    });
    return details;
  };

  const curveWords = (object) => {
    const fit = object.fits?.[state.fit];
    const parts = [`Light curves of ${data.curves}, with errors of one standard deviation.`];
    if (state.magnitudes) parts.push(`Magnitudes take fluxes to be in microjansky. Triangles are upper limits of ${SIGMA} errors.`);
    if (fit) parts.push(`Lines: the model ${fit.model}, fitted by ${data.fits[state.fit]}.`);
    if (isPhase(object) && object.z === undefined) parts.push("The redshift is unknown, so the days are those of the observer.");
    return parts.join(" ");
  };

  const draw = (object) => {
    panel.replaceChildren();
    panel.append(
      element("h3", { id: "object-name" }, object.id, " ", element("a", { href: `#object=${encodeURIComponent(object.id)}`, class: "permalink" }, "link")),
      facts(object));
    if (object.curve) {
      panel.append(controls(object));
      flow.plot(panel, lightCurve(object), { label: "Light curve", description: curveWords(object) });
      panel.append(observations(object));
    }
    const plots = element("div", { class: "plots" });
    panel.append(plots);
    if (object.p) flow.plot(plots, probabilities(object), { label: "Probabilities", description: "Bars are means, dots single fits." + (data.positive ? " The mark is the threshold." : "") });
    const others = object.models && otherModels(object);
    if (others) flow.plot(plots, others, { label: "All models of the run", description: `A dot for each fit.${data.models.length < data.all_models ? ` ${data.models.length} of ${data.all_models} models.` : ""}` });
    if (object.why) flow.plot(plots, moved(object), { label: "What moved the score", description: `By ${data.reasons}: Shapley values of the features that moved it most.` });
    if (object.values && compared(object).length) flow.plot(plots, ranges(object), { label: "Its features among its class", description: "The most important features: the object (mark), and of each class the middle 90 % (line), half (bar) and median (dot). Each row has its own scale." });
  };

  // ---- Going from one to the next ---------------------------------------------------------------------------

  const panel = element("article", { "aria-labelledby": "object-name" });
  const spoken = element("p", { class: "spoken", "aria-live": "polite" });
  const position = element("span", { class: "position" });
  const note = element("p", { class: "note", role: "status", hidden: true });
  const ERRORS = ["false_positives", "false_negatives", "wrong"];
  const tabs = element("div", { class: "controls", role: "group", "aria-label": "Lists" }, ...lists.map((list) =>
    toggle(`${list.title} ${ERRORS.includes(list.id) ? list.of : list.objects.length}`, false, () => {
      state.list = list;
      state.object = list.objects[0];
      link();
    }, { title: list.about })));

  const step = (by) => {
    const { objects } = state.list;
    const at = objects.indexOf(state.object);
    go(objects[(at + by + objects.length) % objects.length]);
  };

  const describe = (object) => {
    const at = state.list.objects.indexOf(state.object) + 1;
    const of = state.list.objects.length;
    position.textContent = ERRORS.includes(state.list.id) && of < state.list.of ? `${at} of the first ${of}` : `${at} of ${of}`;
    const judged = object.score === undefined ? "" : `, predicted ${object.predicted}, score ${format(object.score)}`;
    spoken.textContent = `${object.id}, class ${object.label ?? "unknown"}${judged}, ${at} of ${of} in ${state.list.title.toLowerCase()}`;
  };

  const show = () => {
    const focused = document.activeElement;
    const again = panel.contains(focused) && [...panel.querySelectorAll("button")].indexOf(focused);
    const object = data.objects[state.object];
    [...tabs.children].forEach((tab, i) => tab.setAttribute("aria-pressed", String(lists[i] === state.list)));
    draw(object);
    describe(object);
    // The panel is made anew; whoever has pressed a button of it keeps the focus.
    if (again !== false && again >= 0) panel.querySelectorAll("button")[again]?.focus();
  };

  const link = () => {
    // Not an entry of the history for every step.
    try {
      history.replaceState(null, "", `#object=${encodeURIComponent(data.objects[state.object].id)}`);
    } catch {
      // Some browsers refuse that for files; the link beside the name works there too.
    }
  };

  const go = (place) => {
    state.object = place;
    note.hidden = true;
    link();
    show();
  };

  /** Shows the object of this name, in the list that is open or in another one that has it. */
  const find = (name) => {
    const exact = places.get(name);
    const like = exact ?? data.objects.findIndex((object) => object.id.toLowerCase().includes(name.toLowerCase()));
    if (name === "" || like < 0) {
      note.textContent = `${name} is not among the ${data.objects.length} objects of this page. Add it: flow report ${data.run} --object ${name}`;
      note.hidden = name === "";
      return false;
    }
    if (!state.list.objects.includes(like)) state.list = lists.find((list) => list.objects.includes(like));
    go(like);
    return true;
  };

  const search = element("input", { type: "search", list: "object-names", placeholder: "any name", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false" });
  search.addEventListener("change", () => find(search.value.trim()));
  const button = (text, by, key) => element("button", { type: "button", onclick: () => step(by), "aria-keyshortcuts": key }, text);
  root.querySelector(".viewer").append(
    tabs,
    element("div", { class: "controls steps" },
      group("Objects of the list", button("\u2039 Previous", -1, "ArrowLeft K"), position, button("Next \u203a", 1, "ArrowRight J")),
      element("label", {}, "Find ", search),
      element("span", { class: "dim keys" }, "Keys: \u2190 \u2192 or k j, / to search")),
    note, spoken, panel,
    element("datalist", { id: "object-names" }, ...data.objects.map((object) => element("option", { value: object.id }))));

  const visible = () => {
    const box = root.querySelector(".viewer").getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (typing || event.altKey || event.ctrlKey || event.metaKey || !visible()) return;
    const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
    if (by) step(by);
    else if (event.key === "/") search.focus();
    else return;
    event.preventDefault();
  });

  const fromLink = () => {
    let name = location.hash.startsWith("#object=") ? location.hash.slice(8) : null;
    try {
      name = name && decodeURIComponent(name);
    } catch {
      // It is no encoded name, and may be a plain one.
    }
    if (name === null || !find(name)) return false;
    root.querySelector(".viewer").scrollIntoView();
    return true;
  };
  addEventListener("hashchange", fromLink);
  if (data.objects.length === 0) return;
  root.querySelectorAll("details.list").forEach((list) => { list.open = false; });
  state.object = state.list.objects[0];
  if (!fromLink()) show();
});
