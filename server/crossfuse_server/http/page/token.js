// The field for the token: shown when the server asks for one.

import { useToken, whenRefused } from "./api.js";

export function setUpToken(onToken) {
  const form = document.getElementById("token");
  const field = document.getElementById("token-field");
  const hint = document.getElementById("token-hint");
  whenRefused((hadOne) => {
    if (form.hidden) field.focus();
    form.hidden = false;
    if (hadOne) hint.textContent = "The server does not know this token.";
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(field.value.trim());
    field.value = "";
    form.hidden = true;
    onToken();
  });
}
