// Calls to the server: the token, and errors in plain words.

const IN_WORDS = {
  INVALID_ARGUMENT: "The server cannot take this",
  UNAUTHENTICATED: "The server asks for a token",
  PERMISSION_DENIED: "This is not for you",
  NOT_FOUND: "This is not there",
  RESOURCE_EXHAUSTED: "The server is busy; try again in a moment",
  UNAVAILABLE: "The server is not ready, or about to end",
  DEADLINE_EXCEEDED: "It took too long",
  INTERNAL: "Something broke in the server",
};

let token = ""; // in memory only
let onRefused = () => {};

export class ServerError extends Error {
  constructor(code, message, requestId) {
    super(message);
    this.headline = IN_WORDS[code] ?? "The server answered with an error";
    this.code = code;
    this.requestId = requestId;
  }
}

export function useToken(value) {
  token = value;
}

export function whenRefused(callback) {
  onRefused = callback;
}

export async function call(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const failure = new ServerError("", "No answer came. Is the server running?", "");
    failure.headline = "The server cannot be reached";
    throw failure;
  }
  if (answer.ok) return answer;
  const found = await answer.json().then((body) => body.error, () => null);
  const code = found?.code ?? "";
  if (code === "UNAUTHENTICATED") onRefused(Boolean(token));
  throw new ServerError(code, found?.message ?? `HTTP ${answer.status}`, found?.request_id ?? "");
}

export async function callJson(path) {
  return (await call(path)).json();
}

// Fills in an element that shows errors; null hides it.
export function showError(element, error) {
  element.hidden = !error;
  if (!error) return;
  const headline = document.createElement("strong");
  headline.textContent = error.headline ?? "Something went wrong on this page";
  const text = document.createElement("span");
  text.textContent = error.message;
  element.replaceChildren(headline, text);
  if (error.requestId) {
    const id = document.createElement("small");
    id.textContent = ` Request ${error.requestId}`;
    element.append(id);
  }
}
