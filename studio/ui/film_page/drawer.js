// The drawer of a fork: filled in with the run's own settings, except where the artist was faster than the server.
"use strict";
(() => {
  const asked = new Map(); // tab -> what lay in its drawer as it was asked for
  const SKIP = { __type__: "update" };

  /** What a field holds on the page: Gradio itself learns of it only a moment later. Nothing while it is not shown. */
  const held = (id) =>
    [...document.querySelectorAll(`#${id} :is(input, textarea)`)].map((it) => it.value).join("\n");

  const lastStroke = (tab) => window.studioCanvases?.get(`${tab}-fork`)?.history?.done.at(-1);

  tessera.drawer = {
    /** Take note of what lies in the drawer of `tab`; what is typed from here on stays. */
    asked: (tab, ids) =>
      asked.set(tab, { texts: Object.fromEntries(ids.map((id) => [id, held(id)])), stroke: lastStroke(tab) }),

    /** Values for the drawer, its fields and its canvas from what the server offers; null: it had nothing to offer. */
    filled: (tab, ids, offer) => {
      if (!offer) return [SKIP, SKIP, ...ids.map(() => SKIP)];
      const { texts, stroke } = asked.get(tab);
      const fields = ids.map((id, i) => (held(id) === texts[id] ? offer.fields[i] : SKIP));
      return [{ ...SKIP, visible: true }, lastStroke(tab) === stroke ? offer.canvas : SKIP, ...fields];
    },
  };
})();
