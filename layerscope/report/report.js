"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const ROWS = 40, MORE = 400, NEAR = 40;
const COLOURS = ["#0072b2", "#d55e00", "#007a5a", "#a0447a", "#8a6d00", "#3b3b8f", "#b0413e", "#5a5a5a"];
const FORM = /^([-+]?\d+(?:\.(\d+))?)(?:\((\d+)\))?(?:e([-+]?\d+))?$/;

// --- parts of a page: text is only ever set as text, so that no string of a file becomes markup

function el(tag, attributes, ...children) {
  const svg = el.svg.has(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}
el.svg = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "title"]);
const byId = (id) => document.getElementById(id);

// --- what records and cells say

const word = (n) => D.words[n];

function quantity(record, k) { // of a record, by its place
  const [name, component, unit, role, kind, ...parts] = D.terms[record[5][2 * k]];
  const said = record[5][2 * k + 1], all = Array.isArray(said) ? said : [said];
  return { name, component, unit: unit === "1" ? "" : unit, role, kind, text: all[0], parts: parts.map((p, n) => [p, all[n + 1]]), more: all[parts.length + 1] || "" };
}

function cellText(row, n) {
  const cell = row[n + 1];
  if (cell === null || cell === undefined) return "";
  if (typeof cell === "number") {
    const said = D.records[row[0]][5][2 * cell + 1];
    return Array.isArray(said) ? said[0] : said;
  }
  return Array.isArray(cell) ? cell.map((f) => D.flags[f]).join(", ") : cell;
}

