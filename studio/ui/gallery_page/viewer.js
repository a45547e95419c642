// One picture as large as the window: arrows, star, delete, compare, information, zoom, Esc.

import { make } from "../canvas/dom.js";
import { askFormat, card, kinOf } from "./card.js";
import { button, complain, dialog } from "./pieces.js";
import { address, getCard, locale, say } from "./server.js";

const SWIPE_PIXELS = 48;

/** Open the viewer at picture `id`; returns {show(id), drawn(), close()}. */
export function view(gallery, id) {
  gallery.viewer?.close();
  return new Viewer(gallery, id);
}

class Viewer {
  constructor(gallery, id) {
    this.gallery = gallery;
    this.image = make("img", { alt: "" });
    this.canvas = make("div", { class: "gp-canvas", tabIndex: -1, autofocus: true }, this.image,
      button({ words: "previous", picture: "left", key: "←", bare: true, kind: "gp-turn is-left", onclick: () => this.turn(-1) }),
      button({ words: "next", picture: "right", key: "→", bare: true, kind: "gp-turn is-right", onclick: () => this.turn(1) }));
    this.info = make("div", { class: "gp-info" });
    this.where = make("span", { class: "gp-place" });
    this.star = button({ words: "star", picture: "star", key: "S", bare: true, kind: "is-star", onclick: () => gallery.star([this.id]) });
    this.infoButton = button({ words: "details", picture: "info", key: "I", bare: true, onclick: () => this.inform() });
    this.film = button({ words: "film_title", picture: "film", bare: true, kind: "is-film", hidden: true, onclick: () => gallery.film(this.id, this.film.value) });
    const tools = gallery.inTrash
      ? [button({ words: "restore", picture: "restore", onclick: () => gallery.restore([this.id]) })]
      : [
        this.star,
        button({ words: "compare_two", picture: "compare", key: "C", bare: true, onclick: () => gallery.compare([this.id]) }),
        this.film,
        button({ words: "family", picture: "tree", bare: true, onclick: () => gallery.family(this.id) }),
        button({ words: "download_as", picture: "download", bare: true, onclick: (event) => askFormat(event.currentTarget, this.id) }),
        button({ words: "trash", picture: "trash", key: "Del", bare: true, onclick: () => gallery.trash([this.id]) }),
      ];
    this.element = dialog({ name: "viewer", title: say("viewer"), plain: true, onclose: () => this.#closed() },
      make("div", { class: "gp-top" }, this.where, ...tools, this.infoButton,
        button({ words: "close", picture: "close", key: "Esc", bare: true, onclick: () => this.close() })),
      make("div", { class: "gp-view" }, this.canvas, this.info),
      make("div", { class: "gp-hint" }, say("viewer_keys")));
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.image.addEventListener("click", (event) => this.#zoom(event));
    this.#swipe();
    if (localStorage.getItem("tessera-gallery-info") === "yes" && !gallery.isPhone) this.inform(true);
    this.show(id);
  }

  /** Show picture `id`; null closes the viewer. */
  show(id) {
    if (!id) return this.close();
    this.id = id;
    this.canvas.classList.remove("is-zoomed");
    const it = this.gallery.pages.find(id);
    this.image.src = address(it?.url ?? `studio/pictures/${id}.png`);
    this.image.alt = it?.alt ?? "";
    this.film.hidden = true;
    if (it) this.gallery.choose(id);
    this.drawn();
    for (const steps of [1, -1]) {
      const near = this.gallery.pages.find(this.gallery.neighbour(id, steps));
      if (near && near.id !== id) new Image().src = address(near.url);
    }
  }

  /** Take up what changed about the picture. */
  drawn() {
    const { pages, filters } = this.gallery;
    const it = pages.find(this.id), place = pages.place(this.id);
    const total = pages.next ? filters.total : pages.items.length;
    this.where.textContent = place < 0 ? "" : `${(place + 1).toLocaleString(locale())} / ${(total ?? pages.items.length).toLocaleString(locale())}`;
    this.star.setAttribute("aria-pressed", String(Boolean(it?.starred)));
    this.star.classList.toggle("is-starred", Boolean(it?.starred));
    this.canvas.querySelector(".is-left").disabled = place <= 0;
    this.canvas.querySelector(".is-right").disabled = place < 0 || place >= pages.items.length - 1;
    this.#tell();
  }

  turn(steps) {
    if (this.gallery.pages.place(this.id) < 0) return;
    const next = this.gallery.neighbour(this.id, steps);
    if (next && next !== this.id) this.show(next);
  }

  inform(on = !this.element.classList.contains("has-info")) {
    this.element.classList.toggle("has-info", on);
    this.infoButton.setAttribute("aria-pressed", String(on));
    localStorage.setItem("tessera-gallery-info", on ? "yes" : "no");
    if (on && this.id) this.#tell();
  }

  close() {
    if (this.element.open) this.element.close();
  }

  /** Ask for what the shelf does not know of the picture: whether it has a film, and what the details say. */
  async #tell() {
    const { id } = this;
    try {
      const value = await getCard(id);
      if (this.id !== id) return;
      this.film.value = value.film;
      this.film.hidden = !value.film;
      if (!this.element.classList.contains("has-info")) return;
      this.info.replaceChildren(card(this.gallery, value));
      kinOf(this.gallery, value, this.info.querySelector(".gp-kin-place"));
    } catch (error) {
      complain(error);
    }
  }

  #closed() {
    if (this.gallery.viewer === this) this.gallery.viewer = null;
    this.gallery.shelf.tileOf(this.id)?.scrollIntoView({ block: "nearest" });
    this.gallery.shelf.grid.focus({ preventScroll: true });
  }

