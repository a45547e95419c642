// The pictures that are shown, loaded page by page as the artist scrolls; newest first.

import { getPage } from "./server.js";

export class Pages {
  /** `limit` pictures a page; `onchange()` after every change, `onfailure(error)` when a page did not come. */
  constructor({ limit, onchange, onfailure }) {
    Object.assign(this, { limit, onchange, onfailure });
    this.filters = {};
    this.items = [];
    this.next = null;
    this.loaded = false;
    this.turn = 0;
  }

  get ids() {
    return this.items.map((it) => it.id);
  }

  find(id) {
    return this.items.find((it) => it.id === id);
  }

  place(id) {
    return this.items.findIndex((it) => it.id === id);
  }

  /** Begin anew with `filters`. */
  async open(filters, signal = null) {
    this.filters = filters;
    await this.#load((page) => {
      this.items = page.pictures;
      this.next = page.next;
      this.loaded = true;
    }, { signal });
  }

  /** Load the page after the last one. */
  async more() {
    if (!this.next || this.waiting) return;
    this.waiting = true;
    try {
      await this.#load((page) => {
        this.items = [...this.items, ...page.pictures];
        this.next = page.next;
      }, { before: this.next });
    } finally {
      this.waiting = false;
    }
  }

  /** Put what was made meanwhile in front, and leave the rest as it is. */
  async refresh() {
    if (!this.items.length || !this.loaded) return this.open(this.filters);
    await this.#load((page) => {
      const known = new Set(this.ids);
      const fresh = page.pictures.filter((it) => !known.has(it.id));
      if (fresh.length === page.pictures.length && page.next) {
        this.items = page.pictures;
        this.next = page.next;
        return;
      }
      const now = new Map(page.pictures.map((it) => [it.id, it]));
      this.items = [...fresh, ...this.items.map((it) => now.get(it.id) ?? it)].sort((a, b) => (a.id < b.id ? 1 : -1));
    });
  }

  async #load(take, asked = {}) {
    const turn = asked.before ? this.turn : ++this.turn;
    try {
      const page = await getPage(this.filters, { limit: this.limit, ...asked });
      if (turn !== this.turn) return; // the filters have changed since
      take(page);
      this.waiting = false;
      this.onchange();
    } catch (error) {
      if (error.name !== "AbortError") this.onfailure(error);
    }
  }

  change(id, values) {
    const item = this.find(id);
    if (item) Object.assign(item, values);
  }

  /** Take pictures away; returns them with their places, for `putBack`. */
  remove(ids) {
    const gone = new Set(ids);
    const removed = this.items.filter((it) => gone.has(it.id));
    this.items = this.items.filter((it) => !gone.has(it.id));
    this.onchange();
    return removed;
  }

  putBack(items) {
    const known = new Set(this.ids);
    this.items = [...this.items, ...items.filter((it) => !known.has(it.id))].sort((a, b) => (a.id < b.id ? 1 : -1));
    this.onchange();
  }
}
