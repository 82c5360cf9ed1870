"use strict";
// What Python measured, in the element #data, is shown here. Text goes in as text, never as HTML:
// a layer may be called <script>.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const state = { layer: 0, image: 0, way: "forward", at: null, timer: null };

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const whole = (n) => n.toLocaleString("en");
const size = (shape) => shape.join("×");

function number(v) {
  if (v === 0) return "0";
  const a = Math.abs(v);
  return (a >= 1e4 || a < 1e-3 ? v.toExponential(1) : v.toFixed(a >= 100 ? 0 : a >= 10 ? 1 : 3))
    .replaceAll("-", "−");
}

function time(seconds) {
  return seconds >= 1 ? seconds.toFixed(2) + " s"
    : seconds >= 1e-3 ? (seconds * 1e3).toFixed(1) + " ms" : (seconds * 1e6).toFixed(0) + " µs";
}

// Blue below 0, white at 0, red above: the palette of pictures.py.
function shade(v, scale) {
  const t = scale ? Math.min(1, Math.abs(v) / scale) : 0;
  const end = v < 0 ? [12, 74, 140] : [158, 20, 34];
  return end.map((e) => Math.round(255 + t * (e - 255)));
}

const css = (rgb) => `rgb(${rgb.join(",")})`;

// ── choosing a layer ──────────────────────────────────────────────────────────────────

const boxes = new Map();            // number of the layer → its boxes in the drawing

function setUp() {
  $("title").textContent = data.title;
  $("totals").textContent = `${size(data.shape)} pictures · ${whole(data.params)} parameters · ` +
    `${whole(data.macs)} multiply-accumulates a picture`;
  $("note").hidden = !data.note;
  $("note").textContent = data.note;

  const numbers = new Map(data.layers.map((layer, n) => [layer.name, n]));
  data.layers.forEach((layer, n) => {
    const depth = layer.name ? layer.name.split(".").length : 0;
    $("layer").append(element("option", "\u00a0\u00a0".repeat(depth) +
      `${layer.name || "the network"} · ${layer.kind}`, { value: n }));
  });
  for (const box of $("drawing").querySelectorAll("[data-name]")) {
    const name = box.getAttribute("data-name"), n = numbers.get(name);
    if (n === undefined || (!name && box.tagName !== "BUTTON")) continue;  // an addition, say
    if (!boxes.has(n)) boxes.set(n, []);
    boxes.get(n).push(box);
    box.setAttribute("tabindex", "0");
    if (box.tagName !== "BUTTON") box.setAttribute("role", "button");
    box.addEventListener("click", (event) => {
      event.stopPropagation();              // a box may lie in the box of its block
      choose(n, true);
    });
    box.addEventListener("keydown", (event) => {
      if (event.target === box && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        choose(n, false);
      }
    });
  }
  $("layer").addEventListener("change", () => choose(Number($("layer").value), false));
  $("previous").addEventListener("click", () => choose(state.layer - 1, false));
  $("next").addEventListener("click", () => choose(state.layer + 1, false));

  data.images.forEach((image, n) => {
    const label = element("label");
    const radio = element("input", "", { type: "radio", name: "image", value: n });
    radio.checked = n === 0;
    radio.addEventListener("change", () => { state.image = n; show(); });
    label.append(radio, element("img", "", { src: image.png, alt: `picture ${n + 1}` }),
      element("span", [image.label && `is ${image.label}`, image.answers.length &&
        `network says ${image.answers.join(", ")}`].filter(Boolean).join("; ") ||
        `picture ${n + 1}`));
    $("images").append(label);
  });

  $("play").addEventListener("click", () => (state.timer ? stop() : play()));
  $("position").addEventListener("input", () => { stop(); moveTo(Number($("position").value)); });
  $("position").addEventListener("keydown", arrows);
  for (const radio of document.querySelectorAll("input[name=way]"))
    radio.addEventListener("change", () => {
      stop();
      state.way = radio.value;
      state.at = null;
      showWindow();
    });
  $("input").addEventListener("click", (event) => clicked(event, "backward"));
  $("output").addEventListener("click", (event) => clicked(event, "forward"));

  const first = data.layers.findIndex((layer) => layer.window);
  choose(Math.max(0, first), false);
}

