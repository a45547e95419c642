// Drawing tokens from the model's prior: a new picture, or other tokens where the selection is. Several alternatives
// come; taking one is an edit like any other, and another may be taken instead.

import { make, slider } from "../canvas/dom.js";
import { panelButton } from "../canvas/mask_bar.js";
import { call, post } from "../canvas/server.js";
import { say, told as errorText } from "../canvas/words.js";
import { int32 } from "./desk.js";

const ALTERNATIVES = 4;

/** Read a response of one JSON object a line, and hand each to `heard`. */
async function listen(response, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) heard(JSON.parse(line));
  }
}

export class DrawPanel {
  constructor(app) {
    this.app = app;
    this.job = null;
    this.base = null; // what alternatives change: {cells, length: operations before any was taken}
    this.prompt = make("input", { type: "text", maxLength: 2000, placeholder: say("What it should show (may stay empty)"), "aria-label": say("Prompt") });
    this.seed = make("input", { type: "number", min: 0, max: 2 ** 32 - 1, placeholder: say("new each time"), "aria-label": say("Seed") });
    this.temperature = slider({ label: "Temperature", min: 0, max: 2, value: 1, step: 0.1 });
    this.where = make("p", { class: "cb-where" });
    this.go = make("button", { type: "button", class: "sc-cta cb-act", onclick: () => this.#draw() });
    this.stop = make("button", { type: "button", class: "cb-act", hidden: true, onclick: () => this.#stop() }, say("Stop"));
    this.said = make("span", { class: "cb-name", role: "status" });
    this.tiles = make("div", { class: "cb-alternatives" });
    this.box = panelButton(
      { name: "spark", label: "Imagine", key: "R", text: true },
      make(
        "div", { class: "sc-panel cb-panel cb-draw", hidden: true },
        this.where, this.prompt, this.temperature.element,
        make("label", { class: "cb-line" }, make("span", { class: "cb-label" }, say("Seed")), this.seed),
        make("div", { class: "cb-line" }, this.go, this.stop, this.said), this.tiles,
      ),
    );
    app.root.addEventListener("selected", () => this.#describe());
    this.box.querySelector(".sc-panel").addEventListener("opened", () => this.#describe());
    this.prompt.addEventListener("keydown", (event) => event.key === "Enter" && !this.job && this.#draw());
    this.#describe();
  }

  /** Open the panel; the key's way in. */
  show() {
    if (this.box.hidden) return this.app.notice(say("This model has nothing to draw tokens with."));
    if (this.box.querySelector(".sc-panel").hidden) this.box.querySelector("button").click();
    return this.go.focus();
  }

  /** Whether the model on the desk has a prior. */
  allow(isAllowed) {
    this.box.hidden = !isAllowed;
  }

  #describe() {
    const count = this.app.canvas?.selection.size ?? 0;
    this.where.textContent = count
      ? `${say("Other tokens for the selected part")} (${count})`
      : say("A new picture out of nothing. Select a part (M) to draw only that anew.");
    this.go.textContent = say(count ? "Resample these" : "Random draw");
  }

  async #draw() {
    const { app } = this;
    const cells = app.canvas.selection.size ? app.mask() : null;
    this.#working(true);
    this.tiles.replaceChildren(...Array.from({ length: ALTERNATIVES }, () => make("i", { class: "cb-tile" })));
    try {
      if (cells) await app.desk.settle(); // every edit is in, and the server has this picture
      this.base = { cells, length: app.desk.operations.length, laid: app.desk.laid, frame: this.#frame(cells) };
      if (cells) this.base.picture = app.canvas.picture.toDataURL("image/webp", 0.85);
      await listen(await post("codes/draw", this.#asked(cells)), (told) => this.#hear(told));
    } catch (error) {
      this.#fail(error.message);
    } finally {
      this.#working(false);
    }
  }

  #asked(cells) {
    const { desk } = this.app;
    return {
      model: desk.model, prompt: this.prompt.value, temperature: this.temperature.get(), count: ALTERNATIVES,
      seed: this.seed.value === "" ? null : Number(this.seed.value),
      ...(cells ? { document: desk.document.document, cells } : {}),
    };
  }

  #hear(told) {
    if (told.job) this.job = told.job;
    if (told.state === "queued") this.said.textContent = say("waiting");
    if (told.state === "loading") this.said.textContent = say("loading the model");
    if (told.state === "running") {
      this.said.textContent = `${told.index} / ${told.total}`;
      if (told.preview) this.#preview(told.preview);
    }
    if (told.state === "failed") this.#fail(errorText(told));
    if (told.state === "cancelled") this.#fail("");
    if (told.state === "finished") this.#offer(told);
  }

  /** The previews of all alternatives come side by side in one small picture. */
  #preview(url) {
    [...this.tiles.children].forEach((tile, i) => {
      tile.style.backgroundImage = `url(${url})`;
      tile.style.backgroundSize = `${ALTERNATIVES * 100}% 100%`;
      tile.style.backgroundPosition = `${(100 * i) / (ALTERNATIVES - 1)}% 0`;
    });
  }

  #offer({ alternatives, seconds }) {
    this.said.textContent = `${seconds} s`;
    const before = this.base.cells
      ? [this.#tile(this.base.picture, { label: say("as it was"), isOn: true, onclick: (e) => this.#take(null, e.currentTarget) }, say("as it was"))]
      : [];
    this.tiles.replaceChildren(
      ...before,
      ...alternatives.map((one, i) =>
        this.#tile(one.picture, {
          label: `${say("Alternative")} ${i + 1}`, title: `${say("Seed")} ${one.seed}`, onclick: (event) => this.#take(one, event.currentTarget),
        }),
      ),
    );
  }

  /** A button with the part of a picture that is drawn anew and some of what is around it. */
  #tile(url, { label, title, isOn = false, onclick }, ...words) {
    const tile = make("button", { type: "button", class: "cb-tile", "aria-pressed": String(isOn), "aria-label": label, title, onclick },
      ...words.map((word) => make("span", {}, word)));
    const [x, y, width, height] = this.base.frame;
    const place = (at, share) => (share < 1 ? `${(100 * at) / (1 - share)}%` : "0%");
    tile.style.backgroundImage = `url(${url})`;
    tile.style.backgroundSize = `${100 / width}% ${100 / height}%`;
    tile.style.backgroundPosition = `${place(x, width)} ${place(y, height)}`;
    return tile;
  }

  /** The square around `cells` to show, as shares of the picture: [left, top, width, height]. */
  #frame(cells) {
    if (!cells) return [0, 0, 1, 1];
    const { width, height } = this.app.canvas.picture;
    const { factor } = this.app.canvas.grid;
    const span = (values) => [Math.min(...values) * factor, (Math.max(...values) + 1) * factor];
    const [[top, bottom], [left, right]] = [span(cells.map(([row]) => row)), span(cells.map(([, column]) => column))];
    const side = Math.min(width, height, Math.max(bottom - top, right - left) + 4 * factor);
    const begin = (from, to, length) => Math.min(length - side, Math.max(0, (from + to - side) / 2));
    return [begin(left, right, width) / width, begin(top, bottom, height) / height, side / width, side / height];
  }

  /** Take an alternative in place of the one taken before; null goes back to how it was. */
  async #take(one, tile) {
    const { app, base } = this;
    if (!base.cells) {
      await app.open({ text: one.text });
      return this.#mark(tile);
    }
    const ours = app.desk.operations.length - base.length;
    const isOurs = ours === 0 || (ours === 1 && app.desk.operations.at(-1).kind === "write");
    if (app.desk.laid !== base.laid || !isOurs) return app.notice(say("The picture has changed since. Draw again."));
    if (ours === 1) await app.busy(() => app.desk.undo());
    if (one) {
      const codes = int32(one.codes);
      const { columns } = app.canvas.grid;
      await app.do({ kind: "write", cells: base.cells, codes: base.cells.map(([row, column]) => codes[row * columns + column]) });
    }
    return this.#mark(tile);
  }

  #mark(tile) {
    for (const other of this.tiles.children) other.setAttribute("aria-pressed", String(other === tile));
  }

  #working(isWorking) {
    if (!isWorking) this.job = null;
    this.go.disabled = isWorking;
    this.stop.hidden = !isWorking;
    if (isWorking) this.said.textContent = say("waiting");
  }

  async #stop() {
    if (this.job) await this.app.busy(() => call(`codes/draw/${this.job}/stop`, { method: "POST" }));
  }

  #fail(words) {
    this.said.textContent = "";
    this.tiles.replaceChildren();
    if (words) this.app.notice(words, "error");
  }
}
