// The Codebook tab: a picture made of codes on the left, all codes on the right. This file puts the parts together.

import { acceptPictures, make, notices, slider, toolButton } from "../canvas/dom.js";
import { kept } from "../canvas/keep.js";
import { bindKeys } from "../canvas/keys.js";
import { getJson, putPicture } from "../canvas/server.js";
import { TokenCanvas } from "../canvas/tokens.js";
import { addWords, say } from "../canvas/words.js";
import { Atlas } from "./atlas.js";
import { CodeCard } from "./card.js";
import { CHINESE } from "./chinese.js";
import { Desk, KEPT } from "./desk.js";
import { DrawPanel } from "./draw.js";
import { changePanel, filmPanel, meterPanel, openPanel, palettePanel, sendPanel, sharePanel } from "./panels.js";

const TOOLS = [
  ["brush", "Brush", "B"],
  ["fill", "Fill", "G"],
  ["stamp", "Stamp", "S"],
  ["select", "Select", "M"],
  ["pick", "Pick a code", "I"],
];
const VIEWS = [
  ["picture", "Picture"],
  ["codes", "Codes"],
  ["error", "Misfit"],
  ["margin", "Certainty"],
  ["usage", "Usage"],
];
const ORDERS = [
  ["similarity", "Alike together"],
  ["hue", "By hue"],
  ["lightness", "By lightness"],
  ["texture", "By texture"],
  ["usage", "By use"],
  ["index", "By number"],
];
const group = (...items) => make("div", { class: "sc-group" }, ...items);

export class Codebook {
  constructor(root, { onkept = () => {} }) {
    addWords(CHINESE);
    this.root = root;
    this.onkept = onkept;
    this.viewName = "picture";
    this.replacing = null;
    this.order = { order: "similarity", dead: false, corpus: "examples" };
    this.#build();
    this.ready = this.#start();
  }

  // -- what panels and keys call -----------------------------------------------------------------------------

  /** Run `action`, show what went wrong, and say that something is going on if it takes long. */
  async busy(action, words = "") {
    this.working.textContent = words || say("One moment");
    const timer = setTimeout(() => (this.working.hidden = false), 250);
    try {
      return await action();
    } catch (error) {
      this.notice(error.message, "error");
      return undefined;
    } finally {
      clearTimeout(timer);
      this.working.hidden = true;
    }
  }

  /** Open something (see Desk.open) and, when the model is another one, its atlas. */
  open(asked) {
    return this.busy(async () => {
      const notes = await this.desk.open(asked);
      await this.#afterOpening();
      if (notes.length) this.notice(notes.join(" "));
    }, say("Reading the picture"));
  }

  openFile(file) {
    return this.busy(async () => {
      const put = await putPicture(file);
      await this.open({ input: put.ref, side: this.side });
      if (put.notes?.length) this.notice(put.notes.join(" "));
    });
  }

  /** Bring back a picture from its recipe: {model, start, operations, source}. */
  replay(recipe) {
    return this.busy(async () => {
      await this.desk.reopen(recipe);
      await this.#afterOpening();
    });
  }

  /** Apply an operation to the selection, or everywhere. */
  do(operation) {
    if (!this.desk.isOpen) return this.notice(say("Open a picture first."));
    return this.busy(async () => {
      const isChanged = await this.desk.do(operation);
      if (!isChanged) this.notice(say("That changes nothing here."));
      return isChanged;
    });
  }

  mask() {
    return this.canvas.selectedPairs();
  }

  /** Arm the brush with `code` and show its card. */
  choose(code) {
    if (this.replacing !== null && code !== this.replacing) {
      const old = this.replacing;
      this.#endReplacing();
      this.do({ kind: "replace_all", old, new: code, mask: this.mask() });
    }
    this.canvas.code = code;
    this.atlas.choose(code);
    this.card.show(code);
    if (this.canvas.spotlight !== null) this.canvas.spotlight = code;
    this.canvas.redraw();
  }

  /** The next code that is chosen takes the place of `code` everywhere. */
  beginReplacing(code) {
    this.replacing = code;
    this.root.classList.add("cb-replacing");
    this.notice(say("Now click the code that takes its place."));
  }