  #key(event) {
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "z" && (event.ctrlKey || event.metaKey) && !event.target.matches("input, textarea")) this.gallery.undo();
      return;
    }
    const { gallery } = this;
    const act = {
      ArrowLeft: () => this.turn(-1), ArrowRight: () => this.turn(1),
      s: () => gallery.star([this.id]), ".": () => gallery.star([this.id]),
      Delete: () => gallery.trash([this.id]), Backspace: () => gallery.trash([this.id]),
      c: () => gallery.compare([this.id]), i: () => this.inform(), z: () => this.#zoom(),
    }[event.key];
    if (!act || (gallery.inTrash && ["s", ".", "Delete", "Backspace", "c"].includes(event.key))) return;
    event.preventDefault();
    act();
  }

  /** Between "all of it" and one picture pixel per screen pixel (or twice that, where it fits anyway). */
  #zoom(event = null) {
    const zoomed = this.canvas.classList.toggle("is-zoomed");
    this.image.style.width = "";
    if (!zoomed) return;
    const { naturalWidth, naturalHeight } = this.image;
    const fits = Math.min(this.canvas.clientWidth / naturalWidth, this.canvas.clientHeight / naturalHeight);
    this.image.style.width = `${naturalWidth * Math.max(1, Math.ceil(fits * 1.5))}px`;
    const at = event ? [event.offsetX / event.target.clientWidth, event.offsetY / event.target.clientHeight] : [0.5, 0.5];
    this.canvas.scrollTo((this.canvas.scrollWidth - this.canvas.clientWidth) * at[0], (this.canvas.scrollHeight - this.canvas.clientHeight) * at[1]);
  }

  #swipe() {
    let start = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      start = event.pointerType === "touch" && event.isPrimary ? [event.clientX, event.clientY] : null;
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (!start || this.canvas.classList.contains("is-zoomed")) return;
      const [x, y] = [event.clientX - start[0], event.clientY - start[1]];
      start = null;
      if (Math.abs(x) > SWIPE_PIXELS && Math.abs(x) > Math.abs(y) * 1.5) this.turn(x < 0 ? 1 : -1);
      else if (y > SWIPE_PIXELS * 2 && y > Math.abs(x) * 1.5) this.close();
    });
  }
}