function choose(n, byPointer) {
  stop();
  state.layer = Math.min(Math.max(n, 0), data.layers.length - 1);
  state.at = null;
  $("layer").value = state.layer;
  $("previous").disabled = state.layer === 0;
  $("next").disabled = state.layer === data.layers.length - 1;
  mark();
  show();
  if (byPointer && window.innerWidth < 900) $("name").scrollIntoView();
}

// Mark its box in the drawing, or else the box of the block around it, and bring it into view.
function mark() {
  let name = data.layers[state.layer].name, around = state.layer;
  while (name && !boxes.has(around)) {
    name = name.split(".").slice(0, -1).join(".");
    around = data.layers.findIndex((layer) => layer.name === name);
  }
  for (const [n, some] of boxes)
    for (const box of some) {
      box.setAttribute("aria-pressed", n === state.layer);
      box.classList.toggle("around", n === around && n !== state.layer);
    }
  const box = boxes.get(around)?.[0], room = $("drawing");
  if (!box) return;
  const at = box.getBoundingClientRect(), edge = room.getBoundingClientRect();
  if (at.top < edge.top || at.bottom > edge.bottom) room.scrollTop += at.top - edge.top - 60;
  if (at.left < edge.left || at.right > edge.right)
    room.scrollLeft += at.left + at.width / 2 - edge.left - edge.width / 2;
}

// ── what is said of it ────────────────────────────────────────────────────────────────

function show() {
  const layer = data.layers[state.layer];
  const about = data.classes[layer.class];
  $("name").textContent = layer.name || "the network";
  $("kind").textContent = layer.repr;
  showFacts(layer);
  showMaps(layer);
  $("filters-section").hidden = !layer.filters;
  $("filters").replaceChildren();
  if (layer.filters) $("filters").append(...sheet(layer.filters, layer.filters.said));
  showGradients(layer);
  showWindow();
  $("file").textContent = about.file ? `${about.name}, in ${about.file}` : about.name;
  $("formula").textContent = about.formula || "Its file says nothing.";
  for (const way of ["forward", "backward"]) {
    $(`${way}-source`).hidden = !about[way];
    $(`${way}-source`).querySelector("pre").textContent = about[way];
  }
}

function showFacts(layer) {
  const facts = [];
  if (layer.out) {
    facts.push(["goes in", layer.in.map(size).join(" and ")], ["comes out", size(layer.out)]);
  } else facts.push(["runs", "in training only"]);
  if (layer.runs > 1) facts.push(["runs", `${layer.runs} times in one forward; shown: the first`]);
  const plain = layer.sum === String(layer.params);
  facts.push(["parameters", layer.params && !plain && layer.inner
    ? `${layer.sum} = ${whole(layer.params)}`
    : whole(layer.params) + (layer.inner || !layer.params ? "" : `, ${layer.sum}`)]);
  facts.push(["multiply-accumulates", whole(layer.macs)]);
  if (layer.field)
    facts.push(["has seen", `${layer.field} pixels of the picture (its padding counts)`]);
  if (layer.times) {
    const [there, back] = layer.times;
    facts.push(["time", `${time(there)} forwards` + (back === null ? "" :
      `, ${time(back)} backwards`) + ` (${data.batch.count} pictures, in training)`]);
  }
  $("facts").replaceChildren(...facts.flatMap(([term, said]) =>
    [element("dt", term), element("dd", said)]));
}

function showMaps(layer) {
  $("maps-section").hidden = !layer.maps;
  $("maps").replaceChildren();
  if (!layer.maps) return;
  const one = layer.maps.sheets[state.image];
  const dead = one.dead ? `; ${one.dead} of all ${layer.out[0]} are 0 everywhere` : "";
  $("maps").append(...sheet(one, layer.maps.said + dead));
}

