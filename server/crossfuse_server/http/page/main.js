// Starts the parts of the page and keeps them up to date while it is seen.

import { loadSamples, setUpFuse } from "./fuse.js";
import { refreshStreams, setUpLive } from "./live.js";
import { refreshServer, setUpServer, showState } from "./server.js";
import { setUpStage } from "./stage.js";
import { setUpToken } from "./token.js";

const REFRESH = 2000;
let timer = 0;
let hasSamples = false;

async function refresh() {
  clearTimeout(timer);
  let locked = false;
  try {
    await refreshServer();
    await refreshStreams();
    if (!hasSamples) {
      await loadSamples();
      hasSamples = true;
    }
  } catch (error) {
    locked = error.code === "UNAUTHENTICATED";
    showState(locked ? "locked" : "no answer");
  }
  // Without a token there is nothing to ask; in the background nobody looks.
  if (!locked && document.visibilityState === "visible") timer = setTimeout(refresh, REFRESH);
}

setUpStage();
setUpFuse();
setUpLive();
setUpServer();
setUpToken(refresh);
document.addEventListener("visibilitychange", refresh);
refresh();
