// The style of sharing's pieces, once per page.
"use strict";
(() => {
  const href = new URL("studio/static/sharing_page/sharing.css", document.baseURI).href;
  if ([...document.querySelectorAll("link[rel=stylesheet]")].some((link) => link.href === href)) return;
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
})();
