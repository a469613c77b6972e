// The form: two pictures, a model, options; and what comes back.

import { call, callJson, showError } from "./api.js";
import { inWords, readTimings, showPhases } from "./phases.js";
import { draw, readPicture, sortPair } from "./pictures.js";
import { setPicture, showPictures } from "./stage.js";

const form = document.getElementById("fuse-form");
const button = document.getElementById("fuse-button");
const failure = document.getElementById("fuse-error");
const caption = document.getElementById("caption");
const download = document.getElementById("download");
const chosen = { ir: null, vis: null };
let samples = [];

export function setUpFuse() {
  for (const role of ["ir", "vis"]) setUpDrop(role);
  // Beside the two fields a dropped file would otherwise take the place of the page.
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files], chosen.ir ? "vis" : "ir");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    fuse();
  });
  document.getElementById("try-sample").addEventListener("click", async () => {
    if (samples.length && (await takeSample(samples[0]))) fuse();
  });
}

export async function loadSamples() {
  ({ samples } = await callJson("/v1/samples"));
  document.getElementById("samples").replaceChildren(
    ...samples.map((sample) => {
      const choice = document.createElement("button");
      choice.type = "button";
      choice.textContent = `Sample: ${sample.title}`;
      choice.addEventListener("click", () => takeSample(sample));
      return choice;
    }),
  );
}

function setUpDrop(role) {
  const zone = document.getElementById(`drop-${role}`);
  const input = zone.querySelector("input");
  input.addEventListener("change", () => take([...input.files], role));
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.remove("over");
    take([...event.dataTransfer.files], role);
  });
}

async function take(files, role) {
  if (files.length > 1) {
    const [ir, vis] = await sortPair(files[0], files[1]);
    await Promise.all([choose("ir", ir, ir.name), choose("vis", vis, vis.name)]);
  } else if (files.length) {
    await choose(role, files[0], files[0].name);
  }
}

async function takeSample(sample) {
  try {
    const [ir, vis] = await Promise.all(
      [sample.ir, sample.vis].map(async (path) => (await call(path)).blob()),
    );
    await Promise.all([choose("ir", ir, "sample"), choose("vis", vis, "sample")]);
    return true;
  } catch (error) {
    showError(failure, error);
    return false;
  }
}

async function choose(role, blob, name) {
  const picture = await readPicture(blob);
  chosen[role] = { blob, picture };
  const zone = document.getElementById(`drop-${role}`);
  draw(zone.querySelector("canvas"), picture);
  zone.classList.toggle("filled", picture !== null);
  zone.querySelector(".drop-hint").textContent = picture
    ? `${picture.width}×${picture.height} · ${name}`
    : `${name}: no preview of this kind of file`;
  button.disabled = !(chosen.ir && chosen.vis);
  showError(failure, null);
}

async function fuse() {
  showError(failure, null);
  const body = new FormData();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value.trim()) body.set(name, value.trim());
  }
  const [model, version] = (body.get("model") ?? "").split(":");
  body.delete("model");
  if (model) body.set("model", model);
  if (version) body.set("version", version);
  const { ir, vis } = chosen;
  body.set("ir", ir.blob, "ir");
  body.set("vis", vis.blob, "vis");
  button.disabled = true;
  button.textContent = "Fusing…";
  const began = performance.now();
  try {
    const answer = await call("/v1/fuse", { method: "POST", body });
    const file = await answer.blob();
    const passed = performance.now() - began;
    await show(answer.headers, file, passed, ir.picture, vis.picture);
  } catch (error) {
    showError(failure, error);
  } finally {
    button.disabled = false;
    button.textContent = "Fuse";
  }
}

async function show(headers, file, passed, ir, vis) {
  const fused = await createImageBitmap(file);
  setPicture("ir", ir);
  setPicture("vis", vis);
  setPicture("fused", fused);
  showPictures(fused.width, fused.height);
  document.getElementById("stage").scrollIntoView({ block: "nearest" });
  const name = headers.get("X-CrossFuse-Model");
  const timings = readTimings(headers.get("Server-Timing") ?? "", passed);
  const precision = document.querySelector(`#model option[data-reference="${CSS.escape(name)}"]`)?.dataset.precision;
  const strong = document.createElement("b");
  strong.textContent = [name, precision].filter(Boolean).join(" · ");
  caption.replaceChildren(
    strong,
    ` · ${fused.width}×${fused.height} · ${inWords(timings.total)} in the server, ${inWords(passed)} in all`,
  );
  showPhases(timings);
  if (download.href) URL.revokeObjectURL(download.href);
  download.href = URL.createObjectURL(file);
  download.download = `fused.${file.type.split("/")[1]}`;
  download.hidden = false;
}
