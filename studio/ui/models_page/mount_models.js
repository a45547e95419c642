// The Models tab, as `studio.ui.tabs.models` lays it out; the rest is loaded as a module.
"use strict";
tessera.models = (element) =>
  import(new URL("studio/static/models_page/models.js", document.baseURI).href).then((page) => page.mount(element.querySelector("[data-models]")));
