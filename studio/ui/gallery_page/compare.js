// Two pictures compared: a slider, or side by side, and only the settings that differ.

import { make } from "../canvas/dom.js";
import { button, complain, dialog } from "./pieces.js";
import { address, getCard, getDifferences, say, sayOr } from "./server.js";

/** Compare the pictures `first` (left) and `second` (right). */
export function compare(gallery, first, second) {
  return new Comparison(gallery, first, second);
}

class Comparison {
  constructor(gallery, first, second) {
    this.gallery = gallery;
    this.ids = [first, second];
    this.beside = localStorage.getItem("tessera-compare-beside") === "yes";
    this.cut = 50;
    this.stage = make("div", { class: "gp-compare-stage" });
    this.table = make("div", { class: "gp-compare-table" });
    this.where = make("span", { class: "gp-place" }, say("compare_two"));
    this.side = button({ words: "side_by_side", picture: "side", bare: true, onclick: () => this.#turnSide() });
    this.element = dialog({ name: "comparison", title: say("compare_two"), plain: true },
      make("div", { class: "gp-top" }, this.where,
        button({ words: "swap", picture: "swap", key: "X", bare: true, onclick: () => this.#swap() }), this.side,
        button({ words: "close", picture: "close", key: "Esc", bare: true, onclick: () => this.element.close() })),
      this.stage, this.table, make("div", { class: "gp-hint" }, say("compare_keys")));
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.#draw();
  }

  async #draw() {
    const ids = [...this.ids];
    try {
      const [cards, rows] = await Promise.all([Promise.all(ids.map(getCard)), getDifferences(...ids)]);
      if (ids.join() !== this.ids.join()) return;
      this.cards = cards;
      this.#drawStage();
      this.#drawTable(rows);
    } catch (error) {
      complain(error);
      this.element.close();
    }
  }

  #drawStage() {
    const [first, second] = this.cards;
    const image = (it, name) => make("img", { class: name, src: address(it.url), alt: it.alt, draggable: "false" });
    this.side.setAttribute("aria-pressed", String(this.beside));
    if (this.beside) {
      this.stage.replaceChildren(make("div", { class: "gp-both" }, image(first, "is-first"), image(second, "is-second")));
      return;
    }
    const shape = Math.max(first.width, second.width) / Math.max(first.height, second.height);
    const range = make("input", { type: "range", min: 0, max: 100, step: 0.5, value: this.cut, "aria-label": say("compare_slider") });
    const wipe = make("div", { class: "gp-wipe" }, image(second, "is-second"), image(first, "is-first"), make("span", { class: "gp-knob" }, "⇔"), range);
    wipe.style.setProperty("--shape", shape);
    wipe.style.width = `min(100cqw, calc(100cqh * ${shape}))`;
    const move = (cut) => {
      this.cut = Math.min(100, Math.max(0, cut));
      wipe.style.setProperty("--cut", `${this.cut}%`);
      range.value = this.cut;
    };
    const follow = (event) => {
      const box = wipe.getBoundingClientRect();
      move(((event.clientX - box.left) / box.width) * 100);
    };
    wipe.addEventListener("pointerdown", (event) => (wipe.setPointerCapture(event.pointerId), follow(event)));
    wipe.addEventListener("pointermove", (event) => wipe.hasPointerCapture(event.pointerId) && follow(event));
    range.addEventListener("input", () => move(Number(range.value)));
    this.move = move;
    move(this.cut);
    this.stage.replaceChildren(wipe);
    range.focus({ preventScroll: true });
  }

  #drawTable(rows) {
    if (!rows.length) {
      this.table.replaceChildren(make("p", { class: "gp-quiet" }, say("compare_same")));
      return;
    }
    const line = ({ key, title, first, second }) => {
      const words = key === "field_prompt" || key === "field_negative_prompt";
      const cells = words ? wordDifferences(first, second) : [[make("span", {}, first || "–")], [make("span", {}, second || "–")]];
      return make("tr", {}, make("th", { scope: "row" }, sayOr(key, title)), ...cells.map((cell) => make("td", {}, ...cell)));
    };
    this.table.replaceChildren(make("table", {}, make("tbody", {}, ...rows.map(line))));
  }

  #swap() {
    this.ids.reverse();
    this.#draw();
  }

  #turnSide() {
    this.beside = !this.beside;
    localStorage.setItem("tessera-compare-beside", this.beside ? "yes" : "no");
    this.#drawStage();
  }

  /** Left and right move the slider; up and down lead the right picture through the gallery. */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowUp: -1, ArrowDown: 1 }[event.key], slide = { ArrowLeft: -4, ArrowRight: 4 }[event.key];
    if (steps) {
      const next = this.gallery.neighbour(this.ids[1], steps);
      const beyond = next === this.ids[0] ? this.gallery.neighbour(next, steps) : next;
      if (beyond && beyond !== this.ids[0] && beyond !== this.ids[1]) {
        this.ids[1] = beyond;
        this.#draw();
      }
    } else if (slide && !this.beside) this.move?.(this.cut + slide);
    else if (event.key === "x") this.#swap();
    else return;
    event.preventDefault();
  }
}

/** The two texts as nodes, with the words that only one of them has marked (longest common subsequence). */
export function wordDifferences(first, second) {
  if (!first || !second) return [[first ? make("mark", {}, first) : "–"], [second ? make("mark", {}, second) : "–"]];
  const split = (text) => text.match(/[\u3000-\u9fff\uac00-\ud7af]|[^\s\u3000-\u9fff\uac00-\ud7af]+|\s+/g) ?? [];
  const a = split(first), b = split(second);
  if (a.length * b.length > 400_000) return [[first], [second]];
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const left = [], right = [];
  const mark = (text) => (text.trim() ? make("mark", {}, text) : text);
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) (left.push(a[i++]), right.push(b[j++]));
    else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) left.push(mark(a[i++]));
    else right.push(mark(b[j++]));
  }
  return [left, right];
}
