// Puts an editor into the element Gradio gives us and keeps the component's value and the editor in step.

import { MaskEditor } from "./mask.js";

const STYLE = new URL("canvas.css", import.meta.url).href;

/** All canvases of the page by name; `flush` of one is what an event waits for before it reads the value. */
const canvases = (window.studioCanvases ??= new Map());

function addStyle(href) {
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  document.head.append(link);
}

/** Mount the mask canvas called `name`; `props.value` is its value both ways. */
export function mountMask(element, { name, props, watch, changed }) {
  addStyle(STYLE);
  let sent = "";
  const editor = new MaskEditor(element.querySelector("[data-canvas]"), {
    name,
    onvalue: (value) => {
      sent = JSON.stringify(value);
      props.value = value;
      changed();
    },
  });
  canvases.set(name, editor);
  const open = async () => {
    const value = props.value;
    if (!value?.source || JSON.stringify(value) === sent) return;
    if (value.kept) await editor.ready; // the server's memory of this canvas: the browser's own has more to it
    if (value.kept && editor.source) return;
    await editor.ready;
    if (value.kept && editor.source) return; // the server kept what this browser has kept, undo and all
    await editor.attempt(() => editor.openRef(value.source, { mask: value.mask }));
  };
  watch("value", open);
  open(); // a picture may have been sent here before the tab was ever shown
  return editor;
}