function sheet(one, said) {
  const image = element("img", "", { src: one.png, alt: said, class: "sheet" });
  const times = Math.max(1, Math.min(10, Math.floor(660 / one.width)));
  image.style.maxWidth = `${one.width * times}px`;
  const parts = [element("p", said + ".", { class: "small" }), image];
  if (one.scale !== null) {
    const scale = element("div", "", { class: "scale" });
    scale.append(element("span", number(-one.scale)), element("i"),
      element("span", number(one.scale)));
    parts.push(scale);
  } else image.style.background = "var(--paper)";       // in colour, where grey is a number
  return parts;
}

function showGradients(layer) {
  const here = $("gradients");
  here.replaceChildren();
  if (data.batch.problem) {
    here.append(element("p", `None: ${data.batch.problem}.`));
    return;
  }
  if (!layer.gradients) {
    here.append(element("p", "No gradient came to this layer."));
    return;
  }
  here.append(element("p", `One batch of ${data.batch.count} pictures` + (data.batch.loss === null
    ? "." : `, loss ${data.batch.loss.toFixed(3)}.`) +
    " How large are the numbers? A bar counts those of one size, half a power of ten.",
  { class: "small" }));
  here.append(histogram("dy, what came back to it", layer.gradients.dy));
  for (const [name, one] of Object.entries(layer.gradients.parameters))
    here.append(histogram(`gradient of ${name}`, one));
}

function histogram(title, one) {
  const made = element("div", "", { class: "histogram" });
  let said = `${title}: RMS ${one.rms === null ? "not finite" : number(one.rms)}`;
  if (one.value) said += `, ${number(one.rms / one.value)} times that of its values`;
  if (one.zeros) said += `, ${(100 * one.zeros).toFixed(0)} % are 0`;
  if (one.bad) said += `, ${(100 * one.bad).toFixed(0)} % are not finite`;
  const bars = element("div", "", { class: "bars", role: "img",
    "aria-label": said + ", of " + whole(one.count) + " numbers" });
  const most = Math.max(1, ...one.bins);
  for (const count of one.bins) {
    const bar = element("i", "", { title: whole(count) });
    bar.style.height = `${(100 * count) / most}%`;
    bars.append(bar);
  }
  const axis = element("div", "", { class: "axis", "aria-hidden": "true" });
  for (const power of ["10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1", "10²"])
    axis.append(element("span", power));
  made.append(element("p", said), bars, axis);
  return made;
}

// ── the window ────────────────────────────────────────────────────────────────────────

const floats = (text) => {          // base64 of little-endian float32
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
};

// A block of a map, asked by the coordinates of the whole map; undefined outside the block.
function block(text, rows, columns) {
  const values = floats(text), width = columns[1] - columns[0];
  const scale = values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return { rows, columns, scale, at: (r, q) =>
    r < rows[0] || r >= rows[1] || q < columns[0] || q >= columns[1] ? undefined
      : values[(r - rows[0]) * width + q - columns[0]] };
}

let sight = null;                   // the numbers under the window, for this layer and picture

function showWindow() {
  const w = data.layers[state.layer].window;
  $("window-section").hidden = !w;
  sight = null;
  if (!w) return;
  const n = state.image;
  const backwards = w.dy[n] !== null;
  const radio = document.querySelector("input[value=backward]");
  radio.disabled = !backwards;
  if (!backwards) {
    state.way = "forward";
    document.querySelector("input[value=forward]").checked = true;
  }
  sight = { w, x: block(w.x[n], w.rows, w.columns), y: block(w.y[n], w.outRows, w.outColumns),
    dy: backwards ? block(w.dy[n], w.outRows, w.outColumns) : null,
    dx: backwards ? block(w.dx[n], w.rows, w.columns) : null,
    weights: w.w ? floats(w.w) : null };
  // Where the window can stand: forwards the outputs of the block, backwards the pixels all of
  // whose outputs are in the block.
  sight.steps = state.way === "forward"
    ? [range(...w.outRows), range(...w.outColumns)]
    : [0, 1].map((axis) => range(...[w.rows, w.columns][axis]).filter((r) => {
      const outs = [w.outRows, w.outColumns][axis];
      return taps(w, axis, r).every(([i]) => i >= outs[0] && i < outs[1]);
    }));
  const count = sight.steps[0].length * sight.steps[1].length;
  $("position").max = count - 1;
  const part = w.rows[1] - w.rows[0] < w.size[0] || w.columns[1] - w.columns[0] < w.size[1];
  const cut = part ? ", a part from the middle" : "";
  const [inside, outside] = state.way === "forward" ? ["x", "y"] : ["dx", "dy"];
  $("input-caption").textContent = `${inside}: map ${w.c} of what goes in, ${size(w.size)}${cut}`;
  $("output-caption").textContent = `${outside}: map ${w.o} of what comes out, ${size(w.out)}${cut}`;
  const middle = sight.steps.map((some) => Math.floor(some.length / 2));
  moveTo(state.at ?? middle[0] * sight.steps[1].length + middle[1]);
}

