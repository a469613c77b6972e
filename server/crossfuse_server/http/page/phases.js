// Where the time of one call went, as a bar.

const PHASES = ["decode", "queue", "infer", "encode"];
const NAMES = { decode: "Decode", queue: "Queue", infer: "Model", encode: "Encode", network: "Network and page" };

export function readTimings(header, passed) {
  const found = Object.fromEntries(
    [...header.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, value]) => [name, Number(value)]),
  );
  return { ...found, network: Math.max(passed - (found.total ?? 0), 0) };
}

export function showPhases(timings) {
  const shown = [...PHASES, "network"].filter((name) => name in timings);
  const bar = document.getElementById("phase-bar");
  bar.replaceChildren(
    ...shown.map((name) => {
      const part = document.createElement("span");
      part.className = `of-${name}`;
      part.style.flexGrow = String(timings[name]);
      return part;
    }),
  );
  bar.setAttribute("aria-label", shown.map((name) => `${NAMES[name]} ${inWords(timings[name])}`).join(", "));
  document.getElementById("phase-list").replaceChildren(...shown.map((name) => row(name, timings[name])));
  document.getElementById("phases").hidden = false;
}

export function inWords(milliseconds) {
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

function row(name, value) {
  const line = document.createElement("div");
  const term = document.createElement("dt");
  const text = document.createElement("dd");
  line.className = `of-${name}`;
  term.textContent = NAMES[name];
  text.textContent = inWords(value);
  line.append(term, text);
  return line;
}
