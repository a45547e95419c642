// A picture made again with something changed, and then laid beside the one it came from.

import { make } from "../canvas/dom.js";
import { post } from "../canvas/server.js";
import { told } from "../canvas/words.js";
import { compare } from "./compare.js";
import { button, complain, dialog } from "./pieces.js";
import { address, getCard, getSettings, postLines, say, sayOr } from "./server.js";

/** Ask what to change about picture `id`, and make it. */
export async function replay(gallery, id) {
  let settings, it;
  try {
    [settings, it] = await Promise.all([getSettings(id), getCard(id)]);
  } catch (error) {
    complain(error);
    return;
  }
  const picture = make("img", { src: address(it.url), alt: it.alt });
  const says = make("figcaption", { role: "status" }, say("replay_hint"));
  const fields = settings.map((one) => field(one));
  const run = button({ words: "generate", kind: "is-main", onclick: () => start() });
  const stop = button({ words: "stop", hidden: true, onclick: () => job && post(`gallery/jobs/${job}/stop`, {}).catch(complain) });
  const show = () => {
    const changed = fields.filter((one) => one.isChanged).length;
    says.textContent = changed ? say("replay_changed", { count: changed }) : say("replay_hint");
  };
  const box = dialog({ title: say("replay"), name: "replay" },
    make("div", { class: "gp-body" }, make("div", { class: "gp-replay-view" },
      make("figure", {}, picture, says),
      make("div", { class: "gp-fields", oninput: show, onchange: show }, ...fields.map((one) => one.element)))),
    make("div", { class: "gp-dialog-foot" }, stop, run));
  let job = null;

  const tell = (value) => {
    job = value.job;
    if (value.preview) picture.src = value.preview;
    const text = {
      queued: () => say("queued", { position: value.position }),
      loading: () => say("loading", { what: value.what }),
      running: () => say("step", { index: value.index, total: value.total }),
      decoding: () => say("decoding"),
      cancelled: () => say("cancelled_waiting"),
      failed: () => told(value),
    }[value.state]?.();
    if (text) says.textContent = text;
    return value;
  };

  const start = async () => {
    const changes = Object.fromEntries(fields.filter((one) => one.isChanged).map((one) => [one.name, one.value]));
    run.disabled = true;
    stop.hidden = false;
    let last = null;
    try {
      await postLines(`gallery/pictures/${id}/replay`, { changes }, (value) => (last = tell(value)));
    } catch (error) {
      says.textContent = error.message;
    }
    run.disabled = false;
    stop.hidden = true;
    if (last?.state !== "finished") {
      picture.src = address(it.url);
      return;
    }
    await gallery.pages.refresh();
    if (!box.open) return;
    box.close();
    compare(gallery, id, last.pictures[0].id);
  };
}

/** One setting as a labelled control: {element, name, value, isChanged}. */
function field({ name, key, title, control, choices, minimum, maximum, step, value }) {
  const bounds = { min: minimum ?? "", max: maximum ?? "", step: step ?? "any" };
  const input = {
    number: () => make("input", { type: "number", class: "gp-field", ...bounds, value: String(value) }),
    words: () => make("textarea", { class: "gp-field", rows: 2, value }),
    text: () => make("input", { type: "text", class: "gp-field", value: value ?? "" }),
    tick: () => make("input", { type: "checkbox", checked: value }),
    choice: () => make("select", { class: "gp-field" }, ...choices.map(([one, words]) => new Option(words || say("default_model"), String(one), false, one === value))),
  }[control]();
  input.name = name;
  const now = () => ({
    tick: () => input.checked,
    number: () => (input.value === "" ? null : Number(input.value)),
    choice: () => choices[input.selectedIndex][0],
  }[control] ?? (() => input.value))();
  const was = make("span", { class: "gp-was" });
  const element = make("label", { class: control === "words" ? "is-wide" : "" }, make("span", {}, sayOr(key, title), was), input);
  const changed = () => now() !== value && !(control === "text" && now() === (value ?? ""));
  const mark = () => {
    element.classList.toggle("is-changed", changed());
    was.textContent = changed() && control !== "tick" ? say("was_before", { value: choices.find(([one]) => one === value)?.[1] ?? value }) : "";
  };
  input.addEventListener("input", mark);
  input.addEventListener("change", mark);
  return { element, name, get value() { return now(); }, get isChanged() { return changed(); } };
}
