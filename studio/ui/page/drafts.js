// What lies unsent on the page goes to the server a moment after it changed, and comes back when the page opens.
// What could not be sent (no network, the studio is starting anew) waits in this tab's own storage. See ui/drafts.py.
"use strict";
window.tessera = window.tessera || {};

(() => {
  const PAUSE_MS = 700, RETRY_MS = 3000, OPENING_MS = 10_000;
  const BEACON_BYTES = 60_000; // what a browser still sends of a page that is being closed
  const NAME = "tessera-page", UNSENT = "tessera-unsent-";

  // A private window may refuse storage: then a reload finds the session's latest draft instead of this tab's own.
  const stored = (work) => {
    try {
      return work(sessionStorage);
    } catch {
      return null;
    }
  };

  let name = stored((it) => it.getItem(NAME));
  if (!name) {
    name = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    stored((it) => it.setItem(NAME, name));
  }

  const waiting = new Map(); // form -> its content as JSON
  const sent = new Map();
  const shown = new Map(); // form -> its fields as Gradio last told them
  const typed = new Map(); // form -> texts that Gradio has not told of yet: it takes half a second, or does not while offline
  let timer = null, textTimer = null, hasBegun = false, isTouched = false;
  let atFirst = []; // the values the page came with

  const post = async (form, content) => {
    const body = JSON.stringify({ page: name, content: JSON.parse(content) });
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body };
    return fetch(`/studio/drafts/${form}`, { ...options, keepalive: body.length < BEACON_BYTES });
  };

  const send = async ([form, content]) => {
    try {
      const answer = await post(form, content);
      if (answer.status >= 500 || answer.status === 429) throw new Error(answer.statusText);
    } catch {
      clearTimeout(timer);
      timer = setTimeout(flush, RETRY_MS);
      return;
    }
    sent.set(form, content);
    if (waiting.get(form) !== content) return; // it has changed meanwhile
    waiting.delete(form);
    stored((it) => it.removeItem(UNSENT + form));
  };

  const flush = () => {
    clearTimeout(timer);
    return Promise.all([...waiting].map(send));
  };

  const put = (form, content) => {
    const text = JSON.stringify(content);
    if (text === (waiting.get(form) ?? sent.get(form))) return;
    waiting.set(form, text);
    stored((it) => it.setItem(UNSENT + form, text));
    clearTimeout(timer);
    timer = setTimeout(flush, PAUSE_MS);
  };

  const putAll = () => isTouched && shown.forEach((content, form) => put(form, content));

  const putTyped = () => {
    for (const [form, texts] of typed) put(form, { ...shown.get(form), ...texts });
    typed.clear();
  };

  const noteText = (fields, field) => {
    const block = field.closest?.("[id]");
    const [form, name] = fields[block?.id] ?? [];
    if (!form) return;
    typed.set(form, { ...typed.get(form), [name]: field.value });
    clearTimeout(textTimer);
    textTimer = setTimeout(() => hasBegun && putTyped(), PAUSE_MS);
  };

  const clicks = new Map();

  /** The number of this click on a desk's Generate: the server takes them in this order. */
  tessera.turn = (desk) => {
    clicks.set(desk, (clicks.get(desk) ?? 0) + 1);
    return clicks.get(desk);
  };

  tessera.drafts = {
    /** Send what an earlier life of this tab could not, then name the tab: the first thing that happens on a page.
     *  `fields`: the id of each text field -> [form, name]. */
    open: async (fields) => {
      addEventListener("input", (event) => noteText(fields, event.target), { capture: true });
      const left = stored((it) => Object.keys(it).filter((key) => key.startsWith(UNSENT))) ?? [];
      for (const key of left) waiting.set(key.slice(UNSENT.length), stored((it) => it.getItem(key)));
      await Promise.race([flush(), new Promise((resolve) => setTimeout(resolve, OPENING_MS))]);
      return [name];
    },

    /** Note the values the page came with. */
    found: (values) => (atFirst = values.map((value) => JSON.stringify(value))),

    /** What to show: what was `kept`, by its place, but where the artist was quicker than the server what is there now.
     *  `places`: [form, name] of each of the `values` there are now. */
    merged: (places, kept, values) => values.map((value, i) => {
      const [form, name] = places[i];
      const text = typed.get(form)?.[name];
      if (text !== undefined) return text;
      const isNew = isTouched && atFirst.length && JSON.stringify(value) !== atFirst[i];
      return isNew || !(i in (kept ?? {})) ? value : kept[i];
    }),

    /** From now on changes are the artist's; those before count only if somebody has touched the page already. */
    begin: () => {
      hasBegun = true;
      putAll();
    },

    keep: (form, names, values) => {
      const content = Object.fromEntries(names.map((it, i) => [it, values[i]]));
      shown.set(form, content);
      const texts = Object.entries(typed.get(form) ?? {}).filter(([name, text]) => content[name] !== text);
      if (texts.length) typed.set(form, Object.fromEntries(texts));
      else typed.delete(form);
      if (hasBegun) put(form, content);
    },

    put,

    /** What was last kept of `form` in this tab, or in the session; null where there is nothing. */
    find: async (form) => {
      try {
        const answer = await fetch(`/studio/drafts/${form}?page=${name}`);
        return answer.ok ? (await answer.json()).content : null;
      } catch {
        return null;
      }
    },
  };

  for (const event of ["input", "pointerdown"]) addEventListener(event, () => (isTouched = true), { once: true, capture: true });
  addEventListener("pagehide", () => {
    if (!hasBegun) putAll(); // a page may be closed before it has filled itself in
    putTyped();
    flush();
  });
  addEventListener("online", flush);
  document.addEventListener("visibilitychange", () => document.hidden && flush());
})();
