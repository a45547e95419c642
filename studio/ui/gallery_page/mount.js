// Puts the gallery into the element Gradio gives us.

import { Gallery } from "./gallery.js";
import { addStyle } from "./pieces.js";

/** Mount it; `props.value` is {sends: tabs that take pictures, owns: whether this is the owner's page, retention_days}. */
export function mount(element, { props, trigger }) {
  addStyle();
  const gallery = new Gallery(element.querySelector("[data-gallery]"), {
    sends: props.value?.sends ?? [],
    owns: props.value?.owns ?? false,
    retentionDays: props.value?.retention_days ?? 0,
    onsend: (id, to) => trigger("send", { id, to }),
    onfilm: (id, to) => trigger("film", { id, to }),
    onreuse: (id, what) => trigger("reuse", { id, what }),
  });
  window.studioGallery = gallery;
  return gallery;
}
