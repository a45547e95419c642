// Menus that open at a button: where to send a picture, which collection to put it into.

import { make } from "../canvas/dom.js";
import { button } from "./pieces.js";
import { getFacets, say } from "./server.js";

/** Open a menu of `pieces` at `anchor`; it closes when something else is clicked. Returns {close}. */
export function openMenu(anchor, ...pieces) {
  const menu = make("div", { class: "gp-menu", popover: "auto", role: "menu" }, ...pieces);
  (anchor.closest("dialog") ?? document.body).append(menu);
  menu.addEventListener("toggle", (event) => event.newState === "closed" && menu.remove());
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...menu.querySelectorAll("button, input")];
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
  });
  menu.showPopover();
  const at = anchor.getBoundingClientRect(), size = menu.getBoundingClientRect();
  const above = at.bottom + size.height + 12 > innerHeight && at.top > size.height;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
  menu.style.top = `${above ? at.top - size.height - 6 : at.bottom + 6}px`;
  menu.querySelector("button, input")?.focus();
  return { close: () => menu.hidePopover() };
}

/** A menu of the tabs that take pictures. */
export function askTab(anchor, tabs, send) {
  const menu = openMenu(anchor, ...tabs.map((tab) =>
    button({ words: `send_to_${tab}`, onclick: () => (menu.close(), send(tab)) })));
}

/** A menu of the collections there are, and a field for a new one. */
export async function askCollection(anchor, choose) {
  const name = make("input", { class: "gp-field", placeholder: say("new_collection"), "aria-label": say("new_collection"), maxLength: 120 });
  const form = make("form", { onsubmit: (event) => {
    event.preventDefault();
    if (name.value.trim()) (menu.close(), choose(name.value.trim()));
  } }, name, button({ words: "add", picture: "plus", bare: true, onclick: () => form.requestSubmit() }));
  const { collections } = await getFacets().catch(() => ({ collections: [] }));
  const menu = openMenu(anchor, form, ...collections.slice(0, 12).map((it) =>
    unworded(it.name, () => (menu.close(), choose(it.name)))));
}

function unworded(name, onclick) {
  return make("button", { type: "button", class: "gp-button", onclick }, make("span", {}, name));
}
