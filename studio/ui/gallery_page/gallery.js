// The gallery: what is shown, what is chosen, and everything that can be done with it.

import { make } from "../canvas/dom.js";
import { card, kinOf } from "./card.js";
import { compare } from "./compare.js";
import { askExport } from "./exporting.js";
import { family } from "./family.js";
import { Filters } from "./filters.js";
import { askImport, takeDrops } from "./importing.js";
import { askCollection } from "./menu.js";
import { Pages } from "./pages.js";
import { button, complain, dialog, toast } from "./pieces.js";
import { replay } from "./replay.js";
import * as server from "./server.js";
import { say } from "./server.js";
import { Shelf } from "./shelf.js";
import { view } from "./viewer.js";

const LIMIT = 120;
const AT_WORK = ["queued", "loading", "running", "decoding"]; // states of a stage that its job draws on

export class Gallery {
  /** `sends`: tabs that take pictures; `owns`: whether importing and deleting for good are there. */
  constructor(place, { sends, owns, retentionDays, onsend, onfilm, onreuse }) {
    Object.assign(this, { place, sends, owns, retentionDays, onsend, onfilm, onreuse });
    this.chosen = null;
    this.selected = new Set();
    this.trashed = [];
    this.viewer = null;
    this.pages = new Pages({ limit: LIMIT, onchange: () => this.drawn(), onfailure: complain });
    this.filters = new Filters(this);
    this.shelf = new Shelf(this);
    this.side = make("aside", { class: "gp-side", "aria-label": say("gallery_details") });
    this.bar = make("div", { class: "gp-selection", role: "toolbar", hidden: true });
    const main = make("div", { class: "gp-shelf" }, this.filters.element, this.shelf.element, this.bar);
    this.page = make("div", { class: "gp-page" }, main, this.side);
    place.replaceChildren(this.page);
    this.shelf.root = main;
    if (owns) takeDrops(this);
    this.#keepFresh();
    this.#showCard();
  }

  /** The pictures that an action is about: the selected ones, else the chosen one. */
  get meant() {
    return this.selected.size ? [...this.selected] : this.chosen ? [this.chosen] : [];
  }

  get isPhone() {
    return matchMedia("(max-width: 860px)").matches;
  }

  get inTrash() {
    return Boolean(this.pages.filters.trashed);
  }

  async look(signal = null) {
    this.select([]);
    await this.pages.open(this.filters.values, signal);
    if (this.chosen && !this.pages.find(this.chosen)) this.choose(null);
  }

  choose(id, { open = false } = {}) {
    this.chosen = id;
    this.shelf.mark();
    if (open && id) this.view(id);
    else this.#showCard();
  }

  select(ids) {
    this.selected = new Set(ids);
    this.shelf.mark();
    this.#drawBar();
  }

  toggle(id) {
    const ids = new Set(this.selected);
    if (!ids.delete(id)) ids.add(id);
    this.select(ids);
  }

  /** Where `steps` away from a picture leads, within what is shown. */
  neighbour(id, steps) {
    const ids = this.pages.ids;
    const place = ids.indexOf(id) + steps;
    if (place >= ids.length - 12) this.pages.more();
    return ids[Math.min(ids.length - 1, Math.max(0, place))] ?? null;
  }

  drawn() {
    const { items, filters, loaded } = this.pages;
    const isBare = loaded && !items.length && !Object.values(filters).some(Boolean);
    this.page.classList.toggle("is-empty", loaded && !items.length);
    this.filters.element.hidden = isBare && !this.owns;
    this.shelf.draw();
    this.filters.showCount();
    this.viewer?.drawn();
  }

  // What can be done with pictures. Each returns once the studio has done it.

