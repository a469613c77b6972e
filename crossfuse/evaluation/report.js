"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const list = document.getElementById("cases");
const articles = [...list.children];
const [byMethod, by, order] = ["sort-method", "sort-by", "sort-order"].map((id) => document.getElementById(id));

// Sorting: best first by the chosen method and criterion; what is undefined comes last.
function valueOf(scene, method) {
  return by.selectedIndex === 0 ? data.ranks[scene][method] : data.values[scene][method][by.selectedIndex - 1];
}

function sortCases() {
  const method = byMethod.selectedIndex;
  const metric = data.metrics[by.selectedIndex - 1];
  const sign = metric && metric.higher ? -1 : 1;
  const known = [], unknown = [];
  data.cases.forEach((_, scene) => (valueOf(scene, method) === null ? unknown : known).push(scene));
  known.sort((a, b) => sign * (valueOf(a, method) - valueOf(b, method)));
  let sequence = known;
  if (order.value === "worst") sequence = [...known].reverse();
  if (order.value === "both") sequence = known.map((_, i) => (i % 2 ? known[(i - 1) / 2] : known[known.length - 1 - i / 2]));
  if (order.value === "name") sequence = [...known].sort((a, b) => (data.cases[a] < data.cases[b] ? -1 : 1));
  [...sequence, ...unknown].forEach((scene) => list.append(articles[scene]));
  articles.forEach((article, scene) => describe(article, scene, known, method));
}

function describe(article, scene, known, method) {
  const badge = article.querySelector(".badge");
  const place = known.indexOf(scene);
  const fromEnd = known.length - place;
  const name = data.methods[method];
  delete badge.dataset.end;
  if (place < 0) badge.textContent = `not defined for ${name}`;
  else {
    const end = place < fromEnd ? "best" : "worst";
    const count = end === "best" ? place + 1 : fromEnd;
    if (count <= 3) badge.dataset.end = end;
    badge.textContent = `${end} ${count} of ${known.length} for ${name}`;
  }
  const criterion = by.value;
  for (const caption of article.querySelectorAll(".caption")) {
    const column = Number(caption.dataset.tile) - 2;
    if (column < 0) continue;
    const value = valueOf(scene, column);
    caption.textContent = value === null ? "" : `${criterion} ${by.selectedIndex === 0 ? value.toFixed(2) : Number(value.toPrecision(4))}`;
  }
}
[byMethod, by, order].forEach((control) => control.addEventListener("change", sortCases));
sortCases();

// Zoom: the place in the picture (0..1) and the factor stay the same from picture to picture.
const zoom = document.getElementById("zoom");
const stage = zoom.querySelector(".stage");
const big = stage.querySelector("img");
const view = { article: null, tile: 0, factor: 1, x: 0.5, y: 0.5 };
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function tilesOf(article) {
  return [...article.querySelectorAll("button[data-tile]")].map((button) => Number(button.dataset.tile));
}

function fitScale() {
  return Math.min(stage.clientWidth / big.naturalWidth, stage.clientHeight / big.naturalHeight);
}

function draw() {
  const scale = fitScale() * view.factor;
  const [width, height] = [big.naturalWidth * scale, big.naturalHeight * scale];
  const half = (room, size) => Math.min(0.5, room / size / 2);
  const [fromX, fromY] = [half(stage.clientWidth, width), half(stage.clientHeight, height)];
  view.x = clamp(view.x, fromX, 1 - fromX);
  view.y = clamp(view.y, fromY, 1 - fromY);
  const [left, top] = [stage.clientWidth / 2 - view.x * width, stage.clientHeight / 2 - view.y * height];
  big.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  big.classList.toggle("pixels", scale > 3);
  document.getElementById("zoom-factor").textContent = `${Math.round(scale * 100)} %`;
}

