// The card of one picture: how it was made, what can be done with it, its note, collections and next of kin.

import { make } from "../canvas/dom.js";
import { askTab, openMenu } from "./menu.js";
import { button, complain, moment, toast } from "./pieces.js";
import { address, getKin, note, say, sayOr } from "./server.js";

/** The card of a picture; `it` is what the studio says of it. */
export function card(gallery, it) {
  const picture = make("img", { class: "gp-card-picture", src: address(it.url), alt: it.alt, onclick: () => gallery.view(it.id) });
  const tab = it.software || say(`tab_of_${it.tab}`);
  return make("article", { class: "gp-card" },
    picture,
    make("div", { class: "gp-card-line" }, make("span", { class: "gp-made" }, `${tab} · ${moment(it.made)}`), ...tools(gallery, it)),
    it.prompt ? make("p", { class: "gp-card-prompt" }, it.prompt) : null,
    it.trashed
      ? make("div", { class: "gp-actions" }, button({ words: "restore", picture: "restore", kind: "is-wide", onclick: () => gallery.restore([it.id]) }))
      : actions(gallery, it),
    make("div", { class: "gp-kin-place" }),
    imported(it),
    rows(it),
    ...(it.trashed ? [] : [noteField(it), collections(gallery, it)]),
  );
}

function tools(gallery, it) {
  if (it.trashed) return [];
  return [
    button({ words: it.starred ? "unstar" : "star", picture: "star", key: "S", bare: true, kind: "is-star", "aria-pressed": String(it.starred), onclick: () => gallery.star([it.id]) }),
    button({ words: "compare_two", picture: "compare", key: "C", bare: true, onclick: () => gallery.compare([it.id]) }),
    button({ words: "trash", picture: "trash", key: "Del", bare: true, onclick: () => gallery.trash([it.id]) }),
  ];
}

function actions(gallery, it) {
  const reuse = (what) => button({ words: `recall_${what}`, title: say(`recall_${what}_hint`), onclick: () => gallery.reuse(it.id, what) });
  const sends = gallery.sends.filter((tab) => tab !== "gallery");
  const send = sends.length === 1
    ? button({ words: `send_to_${sends[0]}`, onclick: () => gallery.send(it.id, sends[0]) })
    : button({ words: "send_to", onclick: (event) => askTab(event.currentTarget, sends, (tab) => gallery.send(it.id, tab)) });
  return make("div", { class: "gp-actions" },
    ...(it.replayable ? [reuse("all"), reuse("remix"), it.seed === null ? null : reuse("seed"), it.prompt ? reuse("prompt") : null] : []),
    it.replayable ? button({ words: "replay", picture: "again", kind: "is-wide", onclick: () => gallery.replay(it.id) }) : null,
    it.film ? button({ words: "film_title", picture: "film", onclick: () => gallery.film(it.id, it.film) }) : null,
    sends.length ? send : null,
    button({ words: "download_as", picture: "download", onclick: (event) => askFormat(event.currentTarget, it.id) }));
}

/** A menu of the ways to download one picture. */
export function askFormat(anchor, id) {
  const way = (format, recipe) => {
    const words = `${format.toUpperCase().replace("WEBP", "WebP")} ${say(recipe ? "with_recipe" : "without_recipe")}`;
    return make("button", { type: "button", class: "gp-button", onclick: () => {
      menu.close();
      download(address(`studio/gallery/pictures/${id}/file?format=${format}&recipe=${recipe}`));
    } }, make("span", {}, words));
  };
  const menu = openMenu(anchor, ...["png", "jpeg", "webp"].map((format) => way(format, true)), way("png", false), way("jpeg", false));
}

/** Let the browser save what is at `url`. */
export function download(url) {
  const link = make("a", { href: url, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

function imported(it) {
  if (!it.software) return null;
  return make("div", {},
    make("p", { class: "gp-label" }, say("made_in", { software: it.software })),
    it.unmapped.length
      ? make("details", { class: "gp-more", open: it.unmapped.length < 5 },
        make("summary", {}, say("not_taken_over", { count: it.unmapped.length })),
        make("ul", { class: "gp-unmapped" }, ...it.unmapped.map((line) => make("li", {}, line))))
      : make("p", { class: "gp-quiet" }, say("all_taken_over")),
    it.original ? make("details", { class: "gp-more" }, make("summary", {}, say("its_own_settings")), make("pre", { class: "gp-original" }, it.original)) : null);
}

function rows(it) {
  const list = make("dl", { class: "gp-rows" });
  const row = (title, value) => list.append(make("dt", {}, title), make("dd", {}, value));
  if (it.negative_prompt) row(say("field_negative_prompt"), it.negative_prompt);
  row(say("size_pixels"), `${it.width} × ${it.height}`);
  for (const { key, title, value } of it.rows) row(sayOr(key, title), value);
  return list;
}

function noteField(it) {
  const field = make("textarea", { class: "gp-field gp-text", rows: 1, placeholder: say("note_placeholder"), "aria-label": say("note"), value: it.note });
  const keep = async () => {
    if (field.value.trim() === it.note) return;
    try {
      it.note = (await note(it.id, field.value)).note;
      toast(say("note_kept"), { seconds: 3 });
    } catch (error) {
      complain(error);
    }
  };
  field.addEventListener("change", keep);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field.blur();
    event.stopPropagation();
  });
  return make("div", {}, make("p", { class: "gp-label" }, say("note")), field);
}

function collections(gallery, it) {
  const tags = it.collections.map((name) => make("span", { class: "gp-tag" },
    make("button", { type: "button", class: "gp-tag-name", title: say("show_collection"), onclick: () => gallery.filters.showCollection(name) }, name),
    make("button", { type: "button", "aria-label": say("uncollect", { name }), title: say("uncollect", { name }), onclick: () => gallery.putInto([it.id], name, false) }, "×")));
  return make("div", {}, make("p", { class: "gp-label" }, say("collections")),
    make("div", { class: "gp-tags" }, ...tags, button({ words: "collect", picture: "plus", onclick: (event) => gallery.collect(event.currentTarget, [it.id]) })));
}

/** Fill in what a picture was made from and what was made of it. */
export async function kinOf(gallery, it, place) {
  let kin;
  try {
    kin = await getKin(it.id);
  } catch {
    return; // the card itself is there; its family can still be asked for
  }
  if (!place?.isConnected || (!kin.parents.length && !kin.children.length)) return;
  const show = (id) => (gallery.viewer ? gallery.viewer.show(id) : gallery.pages.find(id) ? gallery.choose(id) : gallery.view(id));
  const face = (picture, role) => make("button", { type: "button", title: `${sayOr(`role_${role}`, role)}: ${picture.alt}`, onclick: () => show(picture.id) },
    make("img", { src: address(picture.thumbnail), alt: picture.alt }));
  const input = (one) => make("span", { class: "gp-kin-input", title: sayOr(`role_${one.role}`, one.role) },
    make("img", { src: address(one.url), alt: sayOr(`role_${one.role}`, one.role), onerror: (event) => event.target.parentElement.remove() }));
  const from = kin.parents.map((one) => (one.picture ? face(one.picture, one.role) : one.url ? input(one) : null));
  const became = kin.children.map((one) => face(one, "became"));
  const line = (title, faces) => (faces.some(Boolean) ? [make("p", { class: "gp-label" }, say(title)), make("div", { class: "gp-kin" }, ...faces)] : []);
  place.replaceChildren(...line("made_from", from), ...line("became", became),
    button({ words: "family", picture: "tree", kind: "is-kin", onclick: () => gallery.family(it.id) }));
}
