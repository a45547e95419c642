// The panels of the toolbar: change, palette, film, meter, open, share, send.

import { chooseFile, download, make, slider } from "../canvas/dom.js";
import { panelButton } from "../canvas/mask_bar.js";
import { getJson, putPicture } from "../canvas/server.js";
import { say } from "../canvas/words.js";
import { pickPicture } from "../gallery_page/picker.js";

const button = (label, onclick, isMain = false) =>
  make("button", { type: "button", class: isMain ? "sc-cta cb-act" : "cb-act", onclick }, say(label));
const title = (words) => make("h4", {}, say(words));
const line = (...items) => make("div", { class: "cb-line" }, ...items);
const randomSeed = () => Math.floor(Math.random() * 2 ** 32);

function choice(label, options, onchange) {
  const select = make("select", { "aria-label": say(label) });
  for (const [value, words] of options) select.append(make("option", { value }, say(words)));
  if (onchange) select.addEventListener("change", () => onchange(select.value));
  return select;
}

function panel(name, label, ...content) {
  const box = make("div", { class: "sc-panel cb-panel", hidden: true }, ...content);
  return panelButton({ name, label, text: true }, box);
}

/** Jitter, fewer codes, sort, shuffle: on the selection, or on everything. */
export function changePanel(app) {
  const where = make("p", { class: "cb-where" });
  const show = () => {
    const count = app.canvas.selection.size;
    where.textContent = count ? `${say("On the selected part")} (${count})` : say("On the whole picture");
  };
  app.root.addEventListener("selected", show);
  const k = slider({ label: "How far", min: 1, max: 32, value: 3, curve: 1.6 });
  const chance = slider({ label: "How many", min: 1, max: 100, value: 25, unit: " %" });
  const count = slider({ label: "Codes", min: 2, max: 128, value: 16, curve: 2 });
  const key = choice("Sort by", [["lightness", "Lightness"], ["hue", "Hue"], ["texture", "Texture"], ["index", "Number"]]);
  const way = choice("Direction", [["", "Along rows"], ["down", "Down columns"]]);
  const run = (operation) => app.do({ ...operation, mask: app.mask() });
  show();
  return panel(
    "dice", "Change", where,
    title("Jitter"), k.element, chance.element,
    line(button("Jitter", () => run({ kind: "jitter", k: k.get(), probability: chance.get() / 100, seed: randomSeed() }))),
    title("Fewer codes"), count.element,
    line(button("Restrict", () => run({ kind: "restrict", count: count.get(), seed: randomSeed() }))),
    title("Order"),
    line(key, way, button("Sort", () => run({ kind: "sort", key: key.value, down: way.value === "down" })),
      button("Shuffle", () => run({ kind: "shuffle", seed: randomSeed() }))),
  );
}

/** Take a palette from a picture or a file, apply it by one of three ways, stronger or weaker. */
export function palettePanel(app) {
  let palette = null;
  let applied = null; // the revision after our own operation: while it stands, the slider changes it
  const strip = make("div", { class: "cb-strip" }, say("Choose where the colours come from."));
  const method = choice("Way", [["transport", "Keep its balance"], ["nearest", "Nearest codes"], ["histogram", "Match light"]], () => again());
  const strength = slider({ label: "Strength", min: 1, max: 100, value: 100, unit: " %" });
  strength.element.querySelector("input").addEventListener("change", () => again());
  const use = (found, name) => {
    palette = { ...found, name: String(name ?? found.name ?? "").slice(0, 200) };
    applied = null;
    strip.replaceChildren(...palette.codes.slice(0, 40).map((code) => {
      const swatch = make("canvas", { width: 16, height: 16 });
      app.atlas.paintSwatch(swatch, code);
      return swatch;
    }));
  };
  const apply = async () => {
    if (!palette) return app.notice(say("Choose where the colours come from."));
    const operation = { kind: "set_palette", palette, method: method.value, strength: strength.get() / 100, mask: app.mask() };
    applied = (await app.do(operation)) ? app.desk.operations.length : null;
  };
  const again = async () => {
    if (applied === null || applied !== app.desk.operations.length) return;
    await app.busy(() => app.desk.undo());
    await apply();
  };
  const fromPicture = (file) => app.busy(async () => {
    const { ref } = await putPicture(file);
    use(await getJson(`codes/palette/${ref}?${new URLSearchParams({ model: app.desk.model })}`), file.name);
  });
  const fromFile = (file) => app.busy(async () => use(readPalette(await file.text()), file.name));
  const fromGallery = async () => {
    const it = await pickPicture();
    if (it) await fromPicture(new File([await (await fetch(it.url)).blob()], it.alt || say("gallery")));
  };
  const own = async () => (await app.desk.ask("palette")).json();
  const toStyle = () => app.busy(async () => {
    const found = palette ?? (await own());
    await givePalette({ ...found, colours: found.codes.map((code) => app.atlas.colour(code)) });
  });
  const save = () => app.busy(async () => {
    const found = await own();
    download(new Blob([JSON.stringify(found, null, 1)], { type: "application/json" }), "palette.json");
  });
  return panel(
    "palette", "Palette",
    line(button("From a picture", () => chooseFile("image/*", fromPicture)), button("From gallery", fromGallery),
      button("Load", () => chooseFile(".json", fromFile)), button("Save this one", save)),
    strip, line(method), strength.element,
    line(button("Apply", apply, true), ...(tabButton("style") ? [button("To style transfer", toStyle)] : [])),
  );
}

