// The Models tab: the shelf with its card, and the way to get more. Works on the studio's /studio/models routes.

import { make } from "../canvas/dom.js";
import { getJson, post } from "../canvas/server.js";
import { addStyle, button, complain, toast } from "../gallery_page/pieces.js";
import { say } from "../gallery_page/server.js";
import { adder, finder, transfers } from "./getting.js";

const STYLE = new URL("models.css", import.meta.url).href;
const KINDS = ["model", "lora", "embedding", "controlnet", "ip_adapter", "vae", "tiny_vae", "vqgan", "upscaler", "encoder", "motion", "unusable"];
const SEVERAL = ["model", "embedding", "tiny_vae", "upscaler", "encoder", "motion"]; // kinds whose title is a plural

/** A size as people say it. */
export const size = (bytes) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} KB`;

/** Put the tab into `root`; it asks the studio whenever it comes into view. */
export function mount(root) {
  addStyle();
  if (![...document.styleSheets].some((sheet) => sheet.href === STYLE)) document.head.append(make("link", { rel: "stylesheet", href: STYLE }));
  const page = new Models(root);
  new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && page.refresh()).observe(root);
  return page;
}

class Models {
  constructor(root) {
    this.items = [];
    this.kind = "";
    this.chosen = "";
    this.transfers = transfers(() => this.refresh());
    this.folder = make("p", { class: "mp-folder" });
    this.filters = make("div", { class: "mp-filters", role: "group" });
    this.search = make("input", { class: "gp-field mp-search", type: "search", placeholder: say("models_search"), "aria-label": say("models_search"), oninput: () => this.draw() });
    this.list = make("div", { class: "mp-list", role: "listbox", "aria-label": say("tab_models") });
    this.card = make("aside", { class: "mp-card" });
    root.replaceChildren(
      make("div", { class: "mp-page" },
        make("section", { class: "mp-main" },
          finder({ size, begun: (state) => this.transfers.watch(state) }),
          this.transfers.element,
          make("div", { class: "mp-bar" }, this.filters, this.search, button({ words: "models_again", picture: "again", bare: true, onclick: () => this.refresh() })),
          this.list,
          adder({ added: (item) => this.refresh(`${item.kind} ${item.id}`) }),
          this.folder),
        this.card));
  }

  async refresh(choose = this.chosen) {
    try {
      const shelf = await getJson("models");
      this.items = shelf.items;
      this.folder.textContent = `${say("models_own_folder", { folder: shelf.folder })} · ${say("models_free", { size: size(shelf.free_bytes) })}`;
      this.transfers.show(shelf.downloads);
      this.chosen = choose;
      this.draw();
    } catch (error) {
      complain(error);
    }
  }

  draw() {
    const counts = Object.groupBy(this.items, (item) => item.kind);
    const words = this.search.value.trim().toLowerCase();
    if (this.kind && !counts[this.kind]) this.kind = "";
    const chip = (kind, title, count) => make("button", { type: "button", class: "mp-chip", "aria-pressed": String(this.kind === kind), onclick: () => { this.kind = kind; this.draw(); } }, title, make("small", {}, String(count)));
    // says: kind_model kind_lora kind_embedding kind_controlnet kind_ip_adapter kind_vae kind_tiny_vae kind_vqgan kind_upscaler kind_encoder kind_motion kind_unusable
    this.filters.replaceChildren(chip("", say("models_all"), this.items.length), ...KINDS.filter((kind) => counts[kind]).map((kind) => chip(kind, say(`kind_${kind}`), counts[kind].length)));
    const shown = this.items.filter((item) => (!this.kind || item.kind === this.kind) && `${item.id} ${item.name}`.toLowerCase().includes(words));
    this.list.replaceChildren(...(shown.length ? shown.map((item) => this.row(item)) : [nothing()]));
    const chosen = this.items.find((item) => key(item) === this.chosen);
    this.card.replaceChildren(chosen ? this.about(chosen) : make("p", { class: "mp-empty" }, say("models_pick")));
    this.card.classList.toggle("is-empty", !chosen);
  }

  row(item) {
    // says: one_model one_embedding one_tiny_vae one_upscaler one_encoder one_motion
    const row = make("button", { type: "button", class: `mp-row ${item.problem ? "is-bad" : ""}`, role: "option", "aria-selected": String(key(item) === this.chosen), onclick: () => { this.chosen = key(item); this.draw(); this.card.scrollIntoView({ block: "nearest" }); } },
      make("span", { class: "mp-name" }, item.name || item.id),
      make("span", { class: "mp-tag" }, SEVERAL.includes(item.kind) ? say(`one_${item.kind}`) : say(`kind_${item.kind}`)),
      make("span", { class: "mp-base" }, item.base_title),
      make("span", { class: "mp-bytes" }, item.bytes ? size(item.bytes) : ""));
    row.dataset.id = item.id;
    return row;
  }

  about(item) {
    const rows = [
      ["model_for", item.base_title],
      ["model_size", item.bytes ? size(item.bytes) : ""],
      ["model_licence", item.kind === "unusable" ? "" : item.licence || say("model_unknown")],
      ["model_triggers", item.triggers.join(", ")],
      ["model_source", item.source ? `${item.source.repo} @ ${item.source.revision.slice(0, 12)}` : ""],
      ["model_path", item.path],
    ].filter(([, value]) => value);
    const facts = make("dl", { class: "mp-facts" }, ...rows.flatMap(([title, value]) => [make("dt", {}, say(title)), make("dd", {}, value)]));
    return make("article", {},
      make("h3", {}, item.name || item.id),
      item.problem ? make("p", { class: "mp-problem" }, item.problem) : null,
      item.description ? make("p", { class: "mp-words" }, item.description) : null,
      facts,
      make("div", { class: "mp-actions" },
        item.words && !item.problem ? button({ words: "model_to_prompt", kind: "is-main", onclick: () => toPrompt(item) }) : null,
        item.kind === "unusable" ? null : button({ words: "model_check", onclick: (event) => this.check(item, facts, event.currentTarget) }),
        item.is_own ? this.remover(item) : null));
  }

  async check(item, facts, pressed) {
    pressed.disabled = true;
    pressed.textContent = say("model_checking");
    try {
      const found = await (await post("models/check", { id: item.id, kind: item.kind })).json();
      const verdict = found.changed === null ? say("model_no_sums") : found.changed.length ? say("model_changed", { files: found.changed.join(", ") }) : say("model_whole");
      facts.append(make("dt", {}, say("model_checksum")), make("dd", { class: "mp-sum" }, found.checksum), make("dt", {}, ""), make("dd", { class: found.changed?.length ? "mp-problem" : "" }, verdict));
      pressed.remove();
    } catch (error) {
      complain(error);
      this.draw();
    }
  }

  remover(item) {
    const all = { size: size(item.bytes_with_parts), names: item.parts.join(", ") };
    const sure = say(item.parts.length ? "model_remove_sure_with" : "model_remove_sure", all);
    const pressed = button({ words: "model_remove", kind: "mp-remove", onclick: async () => {
      if (!pressed.classList.contains("is-asking")) {
        pressed.classList.add("is-asking");
        pressed.textContent = sure;
        return;
      }
      try {
        await post("models/remove", { id: item.id, kind: item.kind });
        toast(say("model_removed", { name: item.name || item.id }));
        this.refresh("");
      } catch (error) {
        complain(error);
      }
    } });
    return pressed;
  }
}

const key = (item) => `${item.kind} ${item.id}`;

function nothing() {
  return make("div", { class: "gp-empty" }, make("strong", {}, say("models_none")), make("p", {}, say("models_none_hint")));
}

/** Write what calls an add-on up behind the prompt of the Create tab, and go there. */
function toPrompt(item) {
  const prompt = document.querySelector("#prompt textarea");
  if (!prompt) return;
  const words = [item.words, ...item.triggers.slice(0, 1)].filter((word) => !prompt.value.includes(word));
  tessera.typed(prompt, [prompt.value.trim(), ...words].filter(Boolean).join(prompt.value.trim() ? ", " : " "));
  document.getElementById("tab-create-button")?.click();
  prompt.focus();
}
