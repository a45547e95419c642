// Getting models: look one up on the hub, download it in the background, add a file of this computer.

import { make } from "../canvas/dom.js";
import { getJson, post } from "../canvas/server.js";
import { button, complain, toast } from "../gallery_page/pieces.js";
import { say } from "../gallery_page/server.js";
import { size } from "./models.js";

const EVERY = 1000; // milliseconds between looks at running downloads

/** The field for owner/name and what it would bring; `begun(state)` is called when a download begins. */
export function finder({ begun }) {
  const repo = make("input", { class: "gp-field", type: "text", placeholder: say("models_repo"), "aria-label": say("models_repo"), spellcheck: false, autocapitalize: "off" });
  const place = make("div", { class: "mp-plan", hidden: true });
  const form = make("form", { class: "mp-get", onsubmit: (event) => (event.preventDefault(), look({})) },
    make("h2", {}, say("models_get")),
    make("div", { class: "mp-line" }, repo, button({ words: "models_look", kind: "is-main", type: "submit" })),
    place);
  const show = (...children) => {
    place.replaceChildren(...children.filter(Boolean));
    place.hidden = !place.children.length;
  };
  const look = async ({ file = "", variant = "fp16" }) => {
    const asked = { repo: repo.value.trim(), file, variant };
    if (!asked.repo) return repo.focus();
    show(make("p", {}, say("models_looking")));
    try {
      const plan = await (await post("models/look", asked)).json();
      show(...(plan.files ? chooser(plan.files, asked) : offer(plan, asked)));
    } catch (error) {
      show(make("p", { class: "mp-problem" }, error.message));
    }
  };
  const chooser = (files, asked) => [
    make("p", {}, say("models_file")),
    make("div", { class: "mp-files" }, ...files.map((file) => make("button", { type: "button", class: "mp-chip", onclick: () => look({ ...asked, file }) }, file))),
  ];
  const offer = (plan, asked) => {
    const missing = plan.bytes - plan.free_bytes;
    const full = make("input", { type: "checkbox", checked: asked.variant === "", onchange: () => look({ ...asked, variant: full.checked ? "" : "fp16" }) });
    const words = [say(plan.count === 1 ? "models_plan_one" : "models_plan", { count: plan.count, size: size(plan.bytes) }), plan.licence, say("models_free", { size: size(plan.free_bytes) })];
    return [
      make("p", {}, make("strong", {}, plan.repo), ` · ${words.filter(Boolean).join(" · ")}`),
      plan.is_gated ? make("p", { class: "mp-hint" }, say("models_gated")) : null,
      missing > 0 ? make("p", { class: "mp-problem" }, say("models_no_room", { size: size(missing) })) : null,
      make("div", { class: "mp-line" },
        button({ words: "models_download", kind: "is-main", disabled: missing > 0, onclick: async () => {
          try {
            begun(await (await post("models/download", asked)).json());
            show();
            repo.value = "";
          } catch (error) {
            complain(error);
          }
        } }),
        asked.file ? null : make("label", { class: "mp-check" }, full, say("models_full"))),
    ];
  };
  return form;
}

/** The downloads, shown with `show(states)`, a new one with `watch(state)`; `ended()` is called when one is done.
 * Looks at them only while one runs. */
export function transfers(ended) {
  const element = make("div", { class: "mp-transfers" });
  let timer = 0, before = new Map();
  const row = (it) => {
    const share = it.bytes_total ? (100 * it.bytes_done) / it.bytes_total : 0;
    const sizes = { done: size(it.bytes_done), total: size(it.bytes_total) };
    // says: models_waiting models_stopped models_done
    const line = it.phase === "failed" ? `${it.message} ${it.hint}` : it.phase === "running" ? `${say("models_running", sizes)} · ${it.fetching}` : say(`models_${it.phase}`, sizes);
    const { repo, revision, file, variant } = it; // what was asked for: it goes on as itself
    const title = file ? `${repo} · ${file}` : repo;
    const again = () => post("models/download", { repo, revision, file, variant }).then((answer) => answer.json()).then(watch).catch(complain);
    const told = (words, what) => button({ words, onclick: () => post(`models/${what}`, { id: it.id }).then(poll).catch(complain) });
    const actions = !it.is_over ? [told("stop", "stop")] : it.phase === "done" ? [] : [button({ words: "models_goes_on", onclick: again }), told("models_discard", "discard")];
    return make("div", { class: `mp-transfer is-${it.phase}` },
      make("strong", {}, title),
      make("progress", { max: 100, value: it.phase === "done" ? 100 : share, "aria-label": title }),
      make("p", {}, line),
      make("div", { class: "mp-actions" }, ...actions));
  };
  const show = (states) => {
    if (states.some((it) => it.phase === "done" && before.get(it.id) && before.get(it.id) !== "done")) ended();
    before = new Map(states.map((it) => [it.id, it.phase]));
    element.replaceChildren(...states.map(row));
    clearTimeout(timer);
    if (states.some((it) => !it.is_over)) timer = setTimeout(poll, document.hidden ? 5 * EVERY : EVERY);
  };
  const poll = () => getJson("models/downloads").then(({ downloads }) => show(downloads)).catch(() => { timer = setTimeout(poll, 5 * EVERY); });
  const watch = (state) => { // what has just begun: its end is told even if the first look finds it done
    before.set(state.id, state.phase);
    return poll();
  };
  return { element, show, watch };
}

/** The field for a path of this computer; `added(item)` is called with what was added. */
export function adder({ added }) {
  const path = make("input", { class: "gp-field", type: "text", placeholder: say("models_path"), "aria-label": say("models_path"), spellcheck: false });
  const link = make("input", { type: "checkbox" });
  return make("details", { class: "mp-add" },
    make("summary", {}, say("models_add")),
    make("form", { class: "mp-line", onsubmit: async (event) => {
      event.preventDefault();
      try {
        const item = await (await post("models/add", { path: path.value, link: link.checked })).json();
        toast(say("models_added", { name: item.name }));
        path.value = "";
        added(item);
      } catch (error) {
        complain(error);
      }
    } }, path, make("label", { class: "mp-check" }, link, say("models_link")), button({ words: "models_add_button", type: "submit" })));
}