const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

// Along one axis: the outputs i, each with its tap u, that look at pixel r: i·s + u·d − p = r.
function taps(w, axis, r) {
  const found = [];
  for (let u = 0; u < w.kernel[axis]; u++) {
    const start = r + w.padding[axis] - u * w.dilation[axis];
    const i = start / w.stride[axis];
    if (Number.isInteger(i) && i >= 0 && i < w.out[axis]) found.push([i, u]);
  }
  return found;
}

function moveTo(at) {
  const columns = sight.steps[1].length;
  state.at = at;
  const place = [sight.steps[0][Math.floor(at / columns)], sight.steps[1][at % columns]];
  $("position").value = at;
  const spelled = `${state.way === "forward" ? "output" : "pixel"} ${place.join(", ")}`;
  $("place").textContent = spelled;
  $("position").setAttribute("aria-valuetext", spelled);
  $("sum").setAttribute("aria-live", state.timer ? "off" : "polite");
  state.way === "forward" ? forwards(...place) : backwards(...place);
}

function arrows(event) {
  const columns = sight.steps[1].length, count = columns * sight.steps[0].length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (!step) return;
  event.preventDefault();
  stop();
  if (state.at + step >= 0 && state.at + step < count) moveTo(state.at + step);
}

function play() {
  $("play").textContent = "❚❚ pause";
  const count = sight.steps[0].length * sight.steps[1].length;
  state.timer = setInterval(() => moveTo((state.at + 1) % count), Math.max(60, 400 - count));
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  $("play").textContent = "▶ play";
  $("sum").setAttribute("aria-live", "polite");
}

function clicked(event, way) {
  if (!sight || way !== state.way) return;
  const canvas = event.currentTarget, box = canvas.getBoundingClientRect();
  const { from, cell } = canvas.grid;
  const zoom = canvas.width / box.width;
  const place = [event.clientY - box.top, event.clientX - box.left]
    .map((v, axis) => Math.floor((v * zoom) / cell) + from[axis]);
  const [row, column] = place.map((v, axis) => sight.steps[axis].indexOf(v));
  if (row < 0 || column < 0) return;
  stop();
  moveTo(row * sight.steps[1].length + column);
}

