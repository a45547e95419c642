// The shelf: tiles under the day they were made, with pointer, touch and keys.

import { make } from "../canvas/dom.js";
import { columns } from "./picker.js";
import { button, empty, tile, whenNear } from "./pieces.js";
import { locale, say } from "./server.js";

const LONG_PRESS_MS = 450;

export class Shelf {
  constructor(gallery) {
    this.gallery = gallery;
    this.root = null;
    this.anchor = null;
    this.grid = make("div", { class: "gp-grid", role: "listbox", tabIndex: 0, "aria-label": say("tab_gallery"), "aria-multiselectable": "true" });
    this.foot = make("div", { class: "gp-foot" });
    this.element = make("div", {}, this.grid, this.foot);
    this.grid.addEventListener("click", (event) => this.#click(event));
    this.grid.addEventListener("dblclick", (event) => {
      const id = event.target.closest(".gp-tile")?.dataset.id;
      if (id && !event.target.closest(".gp-check")) gallery.view(id);
    });
    this.grid.addEventListener("keydown", (event) => this.#key(event));
    this.#longPress();
    this.lookFurther = whenNear(this.foot, () => gallery.pages.more());
  }

  /** Show what the pages hold. What stands already stays as it is, so that a click on it is never lost to a redraw. */
  draw() {
    const { items, filters } = this.gallery.pages;
    const standing = new Map([...this.grid.children].map((it) => [it.dataset.key, it]));
    const piece = (key, build) => {
      const made = standing.get(key) ?? build();
      made.dataset.key = key;
      return made;
    };
    const wanted = items.length ? [] : [this.#nothing(filters)];
    let day = null;
    for (const it of items) {
      const its = new Date(it.made).toDateString();
      if (its !== day) wanted.push(piece(its, () => make("h3", { class: "gp-day", role: "presentation" }, dayName(it.made))));
      day = its;
      wanted.push(piece(it.id, () => tile(it)));
    }
    const kept = new Set(wanted);
    for (const it of [...this.grid.children]) if (!kept.has(it)) it.remove();
    let next = this.grid.firstChild;
    for (const it of wanted) {
      if (it === next) next = next.nextSibling;
      else this.grid.insertBefore(it, next);
    }
    this.mark();
    this.lookFurther();
  }

  /** Show which tiles are chosen, selected and starred. */
  mark() {
    const { chosen, selected, pages } = this.gallery;
    this.grid.classList.toggle("has-choice", Boolean(chosen));
    const stars = new Set(pages.items.filter((it) => it.starred).map((it) => it.id));
    for (const it of this.grid.querySelectorAll(".gp-tile")) {
      const { id } = it.dataset;
      it.classList.toggle("is-chosen", id === chosen);
      it.classList.toggle("is-selected", selected.has(id));
      it.classList.toggle("is-starred", stars.has(id));
      it.setAttribute("aria-selected", String(id === chosen || selected.has(id)));
    }
  }

  tileOf(id) {
    return this.grid.querySelector(`[data-id="${id}"]`);
  }

  #nothing(filters) {
    const { gallery } = this;
    if (filters.trashed) return empty("trash_empty", "trash_empty_hint");
    if (Object.values(filters).some(Boolean)) return empty("gallery_no_match", "gallery_no_match_hint");
    const box = empty("gallery_empty", "gallery_empty_hint");
    if (gallery.owns) box.append(button({ words: "import", picture: "upload", onclick: () => gallery.importSome() }));
    return box;
  }

  #click(event) {
    const { gallery } = this;
    const id = event.target.closest(".gp-tile")?.dataset.id;
    if (!id || this.pressed) return;
    this.grid.focus({ preventScroll: true });
    const ids = gallery.pages.ids;
    if (event.shiftKey && this.anchor && ids.includes(this.anchor)) {
      const [from, to] = [ids.indexOf(this.anchor), ids.indexOf(id)].sort((a, b) => a - b);
      gallery.select([...gallery.selected, ...ids.slice(from, to + 1)]);
    } else if (event.target.closest(".gp-check") || event.ctrlKey || event.metaKey || gallery.selected.size) {
      this.anchor = id;
      gallery.toggle(id);
    } else {
      this.anchor = id;
      gallery.choose(id, { open: gallery.isPhone });
    }
  }

  #key(event) {
    const { gallery } = this;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(this.grid), ArrowDown: columns(this.grid) }[event.key];
    const ctrl = (event.ctrlKey || event.metaKey) && !event.altKey;
    if (move && plain) this.#move(move, event.shiftKey);
    else if (ctrl && event.key === "a") gallery.select(gallery.pages.ids);
    else if (ctrl && event.key === "z") gallery.undo();
    else if (!plain) return;
    else if (event.key === "Enter" && gallery.chosen) gallery.view(gallery.chosen);
    else if (event.key === " " && gallery.chosen) gallery.toggle(gallery.chosen);
    else if (event.key === "s" || event.key === ".") gallery.star();
    else if (event.key === "c") gallery.compare();
    else if ((event.key === "Delete" || event.key === "Backspace") && !gallery.inTrash) gallery.trash();
    else if (event.key === "Escape" && gallery.selected.size) gallery.select([]);
    else if (event.key === "/") gallery.filters.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(steps, selecting) {
    const { gallery } = this;
    const id = gallery.chosen ? gallery.neighbour(gallery.chosen, steps) : gallery.pages.ids[0];
    if (!id) return;
    if (selecting) gallery.select([...gallery.selected, ...(gallery.chosen ? [gallery.chosen] : []), id]);
    gallery.choose(id);
    this.tileOf(id)?.scrollIntoView({ block: "nearest" });
  }

  /** On a touch screen a long press begins a selection. */
  #longPress() {
    let timer = 0;
    const stop = () => clearTimeout(timer);
    this.grid.addEventListener("pointerdown", (event) => {
      this.pressed = false;
      const id = event.target.closest(".gp-tile")?.dataset.id;
      if (event.pointerType !== "touch" || !id) return;
      timer = setTimeout(() => {
        this.pressed = true; // so that the click at its end does nothing
        this.gallery.toggle(id);
        navigator.vibrate?.(10);
      }, LONG_PRESS_MS);
    });
    for (const name of ["pointerup", "pointermove", "pointercancel"]) this.grid.addEventListener(name, stop);
    this.grid.addEventListener("contextmenu", (event) => this.pressed && event.preventDefault());
  }
}

function dayName(iso) {
  const day = new Date(iso), today = new Date();
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const ago = Math.round((midnight(today) - midnight(day)) / 86_400_000);
  if (ago === 0) return say("today");
  if (ago === 1) return say("yesterday");
  const sameYear = day.getFullYear() === today.getFullYear();
  return day.toLocaleDateString(locale(), { weekday: "long", month: "long", day: "numeric", ...(sameYear ? {} : { year: "numeric" }) });
}
