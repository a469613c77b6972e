// What the server is doing: models, queues, curves.

import { callJson } from "./api.js";
import { drawCurves } from "./curves.js";
import { element } from "./elements.js";

const pill = document.getElementById("server-state");
const choice = document.getElementById("model");
const curveChoice = document.getElementById("curve-model");
const hint = document.getElementById("model-hint");
let models = [];

export function setUpServer() {
  choice.addEventListener("change", showChoice);
}

export async function refreshServer() {
  const state = await callJson("/v1/state");
  models = state.models;
  showState(state.state);
  document.getElementById("version").textContent = state.version;
  document.getElementById("server-facts").textContent =
    `${state.runtime} · up ${inTime(state.uptime_s)} · ${state.waiting} waiting · pictures up to ${Math.round(state.limits.max_pixels / 1e6)} MP`;
  const warnings = document.getElementById("warnings");
  warnings.hidden = !state.warnings.length;
  warnings.replaceChildren(...state.warnings.map((text) => element("li", text)));
  document.getElementById("models").replaceChildren(...models.map(row));
  fill(choice, models.map((model) => ({ value: model.is_default ? "" : reference(model), text: title(model), model })));
  showChoice();
  fill(curveChoice, models.map((model) => ({ value: reference(model), text: reference(model), model })));
  showCurves(state.history);
}

export function showState(text) {
  pill.textContent = text;
  pill.dataset.state = text.startsWith("no ") ? "away" : text;
}

const reference = (model) => `${model.name}:${model.version}`;

function title(model) {
  const notes = [model.precision, model.is_default ? "default" : "", model.state === "serving" ? "" : model.state];
  return [reference(model), ...notes.filter(Boolean)].join(" · ");
}

// Replaces the options only when they changed, so that an open list stays open.
function fill(select, entries) {
  const wanted = JSON.stringify(entries.map(({ value, text }) => [value, text]));
  if (select.dataset.entries === wanted) return;
  const before = select.value;
  select.dataset.entries = wanted;
  select.replaceChildren(
    ...entries.map(({ value, text, model }) => {
      const option = new Option(text, value);
      option.dataset.reference = reference(model);
      option.dataset.precision = model.precision;
      return option;
    }),
  );
  if (entries.some(({ value }) => value === before)) select.value = before;
}

function showChoice() {
  const model = models.find((one) => reference(one) === choice.selectedOptions[0]?.dataset.reference);
  hint.textContent = model ? [model.architecture, model.precision, model.devices.join(", ")].filter(Boolean).join(" · ") : "";
}

function row(model) {
  const name = element("td", reference(model));
  if (model.is_default) name.append(element("span", "default", "badge"));
  if (model.message) name.append(element("span", model.message, "hint"));
  const hash = element("td");
  const code = element("code", model.sha256 ? `${model.sha256.slice(0, 12)}…` : "");
  code.title = model.sha256;
  hash.append(code);
  const line = element("tr");
  line.append(
    name,
    element("td", model.state, `state-${model.state}`),
    element("td", model.precision || "–"),
    element("td", [model.devices.join(", "), model.provider].filter(Boolean).join(" · ") || "–"),
    element("td", String(model.waiting), "number"),
    hash,
  );
  return line;
}

function showCurves({ seconds, times, models: curves }) {
  const none = times.map(() => null);
  const found = curves[curveChoice.value] ?? {};
  const series = (keys) => keys.map(([key, name, field]) => ({ key, name, values: found[field] ?? none }));
  const span = Math.min(Math.max((times.at(-1) ?? 0) - (times[0] ?? 0), 60), 300);
  drawCurves(document.getElementById("chart-latency"), {
    times, span, unit: " ms", series: series([["p99", "p99", "p99_ms"], ["p50", "p50", "p50_ms"]]),
  });
  drawCurves(document.getElementById("chart-phases"), {
    times, span, unit: " ms", stacked: true,
    series: series([
      ["decode", "decode", "decode_ms"], ["queue", "queue", "queue_ms"],
      ["infer", "model", "infer_ms"], ["encode", "encode", "encode_ms"],
    ]),
  });
  drawCurves(document.getElementById("chart-rate"), {
    times, span, unit: ` per second over ${seconds} s`,
    series: series([
      ["rate", "fused", "pairs_per_second"], ["dropped", "dropped", "dropped_per_second"],
      ["failed", "failed", "failed_per_second"],
    ]),
  });
}

function inTime(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
