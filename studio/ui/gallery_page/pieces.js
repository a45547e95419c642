// Small pieces of the gallery page: buttons, dialogs, tiles, messages. Words go in as text, never as markup.

import { make } from "../canvas/dom.js";
import { icon } from "./icons.js";
import { address, locale, say } from "./server.js";

const STYLE = new URL("gallery.css", import.meta.url).href;

/** Put the gallery's style on the page, once. */
export function addStyle() {
  if ([...document.querySelectorAll("link[rel=stylesheet]")].some((link) => link.href === STYLE)) return;
  document.head.append(make("link", { rel: "stylesheet", href: STYLE }));
}

/** A button with words, an icon, or both; `key` is shown in its tooltip. */
export function button({ words = "", picture = "", key = "", kind = "", onclick, ...rest }) {
  const label = words ? say(words) : "";
  const bare = rest.bare ?? !words;
  delete rest.bare;
  const made = make("button", {
    type: "button",
    class: `gp-button ${bare ? "is-bare" : ""} ${kind}`.trim(),
    title: key ? `${label}  (${key})` : bare ? label : null,
    "aria-label": bare ? label : null,
    onclick,
    ...rest,
  });
  if (picture) made.append(icon(picture));
  if (!bare) made.append(make("span", {}, label));
  return made;
}

/** A modal dialog that closes with Esc, its cross or a click beside it; it is gone from the page once closed. */
export function dialog({ title = "", name, onclose = () => {}, plain = false }, ...children) {
  const before = document.activeElement;
  const element = make("dialog", { class: `gp-dialog gp-${name}`, "aria-label": title || say(name) });
  if (!plain) {
    element.append(make("header", { class: "gp-dialog-head" },
      make("h2", {}, title),
      button({ words: "close", picture: "close", key: "Esc", bare: true, onclick: () => element.close() })));
  }
  element.append(...children);
  element.addEventListener("pointerdown", (event) => {
    if (event.target === element && !plain) element.close();
  });
  element.addEventListener("close", () => {
    element.remove();
    onclose();
    if (before?.isConnected) before.focus({ preventScroll: true });
  });
  document.body.append(element);
  element.showModal();
  return element;
}

/** One picture of a shelf; `it` is an item of the gallery's routes. */
export function tile(it, { selectable = true } = {}) {
  const element = make("div", { class: "gp-tile", title: it.alt, role: "option", "aria-label": it.alt || say(`tab_of_${it.tab}`) });
  element.dataset.id = it.id;
  element.append(make("img", { src: address(it.thumbnail), alt: "", loading: "lazy", decoding: "async", draggable: false }));
  if (selectable) element.append(make("span", { class: "gp-check" }, icon("check")));
  element.append(make("span", { class: "gp-star", title: say("starred") }, "★"));
  return element;
}

/** What stands where nothing is. */
export const empty = (title, hint = "") =>
  make("div", { class: "gp-empty" }, make("strong", {}, say(title)), hint ? make("p", {}, say(hint)) : null);

/** A moment in the artist's words: "Nov 22, 9:14 AM", with its year where that is another one. */
export function moment(iso) {
  const when = new Date(iso);
  const year = when.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return when.toLocaleString(locale(), { month: "short", day: "numeric", hour: "numeric", minute: "2-digit", ...year });
}

let toastTimer = 0;

/** A line at the foot of the page for some seconds; `action` is {words, onclick}. */
export function toast(words, { action = null, kind = "", seconds = 8 } = {}) {
  document.querySelector(".gp-toast")?.remove();
  clearTimeout(toastTimer);
  const element = make("div", { class: `gp-toast ${kind}`, role: "status", popover: "manual" }, make("span", {}, words));
  const close = () => element.remove();
  if (action) {
    element.append(button({ words: action.words, kind: "is-link", onclick: () => (close(), action.onclick()) }));
  }
  element.append(button({ words: "close", picture: "close", bare: true, onclick: close }));
  document.body.append(element);
  element.showPopover?.(); // above an open dialog
  toastTimer = setTimeout(close, seconds * 1000);
}

export const complain = (error) => toast(error.message, { kind: "is-error", seconds: 12 });

/** Calls `reach()` when `element` comes near the visible part of `root`; returns what asks anew whether it is near. */
export function whenNear(element, reach, root = null) {
  const observer = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && reach(), { root, rootMargin: "600px" });
  observer.observe(element);
  return () => {
    observer.unobserve(element);
    observer.observe(element);
  };
}
