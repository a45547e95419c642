// The gallery's routes, and its words: what every part of the gallery page asks the studio.

import { call, getJson, post } from "../canvas/server.js";

/** The text `key` in the artist's language, with {name} filled in from `values`. */
export const say = (key, values = {}) => window.tessera?.say?.(key, values) ?? key;

/** The text `key` where there is one, else `fallback`. */
export const sayOr = (key, fallback) => {
  const words = say(key);
  return words === key ? fallback : words;
};

/** Whether the artist reads Chinese; dates and numbers follow the page's language. */
export const locale = () => (navigator.language.toLowerCase().startsWith("zh") ? navigator.language : "en");

/** An address of the studio's, wherever it is mounted. */
export const address = (path) => new URL(path, document.baseURI).href;

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  return new URLSearchParams(given.map(([key, value]) => [key, value === true ? "1" : String(value)])).toString();
};

const zone = () => ({ minutes_east: -new Date().getTimezoneOffset() });

/** A page of pictures older than `before`: {pictures, next}. */
export const getPage = (filters, { before = null, limit = null, signal = null } = {}) =>
  call(`gallery/pictures?${query({ ...filters, before, limit, ...zone() })}`, { signal }).then((answer) => answer.json());

export const getCount = (filters, { signal = null } = {}) =>
  call(`gallery/count?${query({ ...filters, ...zone() })}`, { signal }).then((answer) => answer.json()).then(({ count }) => count);

export const getFacets = () => getJson("gallery/facets");
export const getCard = (id) => getJson(`gallery/pictures/${id}`);
export const getKin = (id) => getJson(`gallery/pictures/${id}/kin`);
export const getFamily = (id) => getJson(`gallery/pictures/${id}/family`);
export const getDifferences = (first, second) => getJson(`gallery/differences?${query({ first, second })}`);
export const getSettings = (id) => getJson(`gallery/pictures/${id}/settings`);

export const star = (ids, on) => post("gallery/star", { ids, on });
export const collect = (ids, name, on = true) => post("gallery/collect", { ids, name, on });
export const note = (id, text) => post(`gallery/pictures/${id}/note`, { text }).then((answer) => answer.json());
export const trash = (ids) => post("gallery/trash", { ids }).then((answer) => answer.json());
export const restore = (ids) => post("gallery/restore", { ids });
export const emptyTrash = () => post("gallery/empty-trash", {}).then((answer) => answer.json());

/** POST `body` and call `take(line)` for each JSON line of the answer as it comes. */
export async function postLines(path, body, take, options = {}) {
  await readLines(await post(path, body, options), take);
}

/** Call `take(line)` for each JSON line of an answer as it comes. */
export async function readLines(answer, take) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value ?? "")).split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) if (line) take(JSON.parse(line));
    if (done) return;
  }
}

/** Calls `run(signal)` a moment after the last call; what is under way is dropped for it. */
export function settled(run, milliseconds = 180) {
  let timer = 0, under = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      under?.abort();
      under = new AbortController();
      run(under.signal);
    }, milliseconds);
  };
}
