// The Gallery tab, as `studio.ui.tabs.gallery` lays it out; the rest is loaded as modules.
"use strict";
tessera.gallery = (element, props, trigger) =>
  import(new URL("studio/static/gallery_page/mount.js", document.baseURI).href).then((page) => page.mount(element, { props, trigger }));
