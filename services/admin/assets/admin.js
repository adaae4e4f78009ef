// Says when the service behind the page does not answer; htmx goes on asking.
"use strict";
(() => {
  const offline = () => document.getElementById("offline");
  const lost = () => { offline().hidden = false; };
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(name, lost);
  }
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (event.detail.successful) { offline().hidden = true; }
  });
})();
