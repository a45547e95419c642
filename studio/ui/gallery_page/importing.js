// Pictures in: files, folders and zips, of this or another studio, with a report of what was understood.

import { make } from "../canvas/dom.js";
import { call } from "../canvas/server.js";
import { told as errorText } from "../canvas/words.js";
import { button, dialog } from "./pieces.js";
import { address, readLines, say, sayOr } from "./server.js";

const PIECE_BYTES = 4 * 2 ** 20;
const WANTED = /\.(png|jpe?g|webp|zip)$/i;

/** Ask for files, take them in, and report. */
export function askImport(gallery, files = null) {
  const body = make("div", { class: "gp-body" });
  const foot = make("div", { class: "gp-dialog-foot", hidden: true });
  const stopping = new AbortController();
  const box = dialog({ title: say("import"), name: "import", onclose: () => (stopping.abort(), gallery.look(), gallery.filters.refresh()) }, body, foot);
  const begin = (chosen) => chosen.length && takeIn(chosen, { body, foot, box, signal: stopping.signal });
  if (files) {
    begin(files);
    return;
  }
  const pick = (folder) => make("input", {
    type: "file", multiple: true, hidden: true, accept: ".png,.jpg,.jpeg,.webp,.zip", webkitdirectory: folder,
    onchange: (event) => begin([...event.target.files].filter((file) => WANTED.test(file.name))),
  });
  const one = pick(false), folder = pick(true);
  const drop = make("div", { class: "gp-drop" },
    make("p", {}, say("import_drop")), make("p", { class: "gp-quiet" }, say("import_hint")),
    make("div", { class: "gp-drop-buttons" },
      button({ words: "choose_files", kind: "is-main", onclick: () => one.click() }),
      button({ words: "choose_folder", picture: "folder", onclick: () => folder.click() })),
    one, folder);
  takeOver(drop, begin);
  body.append(drop);
}

/** Let files be dropped anywhere on the gallery. */
export function takeDrops(gallery) {
  takeOver(gallery.place, (files) => files.length && askImport(gallery, files), gallery.page, "is-dropping");
}

function takeOver(place, begin, marked = place, mark = "is-over") {
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  place.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    marked.classList.add(mark);
  });
  place.addEventListener("dragleave", (event) => !place.contains(event.relatedTarget) && marked.classList.remove(mark));
  place.addEventListener("drop", async (event) => {
    marked.classList.remove(mark);
    if (!brings(event)) return;
    event.preventDefault();
    begin(await dropped(event.dataTransfer));
  });
}

/** The files of a drop, those inside folders included. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      if (WANTED.test(file.name)) found.push(file);
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const one of some) await walk(one);
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}

async function takeIn(files, { body, foot, box, signal }) {
  const line = make("i"), words = make("p", { class: "gp-quiet", role: "status" }, "");
  const report = make("div", { class: "gp-report" });
  body.replaceChildren(words, make("div", { class: "gp-bar-line" }, line), report);
  const counts = { fresh: 0, known: 0, out: 0 };
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  let sent = 0;
  const note = (outcome) => {
    if (outcome.error) outcome = { name: "", why: errorText(outcome.error) };
    counts[outcome.picture ? (outcome.is_new ? "fresh" : "known") : "out"] += 1;
    words.textContent = say("import_count", counts);
    report.append(told(outcome));
  };
  for (const file of files) {
    if (signal.aborted) return;
    const before = sent;
    try {
      await send(file, note, (bytes) => (line.style.width = `${((before + bytes) / total) * 100}%`), signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      note({ name: file.name, why: error.message });
    }
    sent += file.size;
  }
  line.parentElement.remove();
  foot.hidden = false;
  foot.replaceChildren(button({ words: "done", kind: "is-main", onclick: () => box.close() }));
}

/** Send one file in pieces; `note(outcome)` for each picture of it. */
async function send(file, note, progress, signal) {
  let offset = 0, upload = "";
  const query = () => new URLSearchParams({ name: file.name, size: file.size, offset, ...(upload ? { upload } : {}) });
  for (;;) {
    const piece = file.slice(offset, offset + PIECE_BYTES);
    const answer = await call(`gallery/import?${query()}`, {
      method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: piece, signal,
    });
    offset += piece.size;
    progress(offset);
    if (offset < file.size) {
      ({ upload } = await answer.json());
      continue;
    }
    await readLines(answer, note);
    return;
  }
}

/** One picture of the report: what it is, what was taken over, what was not. */
function told({ name, picture, is_new: isNew, why, notes = [] }) {
  if (!picture) return make("article", { class: "is-out" }, make("div", {}, make("h3", {}, name), make("p", {}, why)));
  const from = picture.software || (picture.replayable ? "Tessera Studio" : "");
  const list = make("dl", { class: "gp-rows" });
  for (const { key, title, value } of picture.rows) list.append(make("dt", {}, sayOr(key, title)), make("dd", {}, value));
  return make("article", {}, make("img", { src: address(picture.thumbnail), alt: "" }),
    make("div", {},
      make("h3", {}, name, from ? make("span", { class: "gp-badge" }, from) : null,
        isNew ? null : make("span", { class: "gp-badge" }, say("known_already"))),
      make("p", {}, picture.prompt || say("no_settings_inside")),
      picture.rows.length && from ? list : null,
      notes.length ? make("details", { class: "gp-more", open: notes.length < 4 },
        make("summary", {}, say("not_taken_over", { count: notes.length })),
        make("ul", { class: "gp-unmapped" }, ...notes.map((one) => make("li", {}, one)))) : null));
}
