// Curves over time as SVG; gaps where nothing was measured.

const WIDTH = 380;
const HEIGHT = 150;
const LEFT = 40;
const BOTTOM = 20;
const TOP = 8;
const SVG = "http://www.w3.org/2000/svg";

// series: [{ key, name, values }]; stacked fills them over one another.
export function drawCurves(element, { times, span, series, stacked = false, unit }) {
  const sums = times.map((_, at) => series.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
  const highest = Math.max(0, ...(stacked ? sums : series.flatMap((one) => one.values.map((value) => value ?? 0))));
  const top = roundUp(highest);
  const last = times.at(-1) ?? 0;
  const x = (time) => LEFT + (WIDTH - LEFT) * (1 - (last - time) / span);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const chart = make("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary(series, unit) });
  for (const share of [0, 0.5, 1]) {
    const value = share * top;
    chart.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }));
    chart.append(label(LEFT - 6, y(value) + 4, "end", inShort(value)));
  }
  chart.append(label(LEFT, HEIGHT - 4, "start", `${Math.round(span / 60)} min ago`), label(WIDTH, HEIGHT - 4, "end", "now"));
  let below = times.map(() => 0);
  for (const { key, values } of series) {
    const above = stacked ? values.map((value, at) => below[at] + (value ?? 0)) : values;
    for (const [from, to] of runs(values)) {
      const points = range(from, to).map((at) => `${x(times[at]).toFixed(1)},${y(above[at]).toFixed(1)}`);
      if (stacked) chart.append(area(key, points, range(from, to).map((at) => `${x(times[at]).toFixed(1)},${y(below[at]).toFixed(1)}`)));
      else if (from === to) chart.append(dot(key, points[0]));
      else chart.append(make("polyline", { class: `line s-${key}`, points: points.join(" ") }));
    }
    if (stacked) below = above;
  }
  const legend = document.createElement("p");
  legend.className = "legend";
  legend.append(...series.map(({ key, name }) => entry(key, name)));
  element.replaceChildren(chart, legend);
}

// Stretches without a gap, as first and last index.
function runs(values) {
  const found = [];
  values.forEach((value, at) => {
    if (value === null) return;
    if (at > 0 && values[at - 1] !== null) found.at(-1)[1] = at;
    else found.push([at, at]);
  });
  return found;
}

function area(key, upper, lower) {
  if (upper.length === 1) {
    const [left, high] = upper[0].split(",");
    const low = lower[0].split(",")[1];
    return make("rect", { class: `a-${key}`, x: left - 1.5, y: high, width: 3, height: Math.max(low - high, 0) });
  }
  return make("polygon", { class: `a-${key}`, points: [...upper, ...lower.reverse()].join(" ") });
}

function dot(key, point) {
  const [cx, cy] = point.split(",");
  return make("circle", { class: `dot s-${key}`, cx, cy, r: 2.5 });
}

function entry(key, name) {
  const text = document.createElement("span");
  text.className = `k-${key}`;
  text.textContent = name;
  return text;
}

function label(x, y, anchor, text) {
  const element = make("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function summary(series, unit) {
  const parts = series.map(({ name, values }) => {
    const found = values.filter((value) => value !== null);
    return found.length ? `${name}: last ${inShort(found.at(-1))}${unit}` : `${name}: none`;
  });
  return parts.join(", ");
}

function roundUp(value) {
  if (!value) return 1;
  const step = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((factor) => factor * step).find((top) => top >= value);
}

function inShort(value) {
  return value === 0 || value >= 10 ? String(Math.round(value)) : value.toFixed(value < 1 ? 2 : 1);
}

function range(from, to) {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}