function readPalette(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    found = null;
  }
  if (!Array.isArray(found?.codes) || !Array.isArray(found?.weights)) throw new Error(say("That file is not a palette."));
  return found;
}

/** Morph, dissolve or grow as a film. */
export function filmPanel(app) {
  let second = null;
  const kind = choice("Kind", [["smooth", "Smooth morph"], ["stepped", "Stepped morph"], ["dissolve", "Dissolve"], ["grow", "Grow"]]);
  const file = choice("File", [["mp4", "MP4"], ["webp", "WebP"], ["gif", "GIF"]]);
  const frames = slider({ label: "Frames", min: 8, max: 96, value: 24, curve: 1.4 });
  const name = make("span", { class: "cb-name" }, say("from the first state to this one"));
  const result = make("div", { class: "cb-film" });
  const take = (picked) => app.busy(async () => {
    second = (await putPicture(picked)).ref;
    name.textContent = picked.name;
  });
  const pick = () => chooseFile("image/*", take);
  const fromGallery = async () => {
    const it = await pickPicture();
    if (it) await take(new File([await (await fetch(it.url)).blob()], it.alt || say("gallery")));
  };
  const film = () => app.busy(async () => {
    const body = JSON.stringify({ kind: kind.value, frames: frames.get(), file: file.value, input: second });
    const response = await app.desk.ask("film", { method: "POST", body });
    const blob = await response.blob();
    const url = URL.createObjectURL(blob);
    const isVideo = blob.type.startsWith("video");
    const shown = isVideo
      ? make("video", { src: url, autoplay: true, loop: true, muted: true, playsInline: true, controls: true })
      : make("img", { src: url, alt: "" });
    result.replaceChildren(shown, button("Save film", () => download(blob, response.headers.get("X-Name") ?? "film")));
  }, say("Drawing the frames"));
  return panel(
    "film", "Film", line(kind, file), frames.element,
    line(button("To another picture", pick), button("From gallery", fromGallery), name), line(button("Make film", film, true)), result,
  );
}

/** What the codes cost in bits and keep in quality, beside JPEG and WebP. */
export function meterPanel(app) {
  const body = make("div", { class: "cb-meter" });
  const show = () => app.busy(async () => {
    body.replaceChildren();
    const found = await (await app.desk.ask("meter")).json();
    const cell = (tag, words) => make(tag, {}, words);
    const row = (tag, ...words) => make("tr", {}, ...words.map((word) => cell(tag, word)));
    const ways = [{ ...found.codes, name: say("codes") }, ...found.others];
    const fixed = (value, digits) => (value === null ? "∞" : value.toFixed(digits));
    const table = make("table", {}, row("th", "", say("bytes"), "PSNR", "SSIM"),
      ...ways.map((w) => row("td", w.name, (w.fits ? "" : "≥ ") + w.bytes.toLocaleString(), `${fixed(w.psnr, 1)} dB`, fixed(w.ssim, 3))));
    const bits = `${found.packed_bpp.toFixed(3)} ${say("bits per pixel")} (${say("raw")} ${found.raw_bpp.toFixed(3)}, ${say("entropy")} ${found.entropy_bpp.toFixed(3)})`;
    body.replaceChildren(table, make("p", {}, bits));
  });
  const box = panel("meter", "Meter", title("The picture as codes, beside other formats"), body);
  box.querySelector(".sc-panel").addEventListener("opened", show);
  return box;
}