// Forwards: the pixels r = i·s + u·d − p, times the weights, make y[i, j].
function forwards(i, j) {
  const { w, x, y, weights } = sight;
  const cells = [];
  for (let u = 0; u < w.kernel[0]; u++)
    for (let v = 0; v < w.kernel[1]; v++) {
      const r = i * w.stride[0] + u * w.dilation[0] - w.padding[0];
      const q = j * w.stride[1] + v * w.dilation[1] - w.padding[1];
      cells.push({ r, q, u, v, x: x.at(r, q), w: weights && weights[u * w.kernel[1] + v] });
    }
  const real = cells.filter((c) => c.x !== undefined);
  const winner = real.reduce((best, c) => (best && best.x >= c.x ? best : c), null);
  paint($("input"), x, cells.map((c) => [c.r, c.q]), true, w);
  paint($("output"), y, [[i, j]], false, w);
  const said = [];
  const tables = [grid(cells, w, (c) => c.x, x.scale, "x under the window",
    w.kind === "max" ? winner : null)];
  if (w.kind === "conv") {
    const own = real.reduce((sum, c) => sum + c.w * c.x, 0);
    const scale = weights.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    tables.push("·", grid(cells, w, (c) => c.w, scale, "w"), "=",
      grid(cells, w, (c) => (c.x === undefined ? 0 : c.x * c.w), x.scale * scale, "w·x"));
    said.push(`Σ w·x = ${number(own)} from this map.`);
    const rest = [];
    if (w.others[0] > 1) rest.push(`those of ${more(w.others[0])} (together ` +
      `${number(y.at(i, j) - own - (w.bias || 0))})`);
    if (w.bias !== null) rest.push(`the bias (${number(w.bias)})`);
    said.push((rest.length ? `With ${rest.join(" and ")} it is ` : "So ") +
      `y = ${number(y.at(i, j))}.`);
  } else if (w.kind === "max") {
    said.push(`The largest of them is y = ${number(winner.x)}. Padding never wins.`);
  } else {
    const m = averaged(w, i, j), sum = real.reduce((some, c) => some + c.x, 0);
    said.push(`Their sum, ${number(sum)}, divided by ${m} is y = ${number(sum / m)}.`);
  }
  tell(tables, said, `y at ${i}, ${j}`);
}

// Backwards: every y[i, j] that looked at pixel (r, q) sends its dy, times the tap, and they add.
function backwards(r, q) {
  const { w, x, dy, dx, weights } = sight;
  const cells = [];
  for (const [i, u] of taps(w, 0, r))
    for (const [j, v] of taps(w, 1, q)) {
      const share = w.kind === "conv" ? weights[u * w.kernel[1] + v]
        : w.kind === "max" ? Number(wins(i, j, r, q)) : 1 / averaged(w, i, j);
      cells.push({ i, j, u, v, dy: dy.at(i, j), share });
    }
  paint($("input"), dx, [[r, q]], true, w);
  paint($("output"), dy, cells.map((c) => [c.i, c.j]), false, w);
  if (!cells.length) {
    tell([], ["No window looks at this pixel: dx = 0."], `pixel ${r}, ${q}`);
    return;
  }
  const own = cells.reduce((sum, c) => sum + c.dy * c.share, 0);
  const columns = new Set(cells.map((c) => c.j)).size;
  const scale = Math.max(...cells.map((c) => Math.abs(c.share)));
  const name = { conv: "w, the tap", max: "did it win there?", mean: "1/m" }[w.kind];
  const tables = [plain(cells, columns, (c) => c.dy, dy.scale, "dy of each output"), "·",
    plain(cells, columns, (c) => c.share, scale, name), "=",
    plain(cells, columns, (c) => c.dy * c.share, dy.scale * scale, "what comes back")];
  const said = [`${cells.length} output${cells.length > 1 ? "s" : ""} of this map looked at the ` +
    `pixel; together they send ${number(own)}.`];
  if (w.others[1] > 1) said.push(`With what ${more(w.others[1])} send (together ` +
    `${number(dx.at(r, q) - own)}) it is dx = ${number(dx.at(r, q))}.`);
  else said.push(`dx = ${number(dx.at(r, q))}.`);
  const image = data.images[state.image];
  said.push(`(The loss is that of this picture alone, in evaluation, for ${image.target}.)`);
  tell(tables, said, `dx at ${r}, ${q}`);
}

const more = (count) => count === 2 ? "the other map" : `the other ${whole(count - 1)} maps`;

// Did pixel (r, q) win in window (i, j)? The first in reading order of the largest.
function wins(i, j, r, q) {
  const { w, x } = sight;
  let best = null;
  for (let u = 0; u < w.kernel[0]; u++)
    for (let v = 0; v < w.kernel[1]; v++) {
      const a = i * w.stride[0] + u - w.padding[0], b = j * w.stride[1] + v - w.padding[1];
      const value = x.at(a, b);
      if (value !== undefined && (!best || value > best.value)) best = { a, b, value };
    }
  return best !== null && best.a === r && best.b === q;
}