function number(text) { // value and error of what is written as 1.234(5); of a limit its value
  const limit = text.startsWith("< ") || text.startsWith("> ");
  const found = FORM.exec((limit ? text.slice(2) : text).split(/,| \(/)[0]);
  if (!found) return null;
  const power = 10 ** Number(found[4] || 0), decimals = (found[2] || "").length;
  return { value: Number(found[1]) * power, sigma: found[3] === undefined ? 0 : Number(found[3]) * 10 ** -decimals * power, limit: limit ? text[0] : "" };
}

function stateOf(record) {
  const said = [];
  D.state.forEach((name, n) => {
    const value = record[4][n];
    if (value !== null) said.push([name.replace(/_/g, " "), Array.isArray(value) ? value[0] : word(value)]);
  });
  return said;
}

// --- tables

class Table {
  constructor(block) {
    this.block = block;
    this.title = block.querySelector("h3").textContent;
    [this.fields, this.rows] = D.tables[Number(block.dataset.table)];
    this.order = this.rows.map((_, n) => n);
    this.sorted = null;
    this.shown = ROWS;
    const holder = block.querySelector(".here");
    this.kept = this.fields.map((_, n) => this.tells(n));
    this.plot = Strip.of(this) || Plot.of(this);
    if (this.plot) holder.append(this.plot.element);
    const id = `filter-${block.dataset.table}`;
    this.filter = el("input", { id, type: "search", placeholder: "words, or voltage>4.5", oninput: () => this.update() });
    this.count = el("span", { class: "count", role: "status" });
    this.headings = this.fields.map((field) => (field[1] ? `${field[0]} / ${field[1]}` : field[0]));
    this.head = this.headings.map((heading, n) => {
      const numeric = this.numeric(n);
      return el("th", { scope: "col", role: "columnheader", class: numeric ? "num" : null }, el("button", { type: "button", onclick: () => this.sort(n) }, heading));
    });
    this.order_by = el("select", { "aria-label": `${this.title}: sort by`, onchange: (event) => this.sort(Number(event.target.value)) }, el("option", { value: -1 }, "as they come"), ...this.headings.map((heading, n) => (this.kept[n] ? el("option", { value: n }, heading) : "")));
    this.by = el("span", { hidden: true }, "sort by ", this.order_by);
    if (this.rows.length > 3) holder.append(el("div", { class: "bar" }, el("label", { for: id }, "Keep rows with"), this.filter, this.count, el("button", { type: "button", onclick: () => this.save() }, "CSV"), this.by));
    this.body = el("tbody", { role: "rowgroup" });
    this.table = el("table", { role: "table" }, el("caption", {}, this.title), el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...this.head.filter((_, n) => this.kept[n]))), this.body);
    this.place = el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Table: ${this.title}` }, this.table);
    new ResizeObserver(() => { if (this.place.clientWidth !== this.width) this.fit(); }).observe(this.place);
    this.more = el("button", { type: "button", onclick: () => { this.shown += MORE; this.draw(); } });
    holder.append(this.place, this.more);
    this.update();
  }

  numeric(n) { // whether most of a column are numbers
    let numbers = 0, all = 0;
    for (const row of this.rows.slice(0, 50)) {
      const text = cellText(row, n);
      if (text) { all += 1; numbers += number(text) ? 1 : 0; }
    }
    return all > 0 && numbers * 2 > all;
  }

  tells(n) { // whether a column says what the others do not: not where it is empty, or names a series as its sample
    const same = this.fields[n][0] === "series" ? this.fields.findIndex((f) => f[0] === "sample") : -1;
    return this.rows.some((row) => { const text = cellText(row, n); return text && !(same >= 0 && cellText(row, same).includes(text)); });
  }

  fit() { // a table that does not fit into its place has a paragraph for each row
    this.width = this.place.clientWidth;
    this.table.classList.remove("cards");
    this.table.classList.toggle("cards", this.place.scrollWidth > this.width + 1);
    this.by.hidden = !this.table.classList.contains("cards");
  }

  update() {
    const tests = this.filter.value.split(/\s+/).filter(Boolean).map((part) => this.test(part));
    this.order = this.rows.map((_, n) => n).filter((n) => tests.every((test) => test(this.rows[n])));
    if (this.sorted) this.arrange();
    this.draw();
    if (this.plot) this.plot.keep(this.order);
  }

  test(part) { // of a row: holds a word, or a column compares so with a number
    const found = /^(.+?)(>=|<=|>|<|=)([-+.\de]+)$/.exec(part);
    const at = found ? this.fields.findIndex((f) => f[0].toLowerCase().replace(/\s/g, "").startsWith(found[1].toLowerCase())) : -1;
    if (at >= 0) {
      const limit = Number(found[3]);
      const compare = { ">": (v) => v > limit, "<": (v) => v < limit, ">=": (v) => v >= limit, "<=": (v) => v <= limit, "=": (v) => v === limit }[found[2]];
      return (row) => { const met = number(cellText(row, at)); return met !== null && compare(met.value); };
    }
    const wanted = part.toLowerCase();
    return (row) => this.fields.some((_, n) => cellText(row, n).toLowerCase().includes(wanted));
  }

  sort(n) {
    const up = !(this.sorted && this.sorted.n === n && this.sorted.up);
    this.sorted = n < 0 ? null : { n, up };
    this.head.forEach((th, k) => (k === n ? th.setAttribute("aria-sort", up ? "ascending" : "descending") : th.removeAttribute("aria-sort")));
    this.update();
  }

  arrange() { // empty cells stay at the end
    const { n, up } = this.sorted, numeric = this.numeric(n), keys = new Map();
    for (const k of this.order) {
      const text = cellText(this.rows[k], n), met = numeric ? number(text) : null;
      keys.set(k, numeric ? (met ? met.value : null) : text || null);
    }
    this.order.sort((a, b) => {
      const x = keys.get(a), y = keys.get(b);
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      const way = numeric ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return way ? (up ? way : -way) : a - b;
    });
  }

  draw() {
    this.body.replaceChildren(...this.order.slice(0, this.shown).map((n) => this.row(this.rows[n])));
    const left = this.order.length - this.shown;
    this.more.hidden = left <= 0;
    this.more.textContent = left > MORE ? `Show ${MORE} more of ${left} rows` : `Show ${left} more rows`;
    this.count.textContent = this.order.length === this.rows.length ? `${this.rows.length} rows` : `${this.order.length} of ${this.rows.length} rows`;
    this.fit();
  }

  row(row) {
    const record = row[0] === null ? null : D.records[row[0]];
    const link = (text) => el("a", { href: `#r-${record[0].slice(0, 16)}` }, text);
    let led = false;
    return el("tr", { role: "row" }, ...this.fields.map((field, n) => {
      if (!this.kept[n]) return null;
      const cell = row[n + 1], text = cellText(row, n), kind = field[2];
      const said = { role: "cell", "data-head": this.headings[n] };
      if (kind === "status") return el("td", said, text ? el("span", { class: `state ${text}` }, text) : "");
      if (kind === "flags") return el("td", { ...said, class: "words" }, ...(cell || []).flatMap((f, k) => [k ? ", " : "", el("abbr", { title: this.says(D.flags[f]) }, D.flags[f])]));
      const numeric = this.head[n].classList.contains("num");
      const linked = record !== null && text && (typeof cell === "number" || kind === "value" || (kind === "key" && !led));
      if (kind === "key" && text) led = true;
      return el("td", { ...said, class: numeric ? "num" : text.length > 40 ? "words" : null }, ...(linked ? [link(text)] : numeric ? [text] : broken(text)));
    }));
  }

  says(flag) {
    const [says, todo] = D.advice[flag.split(":")[0]] || ["", ""];
    return todo ? `${says}. To do: ${todo}` : says;
  }

  save() { // what is shown, for a spreadsheet; what begins like a formula is quoted
    const quoted = (text) => {
      const safe = /^[=@\t\r]|^[-+](?![\d.])/.test(text) ? `'${text}` : text;
      return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
    };
    const wide = this.fields.map((_, n) => this.order.some((k) => { const met = number(cellText(this.rows[k], n)); return met && met.sigma; }));
    const head = this.fields.flatMap((f, n) => { const h = f[1] ? `${f[0]} / ${f[1]}` : f[0]; return wide[n] ? [h, `${h} (sigma)`] : [h]; });
    const lines = this.order.map((k) => this.fields.flatMap((_, n) => {
      const text = cellText(this.rows[k], n), met = wide[n] ? number(text) : null;
      if (!wide[n]) return [text];
      return met && !met.limit ? [String(Number(met.value.toPrecision(12))), met.sigma ? String(Number(met.sigma.toPrecision(3))) : ""] : [text, ""];
    }));
    hand(`${this.title.replace(/[^\w.-]+/g, "_")}.csv`, [head, ...lines].map((cells) => cells.map(quoted).join(",")).join("\n") + "\n");
  }
}

const broken = (text) => text.split(/(?<=[a-z][._])(?=[a-z])/).flatMap((part, k) => (k ? [el("wbr"), part] : [part])); // names may end a line