  toggleSpotlight(code) {
    this.canvas.spotlight = this.canvas.spotlight === code ? null : code;
    this.canvas.redraw();
    return this.canvas.spotlight !== null;
  }

  /** Look at one of VIEWS. */
  async setView(name) {
    this.viewName = name;
    for (const button of this.views.children) button.setAttribute("aria-pressed", String(button.dataset.view === name));
    if (name === "picture") this.canvas.view = null;
    else this.canvas.view = (await this.busy(() => this.#image(name))) ?? null;
    if (name !== "picture" && !this.canvas.view) return this.setView("picture");
    this.canvas.redraw();
  }

  async toggleCompare() {
    if (!this.desk.isOpen) return;
    if (this.canvas.compare) this.canvas.compare = null;
    else {
      const image = await this.busy(() => this.#image("source"));
      if (image) this.canvas.compare = { image, at: 0.5 };
    }
    this.compareButton.setAttribute("aria-pressed", String(Boolean(this.canvas.compare)));
    this.canvas.redraw();
  }

  toggleGrid() {
    this.canvas.isGridShown = !this.canvas.isGridShown;
    this.gridButton.setAttribute("aria-pressed", String(this.canvas.isGridShown));
    this.canvas.redraw();
  }

  async loadAtlas() {
    const isLoaded = await this.busy(async () => {
      await this.atlas.load(this.desk.model, this.order);
      return true;
    }, say("Mixing the colours of the codes"));
    this.canvas.colours = this.atlas.rgb;
    this.said.textContent = this.atlas.page?.said ?? "";
    return isLoaded;
  }

  // -- building ----------------------------------------------------------------------------------------------

  #build() {
    this.root.classList.add("sc", "cb");
    this.root.tabIndex = 0;
    this.stage = make("div", { class: "sc-stage" });
    this.foot = make("div", { class: "sc-foot" });
    this.bar = make("div", { class: "sc-bar", role: "toolbar", "aria-label": say("Tools") });
    const under = make("div", { class: "cb-foot" }, this.foot, this.#viewBar());
    const left = make("div", { class: "cb-left" }, this.stage, under);
    this.root.replaceChildren(this.bar, make("div", { class: "cb-main" }, left, this.#side()));
    this.notice = notices(this.stage);
    this.working = make("div", { class: "cb-working", hidden: true, role: "status" });
    this.stage.append(this.working);
    this.canvas = new TokenCanvas(this.stage, this.#canvasEvents());
    this.atlas = new Atlas(this.atlasStage, {
      choose: (code) => this.choose(code),
      hover: (code) => this.#say(code),
    });
    this.desk = new Desk(this.canvas, {
      change: () => this.#changed(),
      failure: (error) => this.notice(error.message, "error"),
    });
    this.card = new CodeCard(this.cardBox, this);
    this.side = 0; // as suits the model
    this.#fillBar();
    acceptPictures(this.root, (file) => this.openFile(file));
    bindKeys(this.root, this.#keys(), (key, isDown) => {
      if (key === "space") this.canvas.surface.spaceHeld = this.atlas.surface.spaceHeld = isDown;
      else this.canvas.isAltHeld = isDown;
      this.stage.dataset.pan = String(this.canvas.surface.spaceHeld);
      this.canvas.redraw();
    });
    this.canvas.setTool("brush");
    this.#changed();
  }

  #fillBar() {
    const tools = TOOLS.map(([name, label, key]) => {
      const button = toolButton({ name, label, key, toggles: true, onclick: () => this.canvas.setTool(name) });
      button.dataset.tool = name;
      return button;
    });
    this.sizeSlider = slider({ label: "Size", min: 1, max: 16, value: 2, curve: 1.4, oninput: (v) => this.#setSize(v) });
    this.sizeSlider.element.classList.add("cb-size");
    this.undoButton = toolButton({ name: "undo", label: "Undo", key: "Ctrl Z", onclick: () => this.desk.undo() });
    this.redoButton = toolButton({ name: "redo", label: "Redo", key: "Ctrl Shift Z", onclick: () => this.desk.redo() });
    this.gridButton = toolButton({ name: "grid", label: "Grid", key: "#", toggles: true, onclick: () => this.toggleGrid() });
    this.compareButton = toolButton({
      name: "compare", label: "Before and after", key: "C", toggles: true, onclick: () => this.toggleCompare(),
    });
    this.drawing = new DrawPanel(this);
    this.bar.append(
      group(...tools),
      this.sizeSlider.element,
      group(this.undoButton, this.redoButton),
      group(
        this.gridButton,
        this.compareButton,
        toolButton({ name: "fit", label: "Show all", key: "0", onclick: () => this.canvas.surface.fit() }),
      ),
      make("div", { class: "sc-space" }),
      group(this.drawing.box, changePanel(this), palettePanel(this), filmPanel(this), meterPanel(this)),
      group(openPanel(this), sharePanel(this), sendPanel(this)),
    );
  }

  #viewBar() {
    this.views = make("div", { class: "cb-views", role: "toolbar", "aria-label": say("View") });
    for (const [name, label] of VIEWS)
      this.views.append(
        make("button", {
          type: "button", "aria-pressed": String(name === "picture"), "data-view": name,
          onclick: () => this.setView(name),
        }, say(label)),
      );
    return this.views;
  }

  #side() {
    this.atlasStage = make("div", { class: "sc-stage cb-atlas" });
    this.cardBox = make("div", { class: "cb-card" });
    this.said = make("span");
    const order = make("select", { "aria-label": say("Order of the codes") });
    for (const [name, label] of ORDERS) order.append(make("option", { value: name }, say(label)));
    order.addEventListener("change", () => ((this.order.order = order.value), this.loadAtlas()));
    const dead = make("input", { type: "checkbox" });
    dead.addEventListener("change", () => ((this.order.dead = dead.checked), this.loadAtlas()));
    const corpus = make("select", { "aria-label": say("Count codes in") });
    for (const [name, label] of [["examples", "Counted in the examples"], ["gallery", "Counted in my gallery"]])
      corpus.append(make("option", { value: name }, say(label)));
    corpus.addEventListener("change", () => this.#countIn(corpus));
    const colour = make("input", { type: "color", value: "#3f7fbf", "aria-label": say("Find a colour") });
    colour.addEventListener("input", () => this.#findColour(colour.value));
    const clear = toolButton({ name: "close", label: "Show every code", onclick: () => this.atlas.mark(null) });
    const head = make(
      "div",
      { class: "cb-head" },
      order,
      make("label", { class: "sc-check", "data-tip": say("Find a colour") }, colour),
      clear,
      make("label", { class: "sc-check cb-dead" }, dead, make("span", {}, say("unused too"))),
    );
    const counted = make("div", { class: "cb-said" }, corpus, this.said);
    return make("div", { class: "cb-side" }, head, this.atlasStage, counted, this.cardBox);
  }

  #canvasEvents() {
    return {
      dab: (cells, code) => this.desk.dab(cells, code),
      stroke: (operation) => this.desk.do(operation).catch(() => {}),
      abandon: () => this.desk.abandon().catch(() => {}),
      pick: (code) => this.choose(code),
      hover: (cell) => this.#say(cell === null ? null : this.canvas.grid.codes[cell], cell),
      select: (cells) => this.#selected(cells),
      hint: (words) => this.notice(words),
      tool: (name) => {
        for (const button of this.root.querySelectorAll("[data-tool]"))
          button.setAttribute("aria-pressed", String(button.dataset.tool === name));
      },
    };
  }

  #keys() {
    const table = {
      "[": () => this.#setSize(this.canvas.size - 1),
      "]": () => this.#setSize(this.canvas.size + 1),
      "ctrl+z": () => this.desk.undo(),
      "ctrl+shift+z": () => this.desk.redo(),
      "ctrl+y": () => this.desk.redo(),
      "ctrl+c": () => this.canvas.copy(),
      "ctrl+d": () => this.canvas.select([]),
      "ctrl+a": () => this.canvas.select([...this.canvas.grid.codes.keys()]),
      "#": () => this.toggleGrid(),
      c: () => this.toggleCompare(),
      0: () => this.canvas.surface.fit(),
      "+": () => this.canvas.surface.zoom(1.25),
      "=": () => this.canvas.surface.zoom(1.25),
      "-": () => this.canvas.surface.zoom(0.8),
      r: () => this.drawing.show(),
      w: () => this.canvas.code !== null && this.card.toggleWhere(),
      escape: () => (this.replacing !== null ? this.#endReplacing() : this.canvas.abandon()),
    };
    for (const [name, , key] of TOOLS) table[key.toLowerCase()] = () => this.canvas.setTool(name);
    VIEWS.forEach(([name], i) => (table[String(i + 1)] = () => this.setView(name)));
    return table;
  }

  // -- what happens ------------------------------------------------------------------------------------------

  async #start() {
    this.working.textContent = say("Waking up");
    this.working.hidden = false;
    const work = await kept(KEPT);
    try {
      this.info = await getJson("codes/desk");
    } catch (error) {
      return this.notice(error.message, "error");
    } finally {
      this.working.hidden = true;
    }
    if (work) {
      try {
        await this.desk.reopen(work);
        await this.#afterOpening();
        return this.notice(say("Your work is as you left it."));
      } catch {
        // The model or the recipe is not what it was: the notice is shown already; begin afresh.
        this.desk.model = "";
      }
    }
    if (this.info.examples.length) await this.open({ example: this.info.examples[0] });
    return undefined;
  }

  async #afterOpening() {
    this.canvas.spotlight = null;
    const models = this.info?.models ?? [];
    this.drawing.allow(Boolean((models.find(({ id }) => id === this.desk.model) ?? models[0])?.has_prior));
    this.compareButton.setAttribute("aria-pressed", "false");
    if (this.atlas.model !== this.desk.model) {
      this.canvas.code = this.canvas.pattern = null; // they mean nothing with another codebook
      await this.loadAtlas();
    }
    await this.setView("picture");
    if (this.canvas.code === null) this.choose([...this.canvas.counts()].sort((a, b) => b[1] - a[1])[0][0]);
    else this.card.show(this.canvas.code);
    this.#changed();
  }

  #changed() {
    if (!this.desk) return;
    this.undoButton.disabled = !this.desk.operations.length;
    this.redoButton.disabled = !this.desk.undone.length;
    if (this.viewName !== "picture") this.setView(this.viewName);
    this.card?.refresh();
    this.#say(null);
  }

  #selected(cells) {
    if (!this.atlas) return;
    const counts = [...this.canvas.counts(cells)].sort((a, b) => b[1] - a[1]);
    this.atlas.mark(cells.length ? counts.map(([code]) => code) : null);
    this.root.dispatchEvent(new Event("selected"));
    this.#say(null);
  }

  #say(code, cell = null) {
    const grid = this.canvas?.grid;
    if (!grid) return (this.foot.textContent = "");
    const picture = `${this.canvas.picture.width} × ${this.canvas.picture.height} · ${grid.columns} × ${grid.rows} ${say("codes")}`;
    const selected = this.canvas.selection.size ? ` · ${this.canvas.selection.size} ${say("selected")}` : "";
    const place = cell === null ? "" : ` · ${say("row")} ${this.canvas.pair(cell)[0] + 1}, ${say("column")} ${this.canvas.pair(cell)[1] + 1}`;
    this.foot.textContent = code === null ? picture + selected : `${say("Code")} ${code}${place}${selected}`;
    return undefined;
  }

  async #countIn(select) {
    const before = this.order.corpus;
    this.order.corpus = select.value;
    if (!(await this.loadAtlas())) this.order.corpus = select.value = before;
    this.card.refresh();
  }

  #setSize(size) {
    this.canvas.size = Math.min(16, Math.max(1, Math.round(size)));
    this.sizeSlider.set(this.canvas.size);
    this.canvas.redraw();
  }

  #endReplacing() {
    this.replacing = null;
    this.root.classList.remove("cb-replacing");
    this.notice("");
  }

  async #findColour(value) {
    if (!this.atlas.page) return;
    const query = new URLSearchParams({ model: this.desk.model, rgb: value.slice(1) });
    await this.busy(async () => this.atlas.mark(await getJson(`codes/atlas/near?${query}`)));
  }

  async #image(name) {
    const response = await this.desk.ask(`view/${name}?r=${this.desk.revision}`);
    return createImageBitmap(await response.blob());
  }
}
