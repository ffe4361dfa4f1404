"use strict";

const KEY = "taskmill.key"; // as `/dashboard` has it: for as long as the tab, and no other server is told

// Swagger UI is dark by a class; the reader's system says whether.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

/** Read the document with the key that there is; where the server takes that for none, ask for one. */
async function read() {
  const key = sessionStorage.getItem(KEY);
  const answer = await fetch("openapi.json", { headers: key ? { Authorization: `Bearer ${key}` } : {} });
  document.getElementById("key").hidden = ![401, 403].includes(answer.status);
  if (answer.ok) return show(await answer.json(), key);
  const { detail } = await answer.json().catch(() => ({ detail: `The server answered ${answer.status}.` }));
  document.getElementById("wrong").textContent = answer.status === 401 && !key ? "" : detail;
  document.querySelector("#key input").focus();
}

function show(spec, key) {
  document.title = `${spec.info.title} API`;
  const forget = document.getElementById("forget");
  forget.hidden = !key;
  const ui = SwaggerUIBundle({
    spec,
    dom_id: "#docs",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    // Requests that are tried go with the key, as if it had been typed into "Authorize".
    onComplete: () => key && spec.components.securitySchemes && ui.preauthorizeApiKey("key", key),
  });
}

document.getElementById("key").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, event.target.elements.key.value.trim());
  read();
});
document.getElementById("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.reload();
});
read();