async function show(article, tile) {
  const button = article.querySelector(`button[data-tile="${tile}"]`);
  if (!button) return;
  Object.assign(view, { article, tile });
  const picture = button.querySelector("img");
  const opening = !zoom.open;
  if (opening) zoom.showModal();
  document.getElementById("zoom-title").textContent = picture.alt;
  const here = tilesOf(article);
  for (const tab of zoom.querySelectorAll("[data-show]")) {
    const own = Number(tab.dataset.show);
    tab.setAttribute("aria-pressed", String(own === tile));
    tab.disabled = !here.includes(own);
    if (opening && own === tile) tab.focus();
  }
  big.alt = picture.alt;
  big.src = picture.src;
  // Fails when the reader has stepped on before the picture was decoded: then the next one draws.
  await big.decode().then(draw, () => {});
}

function step(methods, scenes) {
  const shown = [...list.children];
  const article = shown[clamp(shown.indexOf(view.article) + scenes, 0, shown.length - 1)];
  const tiles = tilesOf(article);
  const at = Math.max(tiles.indexOf(view.tile), 0);
  show(article, tiles[(at + methods + tiles.length) % tiles.length]);
}

function zoomTo(factor, clientX, clientY) {
  const box = stage.getBoundingClientRect();
  const away = [(clientX ?? box.left + box.width / 2) - box.left - box.width / 2, (clientY ?? box.top + box.height / 2) - box.top - box.height / 2];
  const before = fitScale() * view.factor;
  view.factor = clamp(factor, 1, 16);
  const after = fitScale() * view.factor;
  view.x += (away[0] / big.naturalWidth) * (1 / before - 1 / after);
  view.y += (away[1] / big.naturalHeight) * (1 / before - 1 / after);
  draw();
}

function move(right, down) {
  const scale = fitScale() * view.factor;
  view.x += right / (big.naturalWidth * scale);
  view.y += down / (big.naturalHeight * scale);
  draw();
}

list.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-tile]");
  if (!button) return;
  Object.assign(view, { factor: 1, x: 0.5, y: 0.5 });
  show(button.closest("article"), Number(button.dataset.tile));
});
zoom.addEventListener("click", (event) => {
  const { show: tile, do: action } = event.target.dataset;
  if (tile !== undefined) show(view.article, Number(tile));
  if (action === "in") zoomTo(view.factor * 1.5);
  if (action === "out") zoomTo(view.factor / 1.5);
  if (action === "fit") zoomTo(1);
  if (action === "close") zoom.close();
});
zoom.addEventListener("keydown", (event) => {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrows) {
    if (event.shiftKey) move(60 * arrows[0], 60 * arrows[1]);
    else step(...arrows);
  } else if (event.key === "+" || event.key === "=") zoomTo(view.factor * 1.5);
  else if (event.key === "-") zoomTo(view.factor / 1.5);
  else if (event.key === "0") zoomTo(1);
  else return;
  event.preventDefault();
});
zoom.addEventListener("close", () => view.article.querySelector(`button[data-tile="${view.tile}"]`)?.focus());
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomTo(view.factor * (event.deltaY < 0 ? 1.25 : 0.8), event.clientX, event.clientY);
}, { passive: false });
let drag = null;
stage.addEventListener("pointerdown", (event) => {
  stage.setPointerCapture(event.pointerId);
  drag = { x: event.clientX, y: event.clientY, far: 0 };
  event.preventDefault();
});
stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [right, down] = [event.clientX - drag.x, event.clientY - drag.y];
  drag = { x: event.clientX, y: event.clientY, far: drag.far + Math.abs(right) + Math.abs(down) };
  move(-right, -down);
});
stage.addEventListener("pointerup", (event) => {
  if (drag && drag.far < 5) zoomTo(view.factor > 1 ? 1 : 4, event.clientX, event.clientY);
  drag = null;
});
stage.addEventListener("pointercancel", () => { drag = null; });
window.addEventListener("resize", () => { if (zoom.open) draw(); });
