// Pictures out: a zip, or a web page that needs nothing else; of what is selected, or of all that the filters show.

import { make } from "../canvas/dom.js";
import { post } from "../canvas/server.js";
import { download } from "./card.js";
import { button, dialog, toast } from "./pieces.js";
import { address, locale, say } from "./server.js";

/** Ask how to export `ids`, or with none everything that is shown. */
export function askExport(gallery, ids) {
  const all = gallery.filters.total ?? gallery.pages.items.length;
  const number = (count) => count.toLocaleString(locale());
  const what = choice("what", [
    ids.length ? ["ids", say("export_selected", { count: number(ids.length) })] : null,
    ["all", say("export_all", { count: number(all) })],
  ]);
  const kind = choice("kind", [["zip", say("export_zip"), say("export_zip_hint")], ["site", say("export_site"), say("export_site_hint")]]);
  const format = choice("format", [["png", "PNG", say("png_hint")], ["jpeg", "JPEG", say("jpeg_hint")], ["webp", "WebP", say("webp_hint")]]);
  const recipe = make("input", { type: "checkbox", checked: true });
  const title = make("input", { class: "gp-field", value: say("tab_gallery"), maxLength: 200 });
  const titleLine = make("label", { class: "gp-line", hidden: true }, say("export_title"), title);
  const problem = make("span", { class: "gp-quiet", role: "alert" });
  let chose = false;
  kind.element.addEventListener("change", () => {
    titleLine.hidden = kind.value !== "site";
    if (!chose) format.value = kind.value === "site" ? "webp" : "png";
  });
  format.element.addEventListener("change", () => (chose = true));
  const go = button({ words: "export", picture: "download", kind: "is-main", onclick: () => start() });
  const box = dialog({ title: say("export"), name: "export" },
    make("div", { class: "gp-body" }, what.element, kind.element, titleLine, format.element,
      make("label", { class: "gp-tick" }, recipe, make("span", {}, say("export_recipe"), make("br"), make("span", { class: "gp-quiet" }, say("export_recipe_hint"))))),
    make("div", { class: "gp-dialog-foot" }, problem, go));

  const start = async () => {
    go.disabled = true;
    const chosen = what.value === "ids" ? { ids } : { filters: gallery.pages.filters, minutes_east: -new Date().getTimezoneOffset() };
    try {
      const answer = await post("gallery/exports", { ...chosen, kind: kind.value, format: format.value, recipe: recipe.checked, title: title.value });
      const { url, count } = await answer.json();
      download(address(url));
      box.close();
      toast(say(count === 1 ? "exporting_one" : "exporting_many", { count: number(count) }));
    } catch (error) {
      problem.textContent = error.message;
      go.disabled = false;
    }
  };
}

/** Radio buttons as cards: pairs of value and words, and a line of explanation; {element, value}. */
function choice(name, pairs) {
  const offered = pairs.filter(Boolean);
  const element = make("fieldset", { class: "gp-choices" }, ...offered.map(([value, words, hint], place) =>
    make("label", { class: "gp-choice" },
      make("input", { type: "radio", name: `gp-${name}`, value, checked: place === 0 }), words,
      hint ? make("small", {}, hint) : null)));
  return {
    element,
    get value() { return element.querySelector("input:checked").value; },
    set value(value) { element.querySelector(`input[value=${value}]`).checked = true; },
  };
}
