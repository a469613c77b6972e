// The three pictures over one another with two sliders, or side by side; zoom and pan.

import { draw } from "./pictures.js";

const MOST_ZOOM = 16;
const KEY_STEP = 1;
const BIG_STEP = 10;

const stage = document.getElementById("stage");
const handles = [document.getElementById("handle-left"), document.getElementById("handle-right")];
const NAMES = ["Infrared", "Fused", "Visible"];
const at = [33.33, 66.67];
const view = { zoom: 1, x: 0, y: 0 };
const pointers = new Map();

export function setPicture(role, picture) {
  draw(stage.querySelector(`[data-role="${role}"] canvas`), picture);
}

export function showPictures(width, height) {
  stage.style.setProperty("--aspect", `${width} / ${height}`);
  stage.classList.remove("blank");
  fit();
}

export function setUpStage() {
  stage.classList.add("blank");
  handles.forEach((handle, which) => {
    handle.addEventListener("keydown", (event) => onHandleKey(event, which));
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      handle.focus({ preventScroll: true });
      event.stopPropagation();
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) moveTo(which, shareAt(event));
    });
    moveTo(which, at[which]);
  });
  for (const radio of document.querySelectorAll('input[name="view"]')) {
    radio.addEventListener("change", () => {
      stage.dataset.view = radio.value;
      fit();
    });
  }
  document.getElementById("zoom-in").addEventListener("click", () => zoomBy(1.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
  document.getElementById("zoom-reset").addEventListener("click", fit);
  stage.addEventListener("keydown", onStageKey);
  stage.addEventListener("wheel", onWheel, { passive: false });
  stage.addEventListener("pointerdown", onDown);
  stage.addEventListener("pointermove", onMove);
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      stage.classList.remove("dragging");
    });
  }
  new ResizeObserver(apply).observe(stage);
}

// sliders

function shareAt(event) {
  const box = stage.getBoundingClientRect();
  return (100 * (event.clientX - box.left)) / box.width;
}

function moveTo(which, share) {
  const [low, high] = which === 0 ? [0, at[1]] : [at[0], 100];
  at[which] = Math.min(Math.max(share, low), high);
  stage.style.setProperty(which === 0 ? "--left" : "--right", `${at[which]}%`);
  const handle = handles[which];
  handle.setAttribute("aria-valuenow", Math.round(at[which]));
  handle.setAttribute("aria-valuetext", `${NAMES[which]} up to ${Math.round(at[which])} percent`);
  hideNarrowTags();
}

function hideNarrowTags() {
  const widths = { ir: at[0], fused: at[1] - at[0], vis: 100 - at[1] };
  for (const layer of stage.querySelectorAll(".layer")) {
    const tag = layer.querySelector(".tag");
    const room = (widths[layer.dataset.role] / 100) * stage.clientWidth;
    tag.style.opacity = stage.dataset.view === "slider" && room < tag.offsetWidth + 26 ? 0 : 1;
  }
}

function onHandleKey(event, which) {
  const step = event.shiftKey ? BIG_STEP : KEY_STEP;
  const moves = {
    ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step,
    PageDown: -BIG_STEP, PageUp: BIG_STEP, Home: -100, End: 100,
  };
  if (!(event.key in moves)) return;
  event.preventDefault();
  event.stopPropagation();
  moveTo(which, at[which] + moves[event.key]);
}

// zoom and pan, in shares of one picture's box

function pane() {
  return stage.querySelector(".layer").getBoundingClientRect();
}

function fit() {
  Object.assign(view, { zoom: 1, x: 0, y: 0 });
  apply();
}

function zoomBy(factor, x = 0.5, y = 0.5) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const change = zoom / view.zoom;
  Object.assign(view, { zoom, x: x - change * (x - view.x), y: y - change * (y - view.y) });
  apply();
}

function apply() {
  view.x = Math.min(0, Math.max(view.x, 1 - view.zoom));
  view.y = Math.min(0, Math.max(view.y, 1 - view.zoom));
  for (const canvas of stage.querySelectorAll(".layer canvas")) {
    canvas.style.transform = `translate(${100 * view.x}%, ${100 * view.y}%) scale(${view.zoom})`;
  }
  stage.classList.toggle("zoomed", view.zoom > 1);
  stage.classList.toggle("sharp", view.zoom >= 4);
  document.getElementById("zoom-level").textContent = `${Math.round(100 * view.zoom)} %`;
  hideNarrowTags();
}

function onStageKey(event) {
  if (event.target !== stage) return;
  const pan = 0.1;
  const actions = {
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: fit,
    ArrowLeft: () => panBy(pan, 0), ArrowRight: () => panBy(-pan, 0),
    ArrowUp: () => panBy(0, pan), ArrowDown: () => panBy(0, -pan),
  };
  const pans = event.key.startsWith("Arrow");
  if (!actions[event.key] || event.ctrlKey || event.metaKey || (pans && view.zoom === 1)) return;
  event.preventDefault();
  actions[event.key]();
}

function panBy(x, y) {
  view.x += x;
  view.y += y;
  apply();
}

// A wheel alone scrolls the page; with Ctrl, or a pinch on a touchpad, it zooms.
function onWheel(event) {
  if (!event.ctrlKey && view.zoom === 1) return;
  event.preventDefault();
  const [x, y] = position(event);
  zoomBy(Math.exp(-event.deltaY / 300), x, y);
}

function position(event) {
  const box = event.target.closest?.(".layer")?.getBoundingClientRect() ?? pane();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function onDown(event) {
  if (event.target.closest("button")) return;
  pointers.set(event.pointerId, event);
  if (view.zoom > 1) {
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
  }
}

function onMove(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const box = pane();
  const others = [...pointers.values()].filter((other) => other.pointerId !== event.pointerId);
  if (others.length) {
    const distance = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
    const [x, y] = position({
      target: stage,
      clientX: (event.clientX + others[0].clientX) / 2,
      clientY: (event.clientY + others[0].clientY) / 2,
    });
    zoomBy(distance(event) / Math.max(distance(before), 1), x, y);
  } else if (view.zoom > 1) {
    panBy((event.clientX - before.clientX) / box.width, (event.clientY - before.clientY) / box.height);
  }
  pointers.set(event.pointerId, event);
}