function hand(name, text) { // a file of the page to the one who reads it
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/plain" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- what techniques say along depth: a bar a row, from where to where

class Strip {
  static of(table) {
    const at = (head) => table.fields.findIndex((f) => f[0] === head && f[1] === "nm"), from = at("from"), to = at("to");
    return from >= 0 && to >= 0 && table.rows.length > 1 ? new Strip(table, from, to) : null;
  }

  constructor(table, from, to) {
    Object.assign(this, { table, from, to });
    this.names = [...new Set(table.rows.map((row) => this.name(row)))];
    this.kept = new Set(table.order);
    this.frame = el("div", { onpointermove: (event) => this.hover(event), onpointerleave: () => tip("") });
    this.element = el("div", { class: "plot" }, this.frame);
    new ResizeObserver(() => { if (this.frame.clientWidth !== this.width) this.draw(); }).observe(this.frame);
  }

  name(row) { return this.table.fields.map((f, n) => (f[0] === "technique" ? cellText(row, n) : "")).join(""); }

  keep(order) { this.kept = new Set(order); this.draw(); }

  draw() {
    this.width = this.frame.clientWidth;
    if (!this.width) return;
    const w = this.width, left = Math.min(200, w * 0.36), right = 10, step = 13;
    const rows = this.table.rows.filter((_, n) => this.kept.has(n)).sort((a, b) => this.names.indexOf(this.name(a)) - this.names.indexOf(this.name(b)) || cellText(a, 0).localeCompare(cellText(b, 0)) || 0);
    const h = rows.length * step + 46, deepest = rows.reduce((m, row) => Math.max(m, Number(cellText(row, this.to))), 1);
    const X = (v) => left + (v / deepest) * (w - left - right);
    const svg = el("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `${this.table.title}: ${rows.length} bars by technique, the same as the rows of the table` });
    this.frame.replaceChildren(svg);
    this.svg = svg;
    this.bars = rows;
    axis(svg, ticks(0, deepest, w / 90), (v) => [X(v), h - 40], 0, h - 44);
    svg.append(el("text", { x: (left + w) / 2, y: h - 8, "text-anchor": "middle" }, "depth / nm"));
    let said = "";
    rows.forEach((row, n) => {
      const own = `${this.name(row)}, ${cellText(row, 0)}`, x = X(Number(cellText(row, this.from))), y = 4 + n * step;
      if (own !== said) svg.append(el("text", { x: 0, y: y + 10 }, own));
      said = own;
      svg.append(el("rect", { x, y: y + 1, width: Math.max(3, X(Number(cellText(row, this.to))) - x), height: step - 3, fill: COLOURS[this.names.indexOf(this.name(row)) % 8] }));
    });
  }

  hover(event) {
    const box = this.svg.getBoundingClientRect(), row = this.bars[Math.floor((((event.clientY - box.top) / box.width) * this.width - 4) / 13)];
    tip(row ? this.table.fields.map((f, n) => cellText(row, n) && `${f[0]} ${cellText(row, n)} ${f[1]}`.trim()).filter(Boolean).join("\n") : "", event.clientX, event.clientY);
  }
}

// --- plots: what a table holds against what numbers its rows

class Plot {
  static of(table) {
    const keys = table.fields.map((f, n) => n).filter((n) => table.fields[n][2] === "key");
    const xs = keys.filter((n) => table.numeric(n) && new Set(table.rows.map((row) => cellText(row, n))).size > 2);
    const groups = new Map();
    table.fields.forEach((f, n) => {
      if (f[2] !== "value" || !(f[3] || f[1] || /gof/i.test(f[0])) || !table.numeric(n)) return;
      const name = f[3] || f[0], key = `${name} ${f[1]}`;
      if (!groups.has(key)) groups.set(key, { name, unit: f[1], columns: [] });
      groups.get(key).columns.push(n);
    });
    return xs.length && groups.size ? new Plot(table, xs, [...groups.values()], keys.filter((n) => table.kept[n] && !xs.includes(n) && !table.numeric(n))) : null;
  }

  constructor(table, xs, groups, names) {
    Object.assign(this, { table, xs, groups, names, group: groups[0], hidden: new Set(), zoom: null, at: -1 });
    const voltage = xs.find((n) => /voltage|depth/.test(table.fields[n][0]));
    this.x = voltage === undefined || /step/.test(String(names.map((n) => table.fields[n][0]))) ? xs[0] : voltage;
    if (voltage !== undefined && this.monotonic(voltage)) this.x = voltage;
    this.kept = new Set(table.order);
    const id = `plot-${table.block.dataset.table}`;
    const choose = (label, list, now, pick) => (list.length < 2 ? [] : [el("label", { for: `${id}-${label}` }, label), el("select", { id: `${id}-${label}`, onchange: (event) => { pick(Number(event.target.value)); this.zoom = null; this.draw(); } }, ...list.map(([value, text]) => el("option", { value, selected: value === now }, text)))]);
    const heading = (n) => table.fields[n][0];
    this.reset = el("button", { type: "button", hidden: true, onclick: () => { this.zoom = null; this.draw(); } }, "Whole range");
    this.legend = el("div", { class: "legend", role: "group", "aria-label": "Series shown" });
    this.frame = el("div", { tabindex: "0", role: "group", "aria-label": `Plot: ${table.title}. Arrow keys go from point to point, Enter opens the record.`, onkeydown: (event) => this.key(event), onpointermove: (event) => this.hover(event), onpointerleave: () => tip(""), onpointerdown: (event) => this.drag(event), onblur: () => tip("") });
    this.element = el("div", { class: "plot" }, el("div", { class: "bar" }, ...choose("shows", groups.map((g, n) => [n, this.said(g)]), 0, (n) => { this.group = groups[n]; this.hidden.clear(); }), ...choose("against", xs.map((n) => [n, heading(n)]), this.x, (n) => { this.x = n; }), this.reset), this.legend, this.frame);
    new ResizeObserver(() => { if (this.frame.clientWidth !== this.width) this.draw(); }).observe(this.frame);
  }

  monotonic(n) {
    let last = -Infinity;
    return this.table.rows.every((row) => { const met = number(cellText(row, n)); const fine = !met || met.value >= last; last = met ? met.value : last; return fine; });
  }

  said(group) { const name = group.columns.length === 1 ? this.table.fields[group.columns[0]][0] : group.name.replace(/^[^.]*\./, "").replace(/_/g, " "); return group.unit ? `${name} / ${group.unit}` : name; }

  keep(order) { this.kept = new Set(order); this.draw(); }

  series() { // points by column and by the words that tell rows apart
    const found = new Map();
    this.table.rows.forEach((row, n) => {
      const x = number(cellText(row, this.x));
      if (!x || !this.kept.has(n)) return;
      const own = this.names.map((k) => cellText(row, k)).filter(Boolean).join(", ");
      for (const column of this.group.columns) {
        const text = cellText(row, column), y = number(text);
        if (!y || (this.zoom && (x.value < this.zoom[0] || x.value > this.zoom[1]))) continue;
        const head = this.table.fields[column][4] || (this.group.columns.length > 1 ? this.table.fields[column][0] : "");
        const name = [own, head].filter(Boolean).join(": ") || this.said(this.group);
        if (!found.has(name)) found.set(name, []);
        found.get(name).push({ x: x.value, y: y.value, sigma: y.sigma, limit: y.limit, text, row, name });
      }
    });
    return found;
  }

  draw() {
    this.width = this.frame.clientWidth;
    if (!this.width) return;
    const all = this.series(), names = [...all.keys()];
    const shown = names.filter((name) => !this.hidden.has(name));
    this.points = shown.flatMap((name) => all.get(name)).sort((a, b) => a.x - b.x);
    this.at = -1;
    this.reset.hidden = !this.zoom;
    this.legend.replaceChildren(...(names.length < 2 ? [] : names.map((name, n) => el("button", { type: "button", "aria-pressed": String(!this.hidden.has(name)), onclick: () => { this.hidden.has(name) ? this.hidden.delete(name) : this.hidden.add(name); this.draw(); this.legend.children[n].focus(); } }, el("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, el("path", { d: mark(7, 7, n, 4), fill: COLOURS[n % 8] })), name))));
    const w = this.width, h = Math.max(200, Math.min(340, w * 0.5)), left = 62, right = 12, top = 10, bottom = 42;
    const field = this.table.fields[this.x], xName = field[1] ? `${field[0]} / ${field[1]}` : field[0];
    const svg = el("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `${this.said(this.group)} against ${xName}, ${this.points.length} points` });
    this.frame.replaceChildren(svg);
    if (!this.points.length) { svg.append(el("text", { x: left, y: h / 2 }, "no points")); return; }
    const span = (lows, highs) => { const low = Math.min(...lows), high = Math.max(...highs), room = (high - low || Math.abs(high) || 1) * 0.05; return [low - room, high + room]; };
    const least = (f) => this.points.reduce((m, p) => Math.min(m, f(p)), Infinity), most = (f) => this.points.reduce((m, p) => Math.max(m, f(p)), -Infinity);
    // an error that dwarfs all values would hide them: it leaves the picture at twice their range
    const low = least((p) => p.y), high = most((p) => p.y), reach = 2 * (high - low) || Infinity;
    const [x0, x1] = this.zoom || span([least((p) => p.x)], [most((p) => p.x)]);
    const [y0, y1] = span([Math.max(low - reach, least((p) => p.y - p.sigma))], [Math.min(high + reach, most((p) => p.y + p.sigma))]);
    const X = (v) => left + ((v - x0) / (x1 - x0)) * (w - left - right), Y = (v) => h - bottom - ((v - y0) / (y1 - y0)) * (h - top - bottom);
    Object.assign(this, { X, Y, x0, x1, left, right, svg, h });
    axis(svg, ticks(x0, x1, w / 90), (v) => [X(v), h - bottom], 0, h - top - bottom);
    axis(svg, ticks(y0, y1, h / 50), (v) => [left, Y(v)], 1, w - left - right);
    svg.append(el("rect", { x: left, y: top, width: w - left - right, height: h - top - bottom, fill: "none", stroke: "#7d8590" }));
    svg.append(el("text", { x: (left + w - right) / 2, y: h - 6, "text-anchor": "middle" }, xName), el("text", { transform: `translate(13 ${(h - bottom + top) / 2}) rotate(-90)`, "text-anchor": "middle" }, this.said(this.group)));
    const clip = (y) => Math.max(top, Math.min(h - bottom, y));
    names.forEach((name, n) => {
      if (this.hidden.has(name)) return;
      const points = all.get(name), colour = COLOURS[n % 8];
      const bars = points.filter((p) => p.sigma > 0).map((p) => `M${X(p.x).toFixed(1)} ${clip(Y(p.y - p.sigma)).toFixed(1)}V${clip(Y(p.y + p.sigma)).toFixed(1)}`).join("");
      const downs = points.filter((p) => p.limit).map((p) => `M${X(p.x).toFixed(1)} ${Y(p.y).toFixed(1)}v${p.limit === "<" ? 9 : -9}m-3 ${p.limit === "<" ? -4 : 4}l3 ${p.limit === "<" ? 4 : -4} 3 ${p.limit === "<" ? -4 : 4}`).join("");
      if (bars) svg.append(el("path", { d: bars, stroke: colour, "stroke-width": 1.2, fill: "none" }));
      if (downs) svg.append(el("path", { d: downs, stroke: colour, fill: "none" }));
      const marks = points.filter((p) => !p.limit).map((p) => mark(X(p.x), Y(p.y), n, points.length > 400 ? 1.8 : 3.2)).join("");
      if (marks) svg.append(el("path", { d: marks, fill: colour, class: "marks" }));
    });
    this.ring = el("circle", { r: 7, fill: "none", stroke: "#1b1f24", "stroke-width": 2, visibility: "hidden" });
    svg.append(this.ring);
  }

  point(n, where) { // show one point, and what it says
    const p = this.points[n];
    this.at = n;
    this.ring.setAttribute("cx", this.X(p.x));
    this.ring.setAttribute("cy", this.Y(p.y));
    this.ring.setAttribute("visibility", "visible");
    const field = this.table.fields[this.x], record = p.row[0] === null ? "" : `\nrecord ${D.records[p.row[0]][0].slice(0, 8)}`;
    const box = this.svg.getBoundingClientRect(), scale = box.width / this.width;
    const [left, top] = where || [box.left + this.X(p.x) * scale, box.top + this.Y(p.y) * scale];
    tip(`${p.name}\n${p.text} ${this.group.unit} at ${field[0]} ${cellText(p.row, this.x)} ${field[1]}${record}`, left, top);
  }

  nearest(event) {
    if (!this.points || !this.points.length) return -1;
    const box = this.svg.getBoundingClientRect(), scale = this.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = -1, distance = NEAR * NEAR;
    this.points.forEach((p, n) => {
      const d = (this.X(p.x) - x) ** 2 + (this.Y(p.y) - y) ** 2;
      if (d < distance) { distance = d; best = n; }
    });
    return best;
  }

  hover(event) {
    const n = this.nearest(event);
    if (n < 0) { if (this.ring) this.ring.setAttribute("visibility", "hidden"); tip(""); } else this.point(n, [event.clientX, event.clientY]);
  }

  key(event) {
    if (!this.points || !this.points.length) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); this.point((this.at + step + this.points.length) % this.points.length); }
    if (event.key === "Enter" && this.at >= 0) this.go(this.at);
  }

  go(n) { const place = this.points[n].row[0]; if (place !== null) location.hash = `r-${D.records[place][0].slice(0, 16)}`; }

  drag(event) { // across: a narrower range; without moving: the record of the point
    if (!this.points || !this.points.length) return;
    band(this, event, 10, this.h - 52, (e) => { const n = this.nearest(e); if (n >= 0) this.go(n); });
  }
}

// --- curves: a level of a series with its fit, the residual below

class Curves {
  constructor(block) {
    this.data = D.curves[Number(block.dataset.curve)];
    this.level = this.data.levels.length - 1;
    this.zoom = null;
    this.hidden = new Set();
    const id = `level-${block.dataset.curve}`, [name, unit] = this.data.level;
    const choose = el("select", { id, onchange: (event) => { this.level = Number(event.target.value); this.draw(); } }, ...this.data.levels.map((level, n) => el("option", { value: n, selected: n === this.level }, `${level[0]} ${unit === "1" ? "" : unit}`)));
    this.reset = el("button", { type: "button", hidden: true, onclick: () => { this.zoom = null; this.draw(); } }, "Whole range");
    this.legend = el("div", { class: "legend", role: "group", "aria-label": "Curves shown" });
    this.frame = el("div", { tabindex: "0", role: "group", "aria-label": `Fit: ${block.querySelector("h3").textContent}. Arrow keys go from point to point.`, onkeydown: (event) => this.key(event), onpointermove: (event) => this.hover(event), onpointerleave: () => tip(""), onpointerdown: (event) => this.drag(event), onblur: () => tip("") });
    block.querySelector(".here").append(el("div", { class: "plot" }, el("div", { class: "bar" }, el("label", { for: id }, name), choose, this.reset), this.legend, this.frame), ...(this.data.map ? [new Contour(this.data).element] : []));
    new ResizeObserver(() => { if (this.frame.clientWidth !== this.width) this.draw(); }).observe(this.frame);
  }

  draw() {
    this.width = this.frame.clientWidth;
    if (!this.width) return;
    const { data } = this, level = data.levels[this.level], w = this.width, h = Math.max(260, Math.min(420, w * 0.55)), left = 62, right = 12, split = h * 0.72;
    const down = data.axis[0] === "binding energy";
    const [x0, x1] = this.zoom || [Math.min(...data.x), Math.max(...data.x)];
    const X = (v) => { const part = (v - x0) / (x1 - x0); return left + (down ? 1 - part : part) * (w - left - right); };
    const inside = data.x.map((x, n) => n).filter((n) => data.x[n] >= x0 && data.x[n] <= x1);
    const curves = [["measured", 1], ["fit", 2], ["background", 3], ...data.parts.map((part, n) => [part, 5 + n])];
    let low = Infinity, high = -Infinity;
    for (const n of inside) for (const k of [1, 2, 3]) { const v = level[k][n]; if (v !== null) { low = Math.min(low, v); high = Math.max(high, v); } }
    const room = (high - low || 1) * 0.05, y0 = (low - room) * data.step, y1 = (high + room) * data.step;
    const Y = (v) => split - 8 - ((v - y0) / (y1 - y0)) * (split - 18);
    const residual = inside.map((n) => level[4][n]).filter((v) => v !== null).map((v) => Math.abs(v) / 10), reach = Math.max(4, residual.reduce((a, b) => Math.max(a, b), 0));
    const R = (v) => (h - 42 + split) / 2 - (v / reach) * ((h - 42 - split) / 2 - 2);
    Object.assign(this, { X, Y, x0, x1, left, right, inside, h, down });
    this.reset.hidden = !this.zoom;
    const svg = el("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `${data.title}, ${data.level[0]} ${level[0]}: measured and fitted` });
    this.svg = svg;
    this.frame.replaceChildren(svg);
    axis(svg, ticks(x0, x1, w / 90), (v) => [X(v), h - 42], 0, h - 52);
    axis(svg, ticks(y0, y1, split / 50), (v) => [left, Y(v)], 1, w - left - right);
    axis(svg, [[-reach, `−${Math.round(reach)}`], [0, "0"], [reach, `${Math.round(reach)}`]].slice(1), (v) => [left, R(v)], 1, w - left - right);
    const unit = data.axis[1] === "1" ? "" : ` / ${data.axis[1]}`;
    svg.append(el("rect", { x: left, y: 10, width: w - left - right, height: split - 18, fill: "none", stroke: "#7d8590" }), el("rect", { x: left, y: split, width: w - left - right, height: h - 42 - split, fill: "none", stroke: "#7d8590" }));
    svg.append(el("text", { x: (left + w - right) / 2, y: h - 6, "text-anchor": "middle" }, `${data.axis[0]}${unit}`), el("text", { transform: `translate(13 ${split / 2}) rotate(-90)`, "text-anchor": "middle" }, data.unit), el("text", { transform: `translate(13 ${(h - 42 + split) / 2}) rotate(-90)`, "text-anchor": "middle" }, "σ"));
    const line = (values, at) => { let pen = "M"; return inside.map((n) => { if (values[n] === null) { pen = "M"; return ""; } const step = `${pen}${X(data.x[n]).toFixed(1)} ${at(values[n]).toFixed(1)}`; pen = "L"; return step; }).join(""); };
    const colour = (k) => (k === 1 ? "#1b1f24" : k === 2 ? "#b0413e" : k === 3 ? "#5a5a5a" : COLOURS[(k - 5) % 8]);
    for (const [name, k] of curves) {
      if (this.hidden.has(name)) continue;
      const values = k > 4 ? level[k].map((v, n) => (v === null || level[3][n] === null ? null : v + level[3][n])) : level[k];
      if (k === 1) svg.append(el("path", { class: "marks", fill: colour(k), d: inside.filter((n) => values[n] !== null).map((n) => mark(X(data.x[n]), Y(values[n] * data.step), 0, inside.length > 400 ? 1 : 1.7)).join("") }));
      else svg.append(el("path", { d: line(values, (v) => Y(v * data.step)), fill: "none", stroke: colour(k), "stroke-width": k === 2 ? 1.6 : 1.2 }));
    }
    svg.append(el("path", { d: line(level[4], (v) => R(v / 10)), fill: "none", stroke: "#30363d" }));
    this.legend.replaceChildren(...curves.map(([name, k], n) => el("button", { type: "button", "aria-pressed": String(!this.hidden.has(name)), onclick: () => { this.hidden.has(name) ? this.hidden.delete(name) : this.hidden.add(name); this.draw(); this.legend.children[n].focus(); } }, el("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, el("path", { d: k === 1 ? mark(7, 7, 0, 4) : "M0 5.5h14v3h-14z", fill: colour(k) })), name)));
    this.ring = el("circle", { r: 6, fill: "none", stroke: "#1b1f24", "stroke-width": 2, visibility: "hidden" });
    svg.append(this.ring);
  }

  point(n, where) {
    const { data } = this, level = data.levels[this.level];
    this.at = n;
    if (level[1][n] === null) return;
    const x = this.X(data.x[n]), y = this.Y(level[1][n] * data.step);
    this.ring.setAttribute("cx", x); this.ring.setAttribute("cy", y); this.ring.setAttribute("visibility", "visible");
    const said = (k) => Number((level[k][n] * data.step).toPrecision(5)), box = this.svg.getBoundingClientRect();
    tip(`${data.axis[0]} ${data.x[n]} ${data.axis[1]}\nmeasured ${said(1)}, fit ${said(2)} ${data.unit}\nresidual ${level[4][n] === null ? "–" : level[4][n] / 10} σ`, ...(where || [box.left + x, box.top + y]));
  }

  hover(event) {
    if (!this.inside || !this.inside.length) return;
    const x = ((event.clientX - this.svg.getBoundingClientRect().left) / this.svg.getBoundingClientRect().width) * this.width;
    this.point(this.inside.reduce((best, n) => (Math.abs(this.X(this.data.x[n]) - x) < Math.abs(this.X(this.data.x[best]) - x) ? n : best), this.inside[0]), [event.clientX, event.clientY]);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !this.inside) return;
    event.preventDefault();
    const rising = (this.data.x[1] > this.data.x[0]) !== this.down, at = this.inside.indexOf(this.at);
    this.point(this.inside[(at + (rising ? step : -step) + this.inside.length) % this.inside.length]);
  }

  drag(event) { band(this, event, 10, this.h - 52, () => {}); }
}

// --- all levels of a series as shades, the first one below

class Contour {
  constructor(data) {
    this.data = data;
    this.shades = Uint8Array.from(atob(data.map.shades), (c) => c.charCodeAt(0));
    this.element = el("div", { class: "plot", onpointermove: (event) => this.hover(event), onpointerleave: () => tip("") });
    new ResizeObserver(() => { if (this.element.clientWidth !== this.width) this.draw(); }).observe(this.element);
  }

  draw() {
    this.width = this.element.clientWidth;
    if (!this.width) return;
    const { data } = this, { levels, span, columns } = data.map, rows = levels.length, w = this.width, left = 62, right = 12, top = 6;
    const inner = w - left - right, height = Math.max(150, Math.min(300, 4 * rows)), h = height + top + 42, down = data.axis[0] === "binding energy";
    const X = (v) => { const part = (v - span[0]) / (span[1] - span[0] || 1); return left + (down ? 1 - part : part) * inner; };
    const Y = (row) => top + height * (1 - (row + 0.5) / rows);
    const said = `${data.title}: intensity of ${rows} levels as shades, dark where it is high, by its square root`;
    const svg = el("svg", { viewBox: `0 0 ${w} ${h}`, "aria-hidden": "true" }), canvas = el("canvas", { width: columns, height: rows, role: "img", "aria-label": said });
    Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${inner}px`, height: `${height}px` });
    this.element.replaceChildren(canvas, svg);
    const image = new ImageData(columns, rows);
    this.shades.forEach((shade, n) => {
      const row = rows - 1 - Math.floor(n / columns), column = n % columns, at = 4 * (row * columns + (down ? columns - 1 - column : column)), part = shade / 255;
      if (shade) image.data.set([255 * (1 - part), 255 - 190 * part, 255 - 140 * part, 255], at);
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
    axis(svg, ticks(...span, w / 90), (v) => [X(v), top + height], 0, 0);
    const every = Math.ceil(rows / (height / 34));
    axis(svg, levels.map((v, row) => [row, String(Number(v.toPrecision(4)))]).filter((_, row) => row % every === 0), (row) => [left, Y(row)], 1, 0);
    const named = ([name, unit]) => (unit === "1" || !unit ? name : `${name} / ${unit}`);
    svg.append(el("rect", { x: left, y: top, width: inner, height, fill: "none", stroke: "#7d8590" }), el("text", { x: left + inner / 2, y: h - 6, "text-anchor": "middle" }, named(data.axis)), el("text", { transform: `translate(13 ${top + height / 2}) rotate(-90)`, "text-anchor": "middle" }, named(data.level)));
    Object.assign(this, { back: (x) => { const part = (x - left) / inner; return span[0] + (down ? 1 - part : part) * (span[1] - span[0]); }, row: (y) => Math.floor((1 - (y - top) / height) * rows) });
  }

  hover(event) {
    const box = this.element.getBoundingClientRect(), x = this.back(event.clientX - box.left), level = this.data.map.levels[this.row(event.clientY - box.top)], { span } = this.data.map;
    tip(level === undefined || x < span[0] || x > span[1] ? "" : `${this.data.axis[0]} ${x.toPrecision(5)} ${this.data.axis[1]}\n${this.data.level[0]} ${level} ${this.data.level[1] === "1" ? "" : this.data.level[1]}`, event.clientX, event.clientY);
  }
}

function band(plot, event, top, height, still) { // a range across a plot; or a click, where the pointer does not move
  if (event.button) return;
  const box = plot.svg.getBoundingClientRect(), scale = plot.width / box.width, start = (event.clientX - box.left) * scale;
  const mark = el("rect", { y: top, height, fill: "#0969da", opacity: 0.15 });
  plot.svg.append(mark);
  const at = (e) => Math.max(plot.left, Math.min(plot.width - plot.right, (e.clientX - box.left) * scale));
  const move = (e) => { mark.setAttribute("x", Math.min(start, at(e))); mark.setAttribute("width", Math.abs(at(e) - start)); };
  const end = (e) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    mark.remove();
    if (Math.abs(at(e) - start) <= 12) { still(e); return; }
    const back = (x) => { const part = (x - plot.left) / (plot.width - plot.left - plot.right); return plot.x0 + (plot.down ? 1 - part : part) * (plot.x1 - plot.x0); };
    plot.zoom = [back(start), back(at(e))].sort((a, b) => a - b);
    plot.draw();
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
}

function mark(x, y, n, r) {
  const [a, b] = [x.toFixed(1), y.toFixed(1)];
  return [
    `M${(x - r).toFixed(1)} ${b}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
    `M${(x - r).toFixed(1)} ${(y - r).toFixed(1)}h${2 * r}v${2 * r}h${-2 * r}z`,
    `M${a} ${(y - 1.3 * r).toFixed(1)}l${1.2 * r} ${2.2 * r}h${-2.4 * r}z`,
    `M${a} ${(y - 1.4 * r).toFixed(1)}l${1.4 * r} ${1.4 * r} ${-1.4 * r} ${1.4 * r} ${-1.4 * r} ${-1.4 * r}z`,
  ][Math.floor(n / 2) % 4 === 0 ? n % 4 : (n + Math.floor(n / 8)) % 4];
}

function ticks(low, high, most) {
  const rough = (high - low) / Math.max(2, most), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((k) => k * power >= rough) * power, found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) found.push(k * step);
  return found.map((v) => [v, Number(v.toPrecision(10)).toString()]);
}

function axis(svg, list, at, upright, length) {
  for (const [value, text] of list) {
    const [x, y] = at(value);
    svg.append(el("line", upright ? { x1: x, x2: x + length, y1: y, y2: y, stroke: "#eaeef2" } : { x1: x, x2: x, y1: y, y2: y - length, stroke: "#eaeef2" }));
    svg.append(el("text", upright ? { x: x - 6, y: y + 4, "text-anchor": "end" } : { x, y: y + 16, "text-anchor": "middle" }, text));
  }
}

function tip(text, x = 0, y = 0) {
  const box = byId("tip");
  if (box.textContent !== text) box.textContent = text;
  if (!text) return;
  box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${y + 18 + box.offsetHeight > innerHeight ? Math.max(4, y - box.offsetHeight - 14) : y + 18}px`;
}

// --- one record

function list(pairs) { return el("dl", {}, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), value instanceof Node ? el("dd", {}, value) : el("dd", {}, String(value))])); }

function plain(label, heads, rows) {
  return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", { class: typeof cell === "string" && number(cell) ? "num" : null }, cell)))))));
}

function showRecord(place) {
  const r = D.records[place], box = byId("record"), short = (n) => D.records[n][0].slice(0, 16);
  const quantities = Array.from({ length: r[5].length / 2 }, (_, k) => quantity(r, k));
  const quality = D.quality.map((name, n) => [name.replace(/_/g, " "), r[8][n]]).filter(([, v]) => v !== null && v !== undefined);
  const file = D.folder === null ? null : `${D.folder}records/${r[0]}.json`;
  const parts = [
    el("h2", { id: "record-title" }, `${stateOf(r)[0][1]}: ${word(r[2])}`),
    list([["record", file ? el("a", { href: file, class: "hash" }, r[0]) : el("span", { class: "hash" }, r[0])], ["status", el("span", { class: `state ${word(r[3])}` }, word(r[3]))], ...stateOf(r), ["software", word(r[13])]]),
  ];
  if (r[12].length) parts.push(el("p", { class: "warn" }, `${r[12][2] ? `${r[12][2]}: ` : ""}${r[12][1]}${r[12][3] ? ` (${r[12][3]})` : ""}`));
  for (const f of r[6]) {
    const [says, todo, severity] = D.advice[D.flags[f].split(":")[0]];
    parts.push(el("div", { class: `notice ${severity}` }, el("p", {}, el("strong", {}, D.flags[f]), ` ${says}`), todo ? el("p", {}, `To do: ${todo}.`) : ""));
  }
  if (quantities.length) parts.push(el("h3", {}, "Quantities"), plain("Quantities", ["quantity", "of", "value", "unit", "role", "error from", "parts of the error", "also known"], quantities.map((q) => [el("abbr", { title: D.meanings[q.name] || q.name }, q.name), q.component, q.text, q.unit, q.role, q.kind === "none" ? "" : q.kind, q.parts.map(([p, v]) => `${p.replace(/_/g, " ")} ${v}`).join(", "), q.more])));
  if (quality.length) parts.push(el("h3", {}, "Quality of the fit"), list(quality));
  if (r[11].length) parts.push(el("h3", {}, "Models compared"), plain("Models compared", ["model", "question", "BIC above the best", "probability", "chosen"], r[11].map((a) => [word(a[0]), word(a[1]), a[2] === null ? "" : String(a[2]), a[3] === null ? "" : String(a[3]), a[4] ? "yes" : ""])));
  const inputs = Array.from({ length: r[7].length / 2 }, (_, k) => [...D.files[r[7][2 * k]], r[7][2 * k + 1]]);
  if (inputs.length) parts.push(el("h3", {}, "Input files"), plain("Input files", ["file", "part", "SHA-256", "bytes", "reader"], inputs.map(([path, sha, size, reader, selector]) => [path, selector, el("span", { class: "hash" }, sha), String(size), reader])));
  if (r[10].length) parts.push(el("h3", {}, "Derived from"), el("p", {}, ...r[10].flatMap((n, k) => [k ? ", " : "", el("a", { href: `#r-${short(n)}` }, `${word(D.records[n][2])} ${short(n).slice(0, 8)}`)])));
  if (r[9].length) parts.push(el("h3", {}, "Notes"), el("ul", {}, ...r[9].map((n) => el("li", {}, word(n)))));
  parts.push(el("p", {}, el("button", { type: "button", onclick: () => box.close() }, "Close")));
  box.replaceChildren(...parts);
  if (!box.open) box.showModal();
  box.scrollTop = 0;
}

function follow() { // the part of the address after # names a record, or a part of the page
  const found = /^#r-([0-9a-f]{8,64})$/.exec(location.hash);
  if (!found) { if (byId("record").open) byId("record").close(); return; }
  const place = D.records.findIndex((record) => record[0].startsWith(found[1]));
  if (place >= 0) showRecord(place);
}

// --- the page: a table is made when it is opened and near

const made = new WeakSet();
function make(block) { if (!made.has(block) && block.open) { made.add(block); if (block.dataset.table) new Table(block); else new Curves(block); } }
const blocks = [...document.querySelectorAll("details.block")];
const near = new IntersectionObserver((entries) => { for (const entry of entries) if (entry.isIntersecting && entry.target.open) { near.unobserve(entry.target); make(entry.target); } }, { rootMargin: "400px" });
for (const block of blocks) { near.observe(block); block.addEventListener("toggle", () => make(block)); }
addEventListener("beforeprint", () => blocks.forEach(make));
for (const button of document.querySelectorAll("button[data-file]")) button.addEventListener("click", () => hand(...D.texts.find(([name]) => name === button.dataset.file)));
byId("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const block of blocks) {
    const title = block.querySelector("h3").textContent.toLowerCase();
    block.hidden = !words.every((w) => title.includes(w));
    left += block.hidden ? 0 : 1;
  }
  byId("found").textContent = words.length ? `${left} of ${blocks.length} tables` : "";
});
byId("record").addEventListener("close", () => { if (location.hash.startsWith("#r-")) history.replaceState(null, "", location.pathname + location.search); });
addEventListener("hashchange", follow);
follow();
document.documentElement.dataset.ready = "yes";
})();