  async star(ids = this.meant) {
    if (!ids.length) return;
    const on = !ids.every((id) => this.pages.find(id)?.starred);
    await this.#do(async () => {
      await server.star(ids, on);
      for (const id of ids) this.pages.change(id, { starred: on });
      this.shelf.mark();
      this.viewer?.drawn();
      this.#showCard();
    });
  }

  async trash(ids = this.meant) {
    if (!ids.length) return;
    await this.#do(async () => {
      const { retention_days: days } = await server.trash(ids);
      const after = this.neighbour(ids[0], ids.length === 1 ? 1 : 0);
      const before = this.neighbour(ids[0], -1);
      this.trashed = this.pages.remove(ids);
      this.select([]);
      const next = [after, before].find((id) => id && this.pages.find(id)) ?? null;
      if (this.chosen && ids.includes(this.chosen)) this.choose(this.viewer || !this.isPhone ? next : null);
      this.viewer?.show(next);
      const words = ids.length === 1 ? say("trashed_one", { days }) : say("trashed_many", { count: ids.length, days });
      toast(words, { action: { words: "undo", onclick: () => this.undo() }, seconds: 12 });
    });
  }

  async undo() {
    if (!this.trashed.length) return;
    const items = this.trashed;
    this.trashed = [];
    await this.#do(async () => {
      await server.restore(items.map((it) => it.id));
      if (!this.inTrash) this.pages.putBack(items);
      this.choose(items[0].id);
      document.querySelector(".gp-toast")?.remove();
      if (!this.viewer) this.shelf.grid.focus({ preventScroll: true }); // so that the keys go on working
    });
  }

  async restore(ids = this.meant) {
    await this.#do(async () => {
      await server.restore(ids);
      this.pages.remove(ids);
      this.select([]);
      this.choose(null);
      this.viewer?.close();
      toast(say(ids.length === 1 ? "restored_one" : "restored_many", { count: ids.length }));
    });
  }

  emptyTrash() {
    const box = dialog({ title: say("empty_trash"), name: "confirm" },
      make("div", { class: "gp-body" }, make("p", {}, say("empty_trash_sure"))),
      make("div", { class: "gp-dialog-foot" },
        button({ words: "cancel", onclick: () => box.close() }),
        button({ words: "empty_trash", kind: "is-main", onclick: () => (box.close(), this.#do(async () => {
          const { count } = await server.emptyTrash();
          await this.look();
          toast(say("trash_emptied", { count }));
        })) })));
  }

  collect(anchor, ids = this.meant) {
    askCollection(anchor, (name) => this.putInto(ids, name, true));
  }

  async putInto(ids, name, on) {
    await this.#do(async () => {
      await server.collect(ids, name, on);
      this.filters.refresh();
      this.#showCard();
      this.viewer?.drawn();
      if (ids.length > 1) toast(say("collected", { count: ids.length, name }));
    });
  }

  view(id) {
    this.viewer = view(this, id);
  }

  compare(ids = [...this.selected]) {
    const [first, second] = ids;
    if (second) compare(this, first, second);
    else if (first ?? this.chosen) this.#compareAlone(first ?? this.chosen);
  }

  family(id = this.chosen) {
    if (id) family(this, id);
  }

  replay(id = this.chosen) {
    if (id) replay(this, id);
  }

  exportSome(ids = this.meant) {
    askExport(this, ids);
  }

  importSome() {
    if (this.owns) askImport(this);
  }

  send(id, to) {
    this.#leave();
    this.onsend(id, to);
  }

  /** Open the film of a picture in tab `to`. */
  film(id, to) {
    const stage = document.querySelector(`#${to}-stage .stage`);
    if (AT_WORK.includes(stage?.dataset.state)) return toast(say("film_busy"));
    this.#leave();
    this.onfilm(id, to);
  }

  reuse(id, what) {
    this.#leave();
    this.onreuse(id, what);
  }

  /** Compare a picture with what it was made from, else with its neighbour. */
  async #compareAlone(id) {
    await this.#do(async () => {
      const { parents } = await server.getKin(id);
      const other = parents.find((it) => it.picture)?.picture.id ?? this.neighbour(id, 1);
      const beside = other && other !== id ? other : this.neighbour(id, -1);
      if (beside && beside !== id) compare(this, beside, id);
      else toast(say("compare_alone"));
    });
  }

  #leave() {
    for (const box of document.querySelectorAll("dialog.gp-dialog[open]")) box.close();
  }

  #drawBar() {
    const count = this.selected.size;
    this.bar.hidden = !count;
    this.shelf.root?.classList.toggle("is-selecting", count > 0);
    if (!count) return;
    const tools = this.inTrash
      ? [button({ words: "restore", picture: "restore", onclick: () => this.restore() })]
      : [
        button({ words: "star", picture: "star", key: "S", onclick: () => this.star() }),
        button({ words: "collect", picture: "folder", onclick: (event) => this.collect(event.currentTarget) }),
        button({ words: "compare_two", picture: "compare", key: "C", disabled: count !== 2, onclick: () => this.compare() }),
        button({ words: "export", picture: "download", onclick: () => this.exportSome() }),
        button({ words: "trash", picture: "trash", key: "Del", onclick: () => this.trash() }),
      ];
    this.bar.replaceChildren(make("strong", {}, say("selected_count", { count })), ...tools,
      button({ words: "select_none", picture: "close", key: "Esc", bare: true, onclick: () => this.select([]) }));
  }

  async #showCard() {
    const id = this.chosen;
    if (!id || this.isPhone) {
      this.side.replaceChildren(make("p", { class: "gp-pick-one" }, say("gallery_pick")));
      return;
    }
    try {
      const value = await server.getCard(id);
      if (this.chosen !== id) return;
      this.side.replaceChildren(card(this, value));
      kinOf(this, value, this.side.querySelector(".gp-kin-place"));
    } catch (error) {
      complain(error);
    }
  }

  /** Look again whenever the tab is shown. */
  #keepFresh() {
    let shown = false;
    new IntersectionObserver(([seen]) => {
      if (seen.isIntersecting && !shown) {
        this.pages.refresh();
        this.filters.refresh();
      }
      shown = seen.isIntersecting;
    }).observe(this.place);
  }

  async #do(action) {
    try {
      await action();
    } catch (error) {
      complain(error);
    }
  }
}
