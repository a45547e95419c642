// What an empty mask canvas says: how to put a picture on it, and pictures to try with.

import { make } from "./dom.js";
import { post } from "./server.js";
import { say } from "./words.js";

/** Return the words over an empty canvas; `editor` opens what is chosen. Examples are named by the root's data. */
export function emptyState(editor) {
  const names = (editor.root.dataset.examples ?? "").split(" ").filter(Boolean);
  const way = (className, words, onclick) => make("button", { type: "button", class: className, onclick }, say(words));
  return make(
    "div",
    { class: "sc-empty" },
    make("span", {}, say("Drop a picture here, paste one, or")),
    make(
      "div",
      { class: "sc-ways" },
      way("sc-cta", "choose a file", () => editor.choose()),
      names.length ? way("sc-way", "From the gallery", () => editor.chooseFromGallery()) : null,
    ),
    ...(names.length ? [make("span", {}, say("Or try with one of these")), examples(names, editor)] : []),
  );
}

function examples(names, editor) {
  const take = async (name) => {
    const { ref } = await (await post(`inputs/example/${name}`, {})).json();
    await editor.openRef(ref);
  };
  const tiles = names.map((name) => {
    const src = new URL(`studio/examples/${name}`, document.baseURI).href;
    const image = make("img", { src, alt: name, loading: "lazy" });
    return make("button", { type: "button", title: name, onclick: () => editor.attempt(() => take(name)) }, image);
  });
  return make("div", { class: "sc-examples" }, ...tiles);
}
