// "From gallery": a small dialog in which the artist chooses one picture.

import { make } from "../canvas/dom.js";
import { Pages } from "./pages.js";
import { addStyle, button, dialog, empty, tile, whenNear } from "./pieces.js";
import { say, settled } from "./server.js";

const LIMIT = 60;

/** Ask for a picture; resolves to {id, url, thumbnail, width, height, alt} or to null when the artist chose none. */
export function pickPicture({ title = say("picker_title") } = {}) {
  addStyle();
  return new Promise((resolve) => {
    let chosen = null;
    const grid = make("div", { class: "gp-grid is-small", role: "listbox", tabIndex: 0, "aria-label": title });
    const foot = make("div", { class: "gp-foot" });
    const words = make("input", { type: "search", class: "gp-field", placeholder: say("search_placeholder"), "aria-label": say("search") });
    const starred = button({ words: "starred_only", picture: "star", bare: true, kind: "is-star", "aria-pressed": "false" });
    const scroll = make("div", { class: "gp-scroll" }, grid, foot);
    const box = dialog(
      { title, name: "picker", onclose: () => resolve(chosen) },
      make("div", { class: "gp-picker-bar" }, words, starred),
      scroll,
    );
    const choose = (id) => {
      chosen = pages.find(id) ?? null;
      box.close();
    };
    const pages = new Pages({
      limit: LIMIT,
      onchange: () => (draw(grid, pages, choose), lookFurther()),
      onfailure: (error) => grid.replaceChildren(make("p", { class: "gp-empty" }, error.message)),
    });
    const look = settled((signal) => pages.open({ text: words.value, starred: starred.getAttribute("aria-pressed") === "true" }, signal));
    words.addEventListener("input", look);
    words.addEventListener("keydown", (event) => event.key === "ArrowDown" && (event.preventDefault(), step(grid, 1)));
    starred.addEventListener("click", () => {
      starred.setAttribute("aria-pressed", String(starred.getAttribute("aria-pressed") !== "true"));
      look();
    });
    grid.addEventListener("keydown", (event) => {
      const rows = columns(grid);
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -rows, ArrowDown: rows }[event.key];
      if (steps) step(grid, steps);
      else if (event.key === "Enter" && grid.querySelector(".is-chosen")) choose(grid.querySelector(".is-chosen").dataset.id);
      else return;
      event.preventDefault();
    });
    const lookFurther = whenNear(foot, () => pages.more(), scroll);
    pages.open({});
    words.focus();
  });
}

function draw(grid, pages, choose) {
  if (!pages.items.length) {
    const nothing = pages.filters.text || pages.filters.starred ? "gallery_no_match" : "gallery_empty";
    grid.replaceChildren(empty(nothing, `${nothing}_hint`));
    return;
  }
  const shown = new Set([...grid.querySelectorAll(".gp-tile")].map((it) => it.dataset.id));
  const isFurther = [...shown].every((id, place) => pages.items[place]?.id === id) && shown.size > 0;
  const fresh = isFurther ? pages.items.slice(shown.size) : pages.items;
  const tiles = fresh.map((it) => {
    const made = tile(it, { selectable: false });
    if (it.starred) made.classList.add("is-starred");
    made.addEventListener("click", () => choose(it.id));
    return made;
  });
  if (isFurther) grid.append(...tiles);
  else grid.replaceChildren(...tiles);
}

/** How many tiles stand side by side. */
export function columns(grid) {
  const tops = [...grid.querySelectorAll(".gp-tile")].slice(0, 40).map((it) => it.offsetTop);
  return Math.max(1, tops.filter((top) => top === tops[0]).length);
}

function step(grid, steps) {
  const tiles = [...grid.querySelectorAll(".gp-tile")];
  const now = tiles.findIndex((it) => it.classList.contains("is-chosen"));
  const next = tiles[Math.min(tiles.length - 1, Math.max(0, now < 0 ? 0 : now + steps))];
  for (const it of tiles) it.classList.toggle("is-chosen", it === next);
  grid.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}
