"use strict";
const data = "DATA";
const at = (id) => document.getElementById(id);
const gazes = {};
let chosen = { module: 0, head: -1, token: null };

function bytes(packed) {
  return new Int8Array(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
}

function element(kind, text, parent) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function radio(parent, group, checked, pick) {
  const label = element("label", undefined, parent);
  const input = element("input", undefined, label);
  input.type = "radio";
  input.name = group;
  input.checked = checked;
  input.addEventListener("change", pick);
  return label;
}

const pictureName = { ir: "infrared", vis: "visible" };
const share = (value) => value.toFixed(3);

// Each square of the map is one token; null is outside of what the token can look at.
function paint(strengths, rows, columns) {
  const canvas = at("map"), pen = canvas.getContext("2d");
  canvas.width = columns;
  canvas.height = rows;
  const image = pen.createImageData(columns, rows);
  strengths.forEach((level, place) => {
    const colour = level === null ? [0, 0, 0] : level > 0 ? data.more : data.less;
    const opacity = level === null ? 0.6 : data.opacity * Math.abs(level) / 127;
    image.data.set([...colour, Math.round(255 * opacity)], 4 * place);
  });
  pen.putImageData(image, 0, 0);
}

function place(box, module, row, column, rows, columns) {
  const side = module.token_side;
  box.style.left = `${100 * column * side / data.width}%`;
  box.style.top = `${100 * row * side / data.height}%`;
  box.style.width = `${100 * columns * side / data.width}%`;
  box.style.height = `${100 * rows * side / data.height}%`;
}

function legend(scale) {
  const factor = 2 ** scale;
  at("low").textContent = `${(1 / factor).toFixed(2)} × average or less`;
  at("high").textContent = `${factor.toFixed(2)} × or more`;
}

function showMap() {
  const module = data.modules[chosen.module], maps = data.maps[chosen.module];
  const mean = chosen.head < 0;
  paint(Array.from(bytes(mean ? maps.mean : maps.heads[chosen.head])), module.rows, module.columns);
  legend(mean ? maps.mean_scale : maps.head_scale);
  at("caption").textContent = `How much each place of the ${pictureName[module.looked_at]} picture is `
    + `looked at: ${mean ? "mean of all heads" : "head " + chosen.head}.`;
}

function showGaze() {
  const module = data.modules[chosen.module], gaze = data.maps[chosen.module].gaze;
  const weights = gazes[module.module], [row, column] = chosen.token;
  const top = Math.min(Math.floor(row / gaze.stride), gaze.rows - 1);
  const left = Math.min(Math.floor(column / gaze.stride), gaze.columns - 1);
  const first = [top * gaze.stride, left * gaze.stride], keys = gaze.tile * gaze.tile;
  const query = (row - first[0]) * gaze.tile + column - first[1];
  const start = ((top * gaze.columns + left) * keys + query) * keys;
  const strengths = [];
  for (let r = 0; r < module.rows; r++) {
    for (let c = 0; c < module.columns; c++) {
      const y = r - first[0], x = c - first[1];
      const inside = y >= 0 && x >= 0 && y < gaze.tile && x < gaze.tile;
      strengths.push(inside ? weights[start + y * gaze.tile + x] : null);
    }
  }
  paint(strengths, module.rows, module.columns);
  legend(gaze.scale);
  at("caption").textContent = `Where the framed place (row ${row}, column ${column}) of the `
    + `${pictureName[module.asks]} picture looks in the ${pictureName[module.looked_at]} picture: mean of `
    + "all heads. The dark part is outside of its tile.";
}

function gazeLoaded(name, packed) {
  gazes[name] = bytes(packed);
  if (chosen.token && data.modules[chosen.module].module === name) show();
}

function show() {
  const module = data.modules[chosen.module], gaze = data.maps[chosen.module].gaze;
  at("base").src = `${module.looked_at}.png`;
  place(at("map"), module, 0, 0, module.rows, module.columns);
  const asking = chosen.token !== null;
  at("asking").hidden = at("back").hidden = !asking;
  if (asking) {
    place(at("asking"), module, chosen.token[0], chosen.token[1], 1, 1);
    if (gazes[module.module]) showGaze();
    else element("script", undefined, document.body).src = gaze.file;
  } else {
    showMap();
  }
  at("stage").setAttribute("aria-label", `${module.title}. ${at("caption").textContent}`);
  at("stage").classList.toggle("clickable", gaze !== null);
  at("stage").tabIndex = gaze ? 0 : -1;
  at("hint").textContent = gaze
    ? "Click a place of the picture to see where it looks; with the keyboard, focus the picture and use the arrow keys, Esc goes back."
    : "Where single places look is left out: there are too many pairs of tokens.";
}

function ask(row, column) {
  const module = data.modules[chosen.module];
  if (!data.maps[chosen.module].gaze) return;
  const clamp = (value, count) => Math.max(0, Math.min(count - 1, value));
  chosen.token = [clamp(row, module.rows), clamp(column, module.columns)];
  show();
}

function pickHead(head) {
  chosen.head = head;
  chosen.token = null;
  show();
}

function pickModule(index) {
  chosen = { module: index, head: -1, token: null };
  const module = data.modules[index];
  const heads = at("heads");
  heads.replaceChildren();
  [-1, ...module.heads.keys()].forEach((head) => {
    const label = radio(heads, "head", head < 0, () => pickHead(head));
    const image = element("img", undefined, label);
    const file = head < 0 ? "mean" : `head-${String(head).padStart(2, "0")}`;
    image.src = `overlays/${module.module}/${file}.png`;
    image.width = data.width;
    image.height = data.height;
    image.alt = "";
    const text = element("span", head < 0 ? "mean" : `head ${head}`, label);
    const entry = head < 0 ? module : module.heads[head];
    element("small", ` ${share(entry.relative_entropy)} ${entry.entropy_class || ""}`, text);
  });
  table(module);
  show();
}

function table(module) {
  const learned = module.heads[0].temperature !== null;
  at("table-title").textContent = `Heads of: ${module.title}`;
  const names = ["head", "entropy, nats", "of the largest", ...(learned ? ["temperature"] : [])];
  at("columns").replaceChildren(...names.map((name) => {
    const cell = element("th", name);
    cell.scope = "col";
    return cell;
  }));
  at("rows").replaceChildren();
  for (const head of module.heads) {
    const row = element("tr", undefined, at("rows"));
    element("td", head.head, row);
    element("td", head.entropy.toFixed(3), row);
    element("small", ` ${head.entropy_class}`, element("td", share(head.relative_entropy), row));
    if (learned) {
      element("small", ` ${head.temperature_class}`, element("td", head.temperature.toFixed(3), row));
    }
  }
}

function start() {
  const style = document.documentElement.style;
  style.setProperty("--more", `rgb(${data.more})`);
  style.setProperty("--less", `rgb(${data.less})`);
  style.setProperty("--contrast", data.contrast);
  at("about").textContent = `${data.variant}, checkpoint ${data.checkpoint}; infrared ${data.ir}, visible `
    + `${data.vis}, ${data.width} × ${data.height} pixels`;
  const flat = data.modules.filter((module) => module.uniform);
  if (flat.length) {
    at("uniform").hidden = false;
    at("uniform").textContent = `${flat.length} of ${data.modules.length} modules: nothing but plain averaging of all `
      + "tokens of a tile. Attention has degenerated there, or was never learned, and the maps are nearly blank.";
  }
  const limits = data.thresholds;
  at("classes").textContent = `Sharp: entropy below ${limits.sharp_entropy} of the largest, broad: above `
    + `${limits.broad_entropy}. Temperatures: sharp below ${limits.sharp_temperature}, broad above ${limits.broad_temperature}.`;
  const spreadOf = data.temperatures;
  at("temperatures").textContent = spreadOf
    ? `Learned temperatures of all ${spreadOf.heads} heads of cross-attention: mean ${spreadOf.mean.toFixed(3)}, standard `
      + `deviation ${spreadOf.std.toFixed(3)}, from ${spreadOf.minimum.toFixed(3)} to ${spreadOf.maximum.toFixed(3)}, Gini `
      + `${spreadOf.gini.toFixed(3)}; ${spreadOf.classes.sharp} sharp, ${spreadOf.classes.moderate} moderate, ${spreadOf.classes.broad} broad.`
    : "This network has no learned temperatures.";
  // Cross-attention is what joins the two pictures: the page opens where it does most.
  const joining = data.modules.filter((module) => module.asks !== module.looked_at);
  const entropies = (joining.length ? joining : data.modules).map((module) => module.relative_entropy);
  const opening = data.modules.findIndex((module) => module.relative_entropy === Math.min(...entropies));
  data.modules.forEach((module, index) => {
    const label = radio(at("modules"), "module", index === opening, () => pickModule(index));
    element("span", module.title, label);
    element("small", `entropy ${share(module.relative_entropy)} of the largest${module.uniform ? ": plain averaging" : ""}`, label);
  });
  at("stage").addEventListener("click", (event) => {
    const box = at("stage").getBoundingClientRect(), side = data.modules[chosen.module].token_side;
    ask(Math.floor((event.clientY - box.top) / box.height * data.height / side),
      Math.floor((event.clientX - box.left) / box.width * data.width / side));
  });
  at("stage").addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const module = data.modules[chosen.module];
    if (event.key === "Escape") {
      pickHead(chosen.head);
    } else if (steps[event.key]) {
      event.preventDefault();
      const [row, column] = chosen.token || [module.rows >> 1, module.columns >> 1];
      ask(row + steps[event.key][0], column + steps[event.key][1]);
    }
  });
  at("back").addEventListener("click", () => pickHead(chosen.head));
  pickModule(opening);
}
start();
