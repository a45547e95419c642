// What to show: search, and filters by tab, model, size, day, collection and star.

import { make } from "../canvas/dom.js";
import { button } from "./pieces.js";
import { getCount, getFacets, locale, say, settled } from "./server.js";

const DAYS = { today: [0, 0], yesterday: [1, 1], last_7: [6, 0], last_30: [29, 0], this_year: [null, 0] };

export class Filters {
  constructor(gallery) {
    this.gallery = gallery;
    this.words = make("input", { type: "search", class: "gp-field gp-search", placeholder: say("gallery_search"), "aria-label": say("search") });
    this.choices = Object.fromEntries(["tab", "model", "size", "collection", "day"].map((name) => [name, this.#choice(name)]));
    this.from = this.#dayField("from_day");
    this.to = this.#dayField("to_day");
    this.starred = button({ words: "starred_only", picture: "star", bare: true, kind: "is-star", "aria-pressed": "false", onclick: () => this.#press(this.starred) });
    this.trashed = button({ words: "show_trash", picture: "trash", bare: true, "aria-pressed": "false", onclick: () => this.#press(this.trashed) });
    this.clear = button({ words: "clear_filters", kind: "is-link", hidden: true, onclick: () => this.reset() });
    this.count = make("span", { class: "gp-count", role: "status" });
    this.films = make("span", { class: "gp-films", title: say("films_kept_hint"), hidden: true });
    this.trashNote = make("div", { class: "gp-note", hidden: true }, make("span", {}, say("trash_note", { days: gallery.retentionDays })));
    if (gallery.owns) this.trashNote.append(button({ words: "empty_trash", onclick: () => gallery.emptyTrash() }));
    const tools = [button({ words: "export", picture: "download", onclick: () => gallery.exportSome([...gallery.selected]) })];
    if (gallery.owns) tools.unshift(button({ words: "import", picture: "upload", onclick: () => gallery.importSome() }));
    this.element = make("div", {},
      make("div", { class: "gp-bar" }, this.words, ...tools, this.trashed),
      make("div", { class: "gp-filters" }, this.starred, ...Object.values(this.choices), this.from, this.to, this.clear, this.count, this.films),
      this.trashNote);
    this.look = settled((signal) => gallery.look(signal));
    this.counted = settled((signal) => this.#count(signal), 120);
    this.words.addEventListener("input", () => this.#changed());
    this.words.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") (event.preventDefault(), gallery.shelf.grid.focus());
    });
    this.#fill("day", Object.keys(DAYS).concat("days_between").map((day) => [day, say(day)]));
    this.#show();
  }

  /** As the routes of the gallery take them. */
  get values() {
    const { tab, model, size, collection, day } = this.choices;
    const pressed = (it) => it.getAttribute("aria-pressed") === "true";
    const [from, to] = day.value === "days_between" ? [this.from.value, this.to.value] : daysOf(day.value);
    return Object.fromEntries(Object.entries({
      text: this.words.value.trim(),
      tab: tab.value, model: model.value, size: size.value, collection: collection.value,
      from, to,
      starred: pressed(this.starred) ? "1" : "",
      trashed: pressed(this.trashed) ? "1" : "",
    }).filter(([, value]) => value));
  }

  focus() {
    this.words.focus();
  }

  reset() {
    this.words.value = "";
    for (const choice of Object.values(this.choices)) choice.value = "";
    for (const it of [this.starred, this.trashed]) it.setAttribute("aria-pressed", "false");
    this.#changed();
  }

  /** Show one collection, as a tag of a card asks for. */
  showCollection(name) {
    this.reset();
    if (![...this.choices.collection.options].some((it) => it.value === name)) this.choices.collection.append(new Option(name, name));
    this.choices.collection.hidden = false;
    this.choices.collection.value = name;
    this.#changed();
  }

  /** Ask anew what there is to filter by. */
  async refresh() {
    let there;
    try {
      there = await getFacets();
    } catch {
      return; // the shelf itself says that the studio does not answer
    }
    this.#showRoom(there.films);
    this.collections = there.collections.map((it) => it.name);
    this.#fill("tab", there.tabs.map((tab) => [tab, say(`tab_of_${tab}`)]), 1);
    this.#fill("model", there.models.map((it) => [it.id, it.title]), 1);
    this.#fill("size", there.sizes.map((size) => [size, size.replace("x", " × ")]), 1);
    this.#fill("collection", there.collections.map((it) => [it.name, `${it.name} (${it.count})`]), 0);
  }

  showCount() {
    this.counted();
  }

  async #count(signal) {
    const { items, next, loaded } = this.gallery.pages;
    if (!loaded) return;
    try {
      const count = next ? await getCount(this.gallery.pages.filters, { signal }) : items.length;
      this.total = count;
      this.count.textContent = count === 1 ? say("one_picture") : say("count_pictures", { count: count.toLocaleString(locale()) });
    } catch {
      this.count.textContent = "";
    }
  }

  /** Say what room kept films take on the disk. */
  #showRoom({ count, bytes }) {
    const unit = bytes < 1e6 ? ["kB", 1e3] : ["MB", 1e6];
    const size = `${(bytes / unit[1]).toLocaleString(locale(), { maximumFractionDigits: 1 })} ${unit[0]}`;
    this.films.hidden = !count;
    this.films.textContent = say(count === 1 ? "films_kept_one" : "films_kept", { count: count.toLocaleString(locale()), size });
  }

  #choice(name) {
    const made = make("select", { class: "gp-field", "aria-label": say(`filter_${name}`), hidden: true });
    made.addEventListener("change", () => this.#changed());
    return made;
  }

  #dayField(name) {
    const made = make("input", { type: "date", class: "gp-field", "aria-label": say(name), title: say(name), hidden: true });
    made.addEventListener("change", () => this.#changed());
    return made;
  }

  /** Offer `pairs` of value and title; a filter with no more than `least` values is left out. */
  #fill(name, pairs, least = 0) {
    const choice = this.choices[name], now = choice.value;
    choice.replaceChildren(new Option(say(`filter_${name}`), ""), ...pairs.map(([value, title]) => new Option(title, value)));
    if (now && !pairs.some(([value]) => value === now)) choice.append(new Option(now, now));
    choice.value = now;
    choice.hidden = pairs.length <= least && !now;
  }

  #press(it) {
    it.setAttribute("aria-pressed", String(it.getAttribute("aria-pressed") !== "true"));
    this.#changed();
  }

  #changed() {
    this.#show();
    this.look();
  }

  #show() {
    const between = this.choices.day.value === "days_between";
    this.from.hidden = this.to.hidden = !between;
    for (const choice of Object.values(this.choices)) choice.classList.toggle("is-set", Boolean(choice.value));
    this.clear.hidden = !Object.keys(this.values).length;
    this.trashNote.hidden = !this.values.trashed;
  }
}

function daysOf(name) {
  if (!DAYS[name]) return ["", ""];
  const [back, until] = DAYS[name];
  const today = new Date();
  const day = (ago) => {
    const date = ago === null ? new Date(today.getFullYear(), 0, 1) : new Date(today.getFullYear(), today.getMonth(), today.getDate() - ago);
    return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
  };
  return [day(back), day(until)];
}
