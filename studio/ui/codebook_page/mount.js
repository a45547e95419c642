// Puts the Codebook tab into the element Gradio gives us, and opens what other tabs send.

import { make } from "../canvas/dom.js";
import { Codebook } from "./codebook.js";

/** Mount the tab; `props.value` may name a gallery picture to open, {open: record id}, or a {recipe} to bring back. */
export function mount(element, { props, watch }) {
  for (const name of ["../canvas/canvas.css", "codebook.css"]) {
    const href = new URL(name, import.meta.url).href;
    if ([...document.styleSheets].some((sheet) => sheet.href === href)) continue;
    document.head.append(make("link", { rel: "stylesheet", href }));
  }
  const app = new Codebook(element.querySelector("[data-codebook]"), {
    onkept: (record) => (props.value = { pictures: [{ id: record }], chosen: 0 }),
  });
  window.studioCodebook = app;
  const receive = async () => {
    const { open: record, recipe } = props.value ?? {};
    if (!record && !recipe) return;
    await app.ready;
    if (record) app.open({ record, side: app.side });
    else app.replay(recipe);
  };
  watch("value", receive);
  receive();
  return app;
}

