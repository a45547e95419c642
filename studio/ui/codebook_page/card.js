// The chosen code's card: its swatch, how often it occurs, what is like it, where it is, and what to do with it.

import { make, toolButton } from "../canvas/dom.js";
import { getJson } from "../canvas/server.js";
import { say } from "../canvas/words.js";

export class CodeCard {
  constructor(box, app) {
    this.box = box;
    this.app = app;
    this.code = null;
    this.card = null;
    this.turn = 0;
  }

  async show(code) {
    this.code = code;
    const turn = ++this.turn;
    const { desk, atlas } = this.app;
    if (!atlas.sprite || !desk.isOpen) return;
    const query = new URLSearchParams({ model: desk.model });
    const card = await this.app.busy(() => getJson(`codes/atlas/card/${code}?${query}`));
    if (!card || turn !== this.turn) return;
    this.card = card;
    this.#draw();
  }

  /** The picture changed: count again. */
  refresh() {
    if (this.card) this.count.textContent = this.#counted();
  }

  toggleWhere() {
    const isOn = this.app.toggleSpotlight(this.code);
    this.where.setAttribute("aria-pressed", String(isOn));
  }

  #draw() {
    const { code, similar, interchangeable } = this.card;
    this.count = make("span", { class: "cb-count" }, this.#counted());
    this.where = toolButton({
      name: "hide", label: "Where", key: "W", toggles: true, text: true, onclick: () => this.toggleWhere(),
    });
    this.where.setAttribute("aria-pressed", String(this.app.canvas.spotlight !== null));
    const mask = () => this.app.mask();
    this.gallery = make("div", { class: "cb-places" });
    this.box.replaceChildren(
      make(
        "div",
        { class: "cb-title" },
        this.#swatch(code, 52),
        make("div", {}, make("strong", {}, `${say("Code")} ${code}`), this.count),
      ),
      this.#row("Looks alike", similar),
      this.#row("Swaps well", interchangeable),
      make(
        "div",
        { class: "sc-group cb-acts" },
        this.where,
        toolButton({
          name: "replace", label: "Replace all", text: true, onclick: () => this.app.beginReplacing(code),
        }),
        toolButton({
          name: "clear", label: "Mute", text: true,
          onclick: () => this.app.do({ kind: "mute", codes: [code], mask: mask() }),
        }),
        toolButton({ name: "open", label: "In the gallery", text: true, onclick: () => this.#places() }),
      ),
      this.gallery,
    );
  }

  #counted() {
    const here = this.app.canvas.grid ? (this.app.canvas.counts().get(this.code) ?? 0) : 0;
    const count = this.app.atlas.page?.counts?.[this.code] ?? null;
    const place = say(this.app.order.corpus === "gallery" ? "in my gallery" : "in the examples");
    const used = count === null ? "" : ` · ${count} × ${place}`;
    return `${here} × ${say("in this picture")}${used}`;
  }

  #row(label, codes) {
    const row = make("div", { class: "cb-row" }, make("span", {}, say(label)));
    for (const code of codes) {
      const button = make("button", {
        type: "button", class: "cb-swatch", "aria-label": `${say("Code")} ${code}`, title: String(code),
        onclick: () => this.app.choose(code),
      }, this.#swatch(code, 26));
      row.append(button);
    }
    return row;
  }

  #swatch(code, size) {
    const ratio = window.devicePixelRatio || 1;
    const canvas = make("canvas", { width: size * ratio, height: size * ratio, class: "cb-paint" });
    canvas.style.width = canvas.style.height = `${size}px`;
    this.app.atlas.paintSwatch(canvas, code);
    return canvas;
  }

  async #places() {
    const query = new URLSearchParams({ model: this.app.desk.model });
    const places = await this.app.busy(() => getJson(`codes/atlas/places/${this.code}?${query}`), say("Looking through the gallery"));
    if (!places) return;
    if (!places.length) this.gallery.replaceChildren(say("No picture of your gallery uses it."));
    else
      this.gallery.replaceChildren(
        ...places.map(({ record, share }) =>
          make(
            "button",
            { type: "button", "aria-label": say("Open"), onclick: () => this.app.open({ record, side: this.app.side }) },
            make("img", { src: new URL(`studio/thumbnails/${record}`, document.baseURI).href, alt: "" }),
            make("span", {}, `${Math.round(1000 * share) / 10} %`),
          ),
        ),
      );
  }
}