// m of an average, along both axes: pixels of the window that count.
function averaged(w, i, j) {
  return [i, j].map((n, axis) => {
    const first = n * w.stride[axis] - w.padding[axis], pad = w.countPad ? w.padding[axis] : 0;
    return Math.min(first + w.kernel[axis], w.size[axis] + pad) - Math.max(first, -pad);
  }).reduce((a, b) => a * b);
}

function grid(cells, w, value, scale, caption, winner = null) {
  return plain(cells, w.kernel[1], value, scale, caption, winner);
}

function plain(cells, columns, value, scale, caption, winner = null) {
  const table = element("table");
  table.append(element("caption", caption));
  let row = null;
  cells.forEach((c, n) => {
    if (n % columns === 0) table.append(row = element("tr"));
    const v = value(c);
    const cell = v === undefined ? element("td", "pad", { class: "pad" }) : element("td", number(v));
    if (v !== undefined) {
      const rgb = shade(v, scale);
      cell.style.background = css(rgb);
      cell.style.color = rgb[0] + rgb[1] + rgb[2] < 380 ? "#fff" : "#111";
    }
    if (c === winner) cell.className = "won";
    row.append(cell);
  });
  return table;
}

function tell(tables, said, where) {
  const line = element("div", "", { class: "tables", tabindex: "0", role: "group",
    "aria-label": `The numbers of ${where}` });
  line.append(...tables);
  $("sum").replaceChildren(...(tables.length ? [line] : []), element("p", said.join(" ")));
  $("input").setAttribute("aria-label", `${$("input-caption").textContent}. ${said[0]}`);
  $("output").setAttribute("aria-label", $("output-caption").textContent);
}

// From where to where the input is shown, along both axes: the block, and the padding of windows.
function shownInput(w) {
  return [0, 1].map((axis) => {
    const pixels = [w.rows, w.columns][axis], outs = [w.outRows, w.outColumns][axis];
    const first = outs[0] * w.stride[axis] - w.padding[axis];
    const last = (outs[1] - 1) * w.stride[axis] - w.padding[axis] +
      w.dilation[axis] * (w.kernel[axis] - 1);
    return [Math.min(pixels[0], first), Math.max(pixels[1], last + 1)];
  });
}

// A map, its padding hatched around it, and the marked pixels framed. Pixels are as large in the
// output as in the input, so that one sees how it shrinks.
function paint(canvas, map, marked, padded, w) {
  const input = shownInput(w), whole = padded ? input : [map.rows, map.columns];
  const [lowest, highest] = [0, 1].map((end) => whole.map((axis) => axis[end]));
  const height = highest[0] - lowest[0], width = highest[1] - lowest[1];
  const sides = [...input, map.rows, map.columns].map(([from, to]) => to - from);
  const cell = Math.max(3, Math.min(40, Math.floor(320 / Math.max(...sides))));
  canvas.width = width * cell;
  canvas.height = height * cell;
  canvas.grid = { from: lowest, cell };
  const pen = canvas.getContext("2d");
  for (let r = lowest[0]; r < highest[0]; r++)
    for (let q = lowest[1]; q < highest[1]; q++) {
      const v = map.at(r, q);
      const [top, left] = [(r - lowest[0]) * cell, (q - lowest[1]) * cell];
      pen.fillStyle = v === undefined ? "#d5d9de" : css(shade(v, map.scale));
      pen.fillRect(left, top, cell, cell);
      if (v === undefined) {
        pen.strokeStyle = "#a9b0b8";
        pen.lineWidth = 1;
        pen.beginPath();
        pen.moveTo(left, top + cell);
        pen.lineTo(left + cell, top);
        pen.stroke();
      }
    }
  for (const [r, q] of marked) {
    const [top, left] = [(r - lowest[0]) * cell, (q - lowest[1]) * cell];
    pen.lineWidth = cell > 8 ? 3 : 2;
    pen.strokeStyle = "#000";
    pen.strokeRect(left, top, cell, cell);
    pen.lineWidth = cell > 8 ? 1.5 : 1;
    pen.strokeStyle = "#ffd400";
    pen.strokeRect(left, top, cell, cell);
  }
}

setUp();
