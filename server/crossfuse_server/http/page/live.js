// The running streams, and the frames of the one that is watched.

import { call, callJson, showError } from "./api.js";

const list = document.getElementById("streams");
const screen = document.getElementById("screen");
const canvas = document.getElementById("screen-canvas");
const tag = document.getElementById("screen-tag");
const failure = document.getElementById("live-error");
let watched = null; // { id, abort }

export function setUpLive() {
  document.getElementById("screen-stop").addEventListener("click", stop);
}

export async function refreshStreams() {
  const { streams } = await callJson("/v1/streams");
  if (!streams.length) {
    const none = document.createElement("li");
    none.className = "none";
    const command = document.createElement("code");
    command.textContent = "crossfuse video --server";
    none.append("No stream is running. ", command, " starts one.");
    list.replaceChildren(none);
    return;
  }
  const known = new Map([...list.querySelectorAll("button")].map((button) => [button.dataset.id, button]));
  list.querySelector(".none")?.remove();
  for (const stream of streams) {
    const id = String(stream.id);
    const button = known.get(id) ?? add(stream);
    known.delete(id);
    button.querySelector("small").textContent =
      `${stream.fused} fused, ${stream.dropped} dropped, ${stream.failed} failed in ${inTime(stream.seconds)}`;
  }
  showPressed();
  for (const gone of known.values()) gone.parentElement.remove();
}

function showPressed() {
  for (const button of list.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.id === String(watched?.id)));
  }
}

function add(stream) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const name = document.createElement("span");
  button.type = "button";
  button.dataset.id = String(stream.id);
  name.textContent = `Stream ${stream.id}: ${stream.model || "default model"}`;
  button.append(name, document.createElement("small"));
  button.addEventListener("click", () => (watched?.id === stream.id ? stop() : watch(stream)));
  item.append(button);
  list.append(item);
  return button;
}

async function watch(stream) {
  stop();
  showError(failure, null);
  const abort = new AbortController();
  const mine = { id: stream.id, abort };
  watched = mine;
  showPressed();
  try {
    const answer = await call(stream.view, { signal: abort.signal });
    screen.hidden = false;
    tag.textContent = "waiting for a frame";
    const shown = [];
    for await (const frame of parts(answer.body.getReader())) {
      const picture = await createImageBitmap(new Blob([frame.data], { type: frame.headers["content-type"] }));
      if (watched !== mine) return;
      canvas.width = picture.width;
      canvas.height = picture.height;
      canvas.getContext("2d").drawImage(picture, 0, 0);
      const now = performance.now();
      shown.push(now);
      while (shown[0] < now - 2000) shown.shift();
      const rate = shown.length > 1 ? (1000 * (shown.length - 1)) / (now - shown[0]) : 0;
      tag.textContent = `frame ${frame.headers["x-frame-id"]} · ${rate.toFixed(1)} shown per second`;
    }
    tag.textContent = "the stream has ended";
  } catch (error) {
    if (error.name !== "AbortError") showError(failure, error);
  } finally {
    if (watched === mine) watched = null;
  }
}

function stop() {
  watched?.abort.abort();
  watched = null;
  showPressed();
  screen.hidden = true;
}

// The parts of a multipart answer, each with its headers and its bytes.
async function* parts(reader) {
  let held = new Uint8Array();
  const more = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    return true;
  };
  for (;;) {
    let end = endOfHead(held);
    while (end < 0) {
      if (!(await more())) return;
      end = endOfHead(held);
    }
    const lines = new TextDecoder().decode(held.subarray(0, end)).trim().split("\r\n").slice(1);
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const size = Number(headers["content-length"]);
    while (held.length < end + 4 + size + 2) if (!(await more())) return;
    yield { headers, data: held.slice(end + 4, end + 4 + size) };
    held = held.slice(end + 4 + size + 2);
  }
}

function endOfHead(bytes) {
  for (let at = 0; at + 3 < bytes.length; at += 1) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at;
  }
  return -1;
}

function inTime(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
