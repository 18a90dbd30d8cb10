// What the scripts of all sections use: `flow.section`, `flow.plot`, colors, numbers and elements.
"use strict";

const flow = (() => {
  /** Calls `draw(data, root)` with the data of a section and its element. A section that is not on the
   *  page draws nothing. */
  const section = (id, draw) => {
    const root = document.getElementById(id);
    const data = document.getElementById(`data-${id}`);
    if (root && data) draw(JSON.parse(data.textContent), root);
  };

  /** The value of a color variable of the style sheet, to be used where `var()` does not work. */
  const variable = (name) => `var(--${name})`;

  const BANDS = ["u", "g", "r", "i", "z", "y"];

  const color = {
    /** The color of class or series number `i`. */
    series: (i) => variable(`series-${((i % 8) + 8) % 8}`),
    /** The color of a band: that of its name if the name ends in a letter of ugrizy, or else one by its place
     *  among the bands. */
    band: (name, i = 0) => {
      const letter = name.slice(-1).toLowerCase();
      return variable(BANDS.includes(letter) ? `band-${letter}` : `band-${BANDS[i % BANDS.length]}`);
    },
    text: variable("text"),
    dim: variable("dim"),
    line: variable("line"),
    good: variable("good"),
    bad: variable("bad"),
    warn: variable("warn"),
  };

  /** A number for people, with some significant digits; `-` for one that is missing. */
  const format = (x, digits = 3) => {
    if (x === null || x === undefined || Number.isNaN(x)) return "-";
    if (typeof x !== "number") return String(x);
    if (Number.isInteger(x)) return x.toLocaleString("en-US");
    const size = Math.abs(x);
    if (size >= 1e6 || size < 1e-4) return x.toExponential(digits - 1);
    return String(Number(x.toPrecision(digits)));
  };

  /** A value with its interval: `0.648 [0.58, 0.72]`. */
  const interval = (value, low, high, digits = 3) =>
    low === null || low === undefined
      ? format(value, digits)
      : `${format(value, digits)} [${format(low, digits)}, ${format(high, digits)}]`;

  /** An element: `element("p", { class: "dim" }, "text", child)`. */
  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  /** A table from a list of headings and a list of rows. Numbers stand to the right. */
  const table = (headings, rows, caption) => {
    const numeric = headings.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === "number" || row[i] === null));
    const cell = (name, i, content) =>
      element(name, { class: numeric[i] ? "number" : null, scope: name === "th" ? "col" : null },
        content instanceof Node ? content : format(content));
    return element("div", { class: "wide" },
      element("table", {},
        caption ? element("caption", {}, caption) : null,
        element("thead", {}, element("tr", {}, ...headings.map((text, i) => cell("th", i, text)))),
        element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((content, i) => cell("td", i, content)))))));
  };

  /** Draws a figure of Observable Plot into `container`, and again whenever its width changes.
   *
   *  `options` are those of `Plot.plot`, or a function of the width that returns them. `label` is the title
   *  of the figure; `description` says in words what it shows. Returns the figure with a method `update` that
   *  takes other options. */
  const plot = (container, options, { label, description = "" } = {}) => {
    const holder = element("div", {});
    const figure = element("figure", { class: "plot" },
      element("figcaption", {}, element("strong", {}, label ?? ""), description), holder);
    container.append(figure);
    let current = options;
    let drawn = 0;
    const draw = () => {
      const width = Math.floor(holder.clientWidth);
      if (width < 40) return;
      drawn = width;
      const made = typeof current === "function" ? current(width) : current;
      holder.replaceChildren(Plot.plot({
        width,
        style: { background: "none", fontSize: "12px" },
        ariaLabel: label,
        ariaDescription: description || undefined,
        ...made,
      }));
    };
    draw();
    // In the next frame: what an observer draws at once may change the width again, which is an error.
    new ResizeObserver(() => requestAnimationFrame(() => {
      if (Math.floor(holder.clientWidth) !== drawn) draw();
    })).observe(holder);
    figure.update = (next) => {
      current = next;
      draw();
    };
    return figure;
  };

  return { section, color, format, interval, element, table, plot };
})();
