"use strict";

// Swagger UI is dark by a class; the reader's system says whether.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  onComplete: () => {
    const title = document.querySelector(".info .title");
    if (title) document.title = `${title.firstChild.textContent} API`;
  },
});
