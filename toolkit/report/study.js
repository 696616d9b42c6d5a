"use strict";
// The curves of a study, drawn anew as the reader asks, and tables that sort. Needs nothing beside this page.
(() => {
  const $ = (id) => document.getElementById(id);
  const study = JSON.parse($("study-data").textContent);
  const chart = $("chart"), tip = $("tip");
  const MARKER = 4.6, NEAR = 44, PHONE = 560;
  let hidden = new Set(), lit = null, marks = [], current = null, svg = null;

  const metric = () => study.metrics[$("metric").value];
  const shown = () => study.lines.map((_, k) => k).filter((k) => !hidden.has(k));
  const finite = (value) => value !== null && Number.isFinite(value);

  function draw(tag, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  const said = (value) => Number(value.toPrecision(6)).toLocaleString("en").replace("-", "\u2212");

  /** The width of the longest name beside the curves, in the page's own letters. */
  function roomForNames() {
    const text = draw("text", {}, svg);
    const widths = study.lines.map((line) => {
      text.textContent = line.title;
      return text.getComputedTextLength();
    });
    text.remove();
    return Math.max(...widths) + 20;
  }

  /** Round numbers within [low, high]: about `count` of them on a linear axis, 1, 2, 5, 10, ... on a logarithmic one. */
  function ticks(low, high, count, log) {
    const found = [];
    if (log && high / low > 4) {
      for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
        found.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
      }
      return found.filter((value) => value >= low && value <= high);
    }
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((digit) => digit * power >= rough * 0.999);
    for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
    return found;
  }

  /** A function from [low, high] to [from, to], linear in the value or in its logarithm. */
  function scale(low, high, from, to, log) {
    const along = log ? Math.log : (value) => value;
    const start = along(low), span = along(high) - start || 1;
    return (value) => from + ((along(value) - start) / span) * (to - from);
  }

  /** The limits of the axes: of all budgets, and of the values, intervals and seeds of the lines that are shown. */
  function limits(curves, logLabels, logValues) {
    const all = metric().curves.flat(), budgets = [...new Set(all.map((p) => p.labels))].sort((a, b) => a - b);
    const points = curves.flatMap(([, points]) => points);
    const seeds = $("seeds").checked ? points.flatMap((p) => p.seeds) : [];
    let values = [...points.flatMap((p) => [p.value, p.low, p.high]), ...seeds].filter(finite);
    if (logValues) values = values.filter((value) => value > 0);
    let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [logValues ? 1 : 0, 10];
    const room = logValues ? (high / low) ** 0.05 : (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
    [low, high] = logValues ? [low / Math.max(room, 1.02), high * Math.max(room, 1.02)] : [low - room, high + room];
    const [few, many] = budgets.length ? [budgets[0], budgets[budgets.length - 1]] : [1, 2];
    const across = logLabels ? [few / 1.25, many * 1.25] : [0, many * 1.04];
    return { budgets, across, up: [low, high] };
  }

  function redraw() {
    const width = chart.clientWidth, height = chart.clientHeight, phone = width < PHONE;
    if (!width || !height) return;
    const logLabels = $("log-labels").checked, logValues = $("log-values").checked && !$("log-values").disabled;
    const curves = shown().map((k) => [k, metric().curves[k]]);
    const guide = metric().guide && metric().guide.lines.every((k) => !hidden.has(k)) ? metric().guide : null;
    if (svg) svg.remove();
    svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "group" });
    svg.setAttribute("aria-label", `${metric().axis} (${metric().better} is better) by labelled ${study.groups}. Arrow keys move between points.`);
    chart.prepend(svg);
    const box = { left: 50, right: width - (phone ? 10 : Math.min(roomForNames(), width * 0.4)), top: 26, bottom: height - 42, strip: guide ? 40 : 0 };
    const { budgets, across, up } = limits(curves, logLabels, logValues);
    const x = scale(...across, box.left, box.right, logLabels);
    const y = scale(...up, box.bottom - box.strip, box.top, logValues);
    drawAxes(box, x, y, logLabels ? budgets : ticks(...across, phone ? 4 : 7, false), ticks(...up, 6, logValues));
    if (guide) drawGuide(guide, box, x, y, phone);
    marks = [];
    for (const [k, points] of curves) drawLine(k, points, x, y, logValues);
    if (!phone) nameEnds(curves, box);
    current = null;
    if (marks.length) marks[0].node.setAttribute("tabindex", "0");
    hideTip();
  }

  function drawAxes(box, x, y, labels, values) {
    const middle = (box.left + box.right) / 2, arrow = metric().better === "lower" ? "\u2193" : "\u2191";
    const better = chart.clientWidth < PHONE ? `(${arrow} better)` : `(${metric().better} is better)`;
    for (const value of values) {
      draw("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }, svg);
      draw("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, svg, said(value));
    }
    for (const value of labels) {
      draw("line", { class: "grid", x1: x(value), x2: x(value), y1: box.top, y2: box.bottom }, svg);
      draw("text", { x: x(value), y: box.bottom + 17, "text-anchor": "middle" }, svg, said(value));
    }
    draw("text", { x: middle, y: box.bottom + 37, "text-anchor": "middle" }, svg, `labelled ${study.groups}`);
    draw("text", { class: "strong", x: 0, y: 12 }, svg, `${metric().axis} ${better}`);
  }

  /** From the score that one line has with all labels to where the other reaches it; below, what lies between. */
  function drawGuide(guide, box, x, y, phone) {
    const from = x(guide.from), to = x(guide.to), across = y(guide.value), below = box.bottom - 14;
    const words = phone ? guide.said.replace(" times fewer labels", "× fewer") : guide.said;
    const half = words.length * 3.6 + 6, fits = from - to > 2 * half + 20;
    const [middle, height] = fits ? [(from + to) / 2, below] : [from - half, below - 15];
    draw("path", { class: "guide", "stroke-dasharray": "5 3", d: `M${from},${across}H${to}` }, svg);
    draw("path", { class: "guide", "stroke-dasharray": "1 3", d: `M${from},${across}V${box.bottom}M${to},${across}V${box.bottom}` }, svg);
    const tail = guide.open ? "" : `M${from - 7},${below - 4}L${from},${below}L${from - 7},${below + 4}`;
    draw("path", { class: "guide", d: `M${to + 7},${below - 4}L${to},${below}L${to + 7},${below + 4}M${to},${below}H${from}${tail}` }, svg);
    draw("rect", { class: "behind", x: middle - half, y: height - 9, width: 2 * half, height: 18 }, svg);
    draw("text", { class: "strong", x: middle, y: height + 4, "text-anchor": "middle" }, svg, words);
  }

  function drawLine(k, points, x, y, logValues) {
    const line = study.lines[k], colour = `var(--line-${k})`;
    const can = (value) => finite(value) && (!logValues || value > 0);
    const group = draw("g", { class: "line", "data-line": k }, svg);
    const banded = points.filter((p) => can(p.low) && can(p.high));
    const there = banded.map((p) => `${x(p.labels)},${y(p.high)}`), back = banded.map((p) => `${x(p.labels)},${y(p.low)}`);
    if (banded.length > 1) draw("path", { class: "band", fill: colour, d: `M${there.join("L")}L${back.reverse().join("L")}Z` }, group);
    else if (banded.length) draw("path", { stroke: colour, d: `M${there[0]}L${back[0]}` }, group);
    if ($("seeds").checked) {
      for (const p of points) for (const value of p.seeds.filter(can)) {
        draw("circle", { class: "seed", cx: x(p.labels), cy: y(value), r: 1.7, fill: colour }, group);
      }
    }
    let path = "", pen = "M";
    for (const p of points) {
      if (can(p.value)) path += `${pen}${x(p.labels)},${y(p.value)}`;
      pen = can(p.value) ? "L" : "M";
    }
    const stroke = { fill: "none", stroke: colour, "stroke-width": line.width, "stroke-dasharray": line.dash.join(" ") || "none" };
    if (path) draw("path", { class: "curve", d: path, "stroke-linejoin": "round", ...stroke }, group);
    for (const point of points.filter((p) => can(p.value))) {
      const at = { x: x(point.labels), y: y(point.value) };
      const node = draw("path", {
        class: "point", d: line.marker, transform: `translate(${at.x} ${at.y}) scale(${MARKER})`, role: "img",
        fill: line.hollow ? "var(--surface)" : colour, stroke: line.hollow ? colour : "var(--surface)",
        "stroke-width": line.hollow ? 0.35 : 0.22, tabindex: -1, "aria-label": tellPoint(k, point).join(", "),
      }, group);
      const mark = { k, point, node, group, ...at };
      node.addEventListener("focus", () => showTip(mark));
      node.addEventListener("blur", hideTip);
      marks.push(mark);
    }
  }

  /** Names of lines at their ends, pushed apart where they would touch, with a thread to the last point. */
  function nameEnds(curves, box) {
    const ends = curves.map(([k]) => marks.filter((mark) => mark.k === k).pop()).filter(Boolean).sort((a, b) => a.y - b.y);
    const gap = 15, places = [];
    if (ends.length * gap > box.bottom - box.top) return;
    for (const end of ends) places.push(Math.max(end.y, places.length ? places[places.length - 1] + gap : box.top));
    for (let k = places.length - 1, floor = box.bottom; k >= 0; k--, floor = places[k + 1] - gap) places[k] = Math.min(places[k], floor);
    ends.forEach((end, k) => {
      const thread = `M${end.x + 8},${end.y}L${box.right + 6},${places[k]}h6`;
      draw("path", { fill: "none", stroke: `var(--line-${end.k})`, d: thread }, end.group);
      draw("text", { class: "name", x: box.right + 16, y: places[k] + 4 }, end.group, study.lines[end.k].title);
    });
  }

  const counted = (count, plural) => `${said(count)} ${count === 1 ? plural.replace(/s$/, "") : plural}`;

  function tellPoint(k, point) {
    return [study.lines[k].title, counted(point.labels, study.groups), point.said, counted(point.count, "seeds")];
  }

  function light(k) {
    lit = k;
    if (!svg) return;
    svg.classList.toggle("lit", k !== null);
    for (const group of svg.querySelectorAll("g.line")) group.classList.toggle("on", Number(group.dataset.line) === k);
  }

  function showTip(mark) {
    if (current) current.node.setAttribute("tabindex", "-1");
    else if (marks.length) marks[0].node.setAttribute("tabindex", "-1");
    current = mark;
    mark.node.setAttribute("tabindex", "0");
    const [title, labels, value, seeds] = tellPoint(mark.k, mark.point);
    tip.replaceChildren(...[["b", title, ""], ["div", value, "said"], ["div", `${labels}, ${seeds}`, ""]].map(([tag, text, kind]) => {
      const node = document.createElement(tag);
      node.className = kind;
      node.textContent = text;
      return node;
    }));
    tip.hidden = false;
    const left = Math.min(Math.max(mark.x - tip.offsetWidth / 2, 0), chart.clientWidth - tip.offsetWidth);
    const above = mark.y - tip.offsetHeight - 14;
    tip.style.transform = `translate(${left}px, ${above < 0 ? mark.y + 14 : above}px)`;
    light(mark.k);
  }

  function hideTip() {
    tip.hidden = true;
    light(null);
  }

  function nearest(event) {
    const box = svg.getBoundingClientRect();
    const far = (mark) => Math.hypot(event.clientX - box.left - mark.x, event.clientY - box.top - mark.y);
    const mark = marks.reduce((best, one) => (best && far(best) <= far(one) ? best : one), null);
    return mark && far(mark) < NEAR ? mark : null;
  }

  /** Left and right along the line, up and down to the next line with the same labels. */
  function step(key) {
    if (!current) return null;
    const alike = (one) => (key === "ArrowLeft" || key === "ArrowRight" ? one.k === current.k : one.point.labels === current.point.labels);
    const order = marks.filter(alike).sort((a, b) => (key === "ArrowLeft" || key === "ArrowRight" ? a.x - b.x : a.y - b.y));
    return order[order.indexOf(current) + (key === "ArrowRight" || key === "ArrowDown" ? 1 : -1)];
  }

  function point(event) {
    const mark = nearest(event);
    if (mark) showTip(mark);
    else hideTip();
  }

  function chooseMetric() {
    const log = $("log-values"), values = metric().curves.flat().map((p) => p.value).filter(finite);
    log.disabled = values.some((value) => value <= 0);
    log.checked = metric().log && !log.disabled;
    $("meaning").textContent = metric().meaning;
    for (const node of document.querySelectorAll(".chosen-metric")) node.textContent = metric().title;
    for (const row of document.querySelectorAll("tr[data-metric]")) row.hidden = row.dataset.metric !== $("metric").value;
    redraw();
  }

  function sortBy(table, column, head) {
    const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1, body = table.tBodies[0];
    for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
    const key = (row) => (head.classList.contains("numeric") ? Number(row.cells[column].dataset.sort ?? NaN) : row.cells[column].textContent);
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => Number.isNaN(a) - Number.isNaN(b) || (Number.isNaN(a) ? 0 : down * compare(a, b)));
    body.append(...rows.map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(table, column, head));
    });
  }
  for (const button of document.querySelectorAll(".legend button")) {
    const k = Number(button.dataset.line);
    button.addEventListener("click", () => {
      if (!hidden.delete(k)) hidden.add(k);
      button.setAttribute("aria-pressed", String(!hidden.has(k)));
      redraw();
    });
    button.addEventListener("pointerenter", () => light(hidden.has(k) ? null : k));
    button.addEventListener("pointerleave", () => light(null));
  }
  for (const link of document.querySelectorAll("a[download]")) {
    link.href = URL.createObjectURL(new Blob([study.files[link.download]], { type: "application/octet-stream" }));
  }
  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerdown", point);
  chart.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hideTip());
  chart.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hideTip();
    if (!event.key.startsWith("Arrow")) return undefined;
    event.preventDefault();
    step(event.key)?.node.focus();
    return undefined;
  });
  for (const id of ["log-labels", "log-values", "seeds"]) $(id).addEventListener("change", redraw);
  $("metric").addEventListener("change", chooseMetric);
  chooseMetric();
  new ResizeObserver(() => svg && svg.viewBox.baseVal.width !== chart.clientWidth && redraw()).observe(chart);
})();