/** Start from a file, an example or a shared text. */
export function openPanel(app) {
  const examples = make("div", { class: "cb-examples" });
  const model = choice("Model", []);
  model.addEventListener("change", () => {
    app.desk.model = model.value;
    if (app.desk.document?.source) app.open({ input: app.desk.document.source, side: app.side });
  });
  const side = choice("Size", [["0", "Size that suits"], ["256", "256 px"], ["384", "384 px"], ["512", "512 px"], ["768", "768 px, slow"]], (v) => (app.side = Number(v)));
  const text = make("textarea", { rows: 2, placeholder: "tessera.…", "aria-label": say("A picture as text"), spellcheck: false });
  const openText = () => text.value.trim() && app.open({ text: text.value }).then(() => box.close());
  const fromTextFile = async (file) => {
    text.value = (await file.text()).trim().slice(0, 500_000);
    await openText();
  };
  const fromGallery = async () => {
    box.close();
    const it = await pickPicture();
    if (it) await app.open({ record: it.id, side: app.side });
  };
  const draw = button("Random draw", () => {
    box.close();
    app.canvas.select([]);
    app.drawing.show();
  });
  const fill = () => {
    draw.hidden = app.drawing.box.hidden;
    const { models = [], examples: names = [] } = app.info ?? {};
    model.replaceChildren(...models.map(({ id, title: words }) => make("option", { value: id, selected: id === app.desk.model }, words)));
    model.hidden = models.length < 2;
    examples.replaceChildren(...names.map((name) =>
      make("button", { type: "button", "aria-label": name, title: name,
        onclick: () => app.open({ example: name, side: app.side }).then(() => box.close()) },
      make("img", { src: new URL(`studio/codes/examples/${encodeURIComponent(name)}`, document.baseURI).href, alt: "", loading: "lazy" }))));
  };
  const box = panel(
    "open", "Open",
    line(button("A picture", () => chooseFile("image/*", (f) => app.openFile(f).then(() => box.close())), true),
      button("From gallery", fromGallery), draw, side), model,
    examples, title("A picture as text"), text, line(button("Open text", openText),
      button("From a file", () => chooseFile(".tokens,.txt", fromTextFile))),
  );
  box.querySelector(".sc-panel").addEventListener("opened", fill);
  return box;
}

/** The picture as text, to copy or to save. */
export function sharePanel(app) {
  const text = make("textarea", { rows: 4, readOnly: true, "aria-label": say("A picture as text"), spellcheck: false });
  const size = make("p", {});
  const copy = async () => {
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
    } catch {
      document.execCommand("copy"); // no clipboard permission outside https and localhost
    }
    app.notice(say("Copied. Whoever has this model can paste it back."));
  };
  const show = () => app.busy(async () => {
    text.value = "";
    text.value = (await (await app.desk.ask("share")).json()).text;
    size.textContent = `${text.value.length.toLocaleString()} ${say("characters")}`;
  });
  const save = () => download(new Blob([`${text.value}\n`], { type: "text/plain" }), "picture.tokens");
  const box = panel("share", "Share", title("The whole picture in these letters"), text, size, line(button("Copy", copy, true), button("Save", save)));
  box.querySelector(".sc-panel").addEventListener("opened", show);
  return box;
}

/** Keep in the gallery, and on to the other tabs. */
export function sendPanel(app) {
  const targets = make("div", { class: "cb-targets" });
  const keepIt = () => app.busy(async () => {
    const { record } = await (await app.desk.ask("keep", { method: "POST", body: "{}" })).json();
    app.onkept(record);
    return record;
  }, say("Keeping the picture"));
  const keep = async () => {
    if (await keepIt()) app.notice(say("Kept in the gallery, with everything you did."));
  };
  const png = () => app.busy(async () => {
    const response = await app.desk.ask(`view/picture?r=${app.desk.revision}`);
    download(await response.blob(), "picture.png");
  });
  const inpaint = () => app.busy(async () => {
    const cells = app.canvas.selection.size ? [...app.canvas.selection] : null;
    const body = JSON.stringify({ cells, ring: 1 });
    const { source, mask } = await (await app.desk.ask("mask", { method: "POST", body })).json();
    const canvas = await goTo("inpaint");
    await canvas.openRef(source, { mask });
  });
  const palette = () => app.busy(async () => {
    const found = await (await app.desk.ask("palette")).json();
    await givePalette({ ...found, colours: found.codes.map((code) => app.atlas.colour(code)) });
  });
  const fill = () => {
    const sends = [...document.querySelectorAll(".cb-sends button")];
    const buttons = sends.map((send) => button(send.textContent.trim(), async () => (await keepIt()) && setTimeout(() => send.click(), 50)));
    if (tabButton("style")) buttons.unshift(button("Its palette to style transfer", palette));
    if (tabButton("inpaint")) buttons.unshift(button("Inpaint what I edited", inpaint));
    targets.replaceChildren(...(buttons.length ? [title("Send to"), ...buttons] : []));
  };
  const box = panel("send", "Keep", line(button("Keep in gallery", keep, true), button("Save PNG", png)), targets);
  box.querySelector(".sc-panel").addEventListener("opened", fill);
  return box;
}

/** Open the style tab and put a palette into its well, which is there once the tab is. */
async function givePalette(palette) {
  tabButton("style").click();
  for (let waited = 0; waited < 10_000; waited += 100) {
    window.tessera?.takePalette?.(palette);
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (document.querySelector(".well-palette")) return;
  }
  throw new Error(say("The other tab did not open."));
}

const tabButton = (tab) => document.getElementById(`tab-${tab}-button`);

/** Go to another tab and wait for its canvas, which is made when the tab is first shown. */
async function goTo(tab) {
  tabButton(tab).click();
  for (let waited = 0; waited < 10_000; waited += 50) {
    const canvas = window.studioCanvases?.get(tab);
    if (canvas) {
      await canvas.ready;
      return canvas;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(say("The other tab did not open."));
}
