// MASK mode: paint the part of a picture that is to change. The mask has the picture's own resolution, 0..255.

import { acceptPictures, chooseFile, download, make, notices } from "./dom.js";
import { emptyState } from "./empty.js";
import { remember, remembered } from "./keep.js";
import { bindKeys } from "./keys.js";
import { MASK_TOOLS, maskBar } from "./mask_bar.js";
import { drawAdded, drawOutline, drawRing, paintOverlay } from "./mask_view.js";
import { Painter } from "./painter.js";
import { encodeGrey } from "./png.js";
import { Mask, clear, invert, whole } from "./raster.js";
import { getMask, getPicture, post, putPicture } from "./server.js";
import { Surface } from "./surface.js";
import { Versions } from "./versions.js";
import { say } from "./words.js";

const SETTINGS = { size: 40, softness: 0, strength: 100, colour: "#ff2f6d", opacity: 0.55, pressure: true };

export class MaskEditor {
  /** `root` is filled with the editor; `name` keeps its work apart from other canvases'; `onvalue(value)` hears of changes. */
  constructor(root, { name, onvalue = () => {} }) {
    this.root = root;
    this.name = name;
    this.onvalue = onvalue;
    this.versions = new Versions(name, (place) => this.#switch(() => this.#goTo(place)));
    this.settings = { ...SETTINGS, ...remembered(name) };
    this.tool = "brush";
    this.painter = new Painter(this);
    this.source = null; // {ref, width, height, bitmap}
    this.mask = null;
    this.maskRef = null;
    this.isShown = true;
    this.isSwitching = false;
    this.added = [0, 0, 0, 0];
    this.syncing = Promise.resolve();
    this.#build();
    this.ready = this.switching = this.#restore();
  }

  /** What the server needs: {source, mask, width, height, coverage}; refs are null while there is nothing. */
  value() {
    const s = this.source;
    return {
      source: s?.ref ?? null,
      mask: this.maskRef,
      width: s?.width ?? 0,
      height: s?.height ?? 0,
      coverage: this.mask?.coverage() ?? 0,
    };
  }

  /** Wait until everything painted has reached the studio; returns the value. */
  async flush() {
    await this.switching;
    this.painter.finish();
    await this.syncing;
    return this.value();
  }

  /** Open a picture file, unpainted. */
  async openFile(file) {
    await this.attempt(async () => {
      const put = await putPicture(file);
      await this.openRef(put.ref);
      if (put.notes?.length) this.notice(put.notes.join(" "));
    });
  }

  /** Open a picture of the gallery; see openRef. */
  async openRecord(id) {
    const { ref } = await (await post(`inputs/of/${id}`, {})).json();
    await this.openRef(ref);
  }

  /**
   * Lay a picture the studio holds on the canvas, as the version after the current one; undo goes back to that. It is
   * unpainted, or has the mask with hash `mask`.
   */
  openRef(ref, { mask = null } = {}) {
    return this.#switch(() => this.#open(ref, mask), { throws: true });
  }

  /** Say how far the sides will be extended: [left, top, right, bottom] in pixels. */
  setAdded(added) {
    this.added = added.map((pixels) => Math.max(0, Number(pixels) || 0));
    this.surface.setMargins(this.added);
    this.#status();
  }

  setTool(name) {
    this.tool = name;
    for (const button of this.root.querySelectorAll("[data-tool]"))
      button.setAttribute("aria-pressed", String(button.dataset.tool === name));
    this.redraw();
  }

  setSize(size) {
    this.sizeSlider.set(Math.round(size));
    this.set({ size: this.sizeSlider.get() });
  }

  /** Change settings of brush and overlay; they outlive a reload. */
  set(changes) {
    Object.assign(this.settings, changes);
    remember(this.name, this.settings);
    if ("colour" in changes && this.mask) this.refresh(whole(this.mask));
    this.redraw();
  }

  /** The strokes that can be taken back: each picture has its own. */
  get history() {
    return this.versions.current?.history;
  }

  /** Change the mask by `action(mask) -> box | null` as one undoable step. */
  change(action) {
    if (!this.mask) return this.notice(say("Open a picture first."));
    if (!this.isSwitching) this.#apply(action);
  }

  #apply(action) {
    const before = this.mask.pack(whole(this.mask));
    const box = action(this.mask);
    if (box) this.record(before, box);
  }

  /** Make what has been painted since `before` was packed an undoable step. */
  record(before, box) {
    const after = this.mask.pack(whole(this.mask));
    const put = (packed) => {
      this.mask.unpack(packed);
      this.refresh(whole(this.mask));
    };
    this.history.push({ undo: () => put(before), redo: () => put(after) });
    this.refresh(box);
    this.#sync();
  }

  /** Take back the last stroke; when there is none, go back to the picture before this one. */
  undo() {
    this.painter.finish();
    if (this.isSwitching) return;
    if (this.history?.undo()) this.#sync();
    else this.#switch(() => this.versions.hasEarlier && this.#goTo(this.versions.at - 1));
  }

  redo() {
    this.painter.finish();
    if (this.isSwitching) return;
    if (this.history?.redo()) this.#sync();
    else this.#switch(() => this.versions.hasLater && this.#goTo(this.versions.at + 1));
  }

  async saveMask() {
    if (!this.mask) return this.notice(say("Open a picture first."));
    download(await this.#png(), "mask.png");
  }

  async loadMask(file) {
    if (!this.mask) return this.notice(say("Open a picture first."));
    await this.attempt(async () => {
      const put = await putPicture(file, "mask");
      const { data, note } = await getMask(put.ref, this.mask);
      this.change((mask) => (mask.data.set(data), whole(mask)));
      const notes = [...(put.notes ?? []), note].filter(Boolean);
      if (notes.length) this.notice(notes.join(" "));
    });
  }

  choose() {
    chooseFile("image/png,image/jpeg,image/webp", (file) => this.openFile(file));
  }

  /** Let the artist take a picture from the gallery. */
  async chooseFromGallery() {
    await this.attempt(async () => {
      const { pickPicture } = await import("../gallery_page/picker.js");
      const picked = await pickPicture();
      if (picked) await this.openRecord(picked.id);
    });
  }

  // -- building ----------------------------------------------------------------------------------------------

  #build() {
    this.root.classList.add("sc");
    this.root.tabIndex = 0;
    this.stage = make("div", { class: "sc-stage" });
    this.says = make("span", { class: "sc-says", role: "status" });
    const foot = make("div", { class: "sc-foot" }, this.says, this.versions.element);
    this.root.replaceChildren(maskBar(this), this.stage, foot);
    this.notice = notices(this.stage);
    this.surface = new Surface(this.stage, {
      draw: (c, scale) => this.#draw(c, scale),
      tool: this.painter.handlers(),
    });
    this.empty = emptyState(this);
    this.stage.append(this.empty);
    acceptPictures(this.root, (file) => this.openFile(file));
    bindKeys(this.root, this.#keys(), (key, isDown) => {
      if (key === "space") this.surface.spaceHeld = isDown;
      this.stage.dataset.pan = String(this.surface.spaceHeld);
    });
    this.setTool("brush");
    this.#status();
  }

  #keys() {
    const table = {
      "[": () => this.setSize(Math.min(this.settings.size - 1, this.settings.size / 1.15)),
      "]": () => this.setSize(Math.max(this.settings.size + 1, this.settings.size * 1.15)),
      "{": () => this.#soften(-10),
      "}": () => this.#soften(10),
      "ctrl+z": () => this.undo(),
      "ctrl+shift+z": () => this.redo(),
      "ctrl+y": () => this.redo(),
      "ctrl+i": () => this.change(invert),
      "ctrl+o": () => this.choose(),
      delete: () => this.change(clear),
      backspace: () => this.change(clear),
      0: () => this.surface.fit(),
      "+": () => this.surface.zoom(1.25),
      "=": () => this.surface.zoom(1.25),
      "-": () => this.surface.zoom(0.8),
      h: () => this.toggleShown(),
    };
    for (const [name, , key] of MASK_TOOLS) table[key.toLowerCase()] = () => this.setTool(name);
    return table;
  }

  #soften(by) {
    this.softSlider.set(this.softSlider.get() + by);
    this.set({ softness: this.softSlider.get() });
  }

  /** Hide the mask, or show it again. */
  toggleShown() {
    this.isShown = !this.isShown;
    this.shownButton.setAttribute("aria-pressed", String(!this.isShown));
    this.redraw();
  }

  // -- drawing -----------------------------------------------------------------------------------------------

  /** Bring the picture on the screen up to date with the mask inside `box`. */
  refresh(box) {
    paintOverlay(this.overlay, this.mask, box, this.settings.colour);
    this.#status();
    this.redraw();
  }

  redraw() {
    this.surface.redraw();
  }

  #draw(c, scale) {
    if (!this.source) return;
    const { painter, settings } = this;
    const { stroke, pointer } = painter;
    c.drawImage(this.source.bitmap, 0, 0);
    drawAdded(c, scale, this.source, this.added, settings.colour);
    if (this.isShown) {
      c.globalAlpha = settings.opacity;
      c.drawImage(this.overlay, 0, 0);
      c.globalAlpha = 1;
    }
    if (stroke && !painter.isBrush)
      drawOutline(c, scale, { tool: this.tool, points: stroke.points, colour: settings.colour });
    if (pointer && !pointer.touch && painter.isBrush) drawRing(c, scale, pointer, painter.radius(pointer));
  }

  #status() {
    this.undoButton.disabled = !this.history?.done.length && !this.versions.hasEarlier;
    this.redoButton.disabled = !this.history?.undone.length && !this.versions.hasLater;
    if (!this.source || this.painter.stroke) return;
    const { width, height } = this.source;
    const [left, top, right, bottom] = this.added;
    const grows = Boolean(left || top || right || bottom);
    const share = this.mask.coverage();
    const percent = share > 0 && share < 0.001 ? "< 0.1" : (100 * share).toFixed(1);
    const painted = share ? `${percent} % ${say("to repaint")}` : grows ? "" : say("Paint the part to change");
    const grown = grows ? ` → ${width + left + right} × ${height + top + bottom}` : "";
    this.says.textContent = [painted, `${width} × ${height}${grown}`].filter(Boolean).join(" · ");
  }

  // -- pictures and their masks ------------------------------------------------------------------------------

  /** Run `action`, which changes the picture on the canvas, after those before it; nothing is painted meanwhile. */
  #switch(action, { throws = false } = {}) {
    const run = async () => {
      this.painter.finish();
      this.isSwitching = true;
      try {
        await this.syncing;
        await action();
      } finally {
        this.isSwitching = false;
      }
    };
    const done = this.switching.then(() => (throws ? run() : this.attempt(run)));
    this.switching = done.catch(() => {}); // the caller hears of it; the next picture can be opened all the same
    return done;
  }

  async #open(ref, maskRef) {
    const isSame = this.source?.ref === ref;
    const picture = isSame ? this.source : await getPicture(ref);
    const data = maskRef ? (await getMask(maskRef, picture.bitmap)).data : null;
    if (isSame && data) this.#apply((mask) => (mask.data.set(data), whole(mask)));
    if (!isSame) {
      const isKept = await this.versions.add(ref, picture, () => this.#aside());
      this.#show(ref, picture, data);
      if (!isKept) this.#warn();
      await this.#sync();
    }
    this.root.dispatchEvent(new CustomEvent("canvas-opened", { bubbles: true }));
  }

  /** Go to an earlier or later picture, as it was left. */
  async #goTo(place) {
    if (place === this.versions.at) return;
    const version = this.versions.list[place];
    const { picture, data } = await this.versions.recall(version);
    this.versions.go(place, this.#aside());
    this.#show(version.ref, picture, data);
    if (version.packed) this.mask.unpack(version.packed);
    this.refresh(whole(this.mask));
    await this.#sync();
    this.root.dispatchEvent(new CustomEvent("canvas-opened", { bubbles: true }));
  }

  /** The mask on the canvas, packed, to be put aside. */
  #aside() {
    return this.mask?.pack(whole(this.mask));
  }

  /** Put a picture on the canvas, with the bytes of its mask, or none. */
  #show(ref, { bitmap }, data) {
    const { width, height } = bitmap;
    this.source = { ref, width, height, bitmap };
    this.mask = new Mask(width, height);
    this.maskRef = null;
    if (data) this.mask.data.set(data);
    this.overlay = new OffscreenCanvas(width, height);
    this.history.onchange = () => this.#status();
    this.empty.hidden = true;
    this.surface.setSize(width, height);
    this.refresh(whole(this.mask));
  }

  async #restore() {
    try {
      if (!(await this.versions.restore())) return;
      const { picture, data } = await this.versions.recall(this.versions.current);
      this.#show(this.versions.current.ref, picture, data);
      this.notice(say("Your work is as you left it."));
      await this.#sync();
    } catch (error) {
      this.versions.reset();
      this.notice(error.message, "error");
    } finally {
      this.root.dispatchEvent(new CustomEvent("canvas-ready", { bubbles: true }));
    }
  }

  #png() {
    return encodeGrey(this.mask.data, this.mask.width, this.mask.height);
  }

  /** Keep the work here and in the studio; one at a time, the latest state wins. */
  #sync() {
    this.pending = true;
    this.syncing = this.syncing.then(() => (this.pending ? this.attempt(() => this.#push()) : null));
    return this.syncing;
  }

  async #push() {
    this.pending = false;
    const png = this.mask.data.some(Boolean) ? await this.#png() : null;
    if (!(await this.versions.save(png))) this.#warn();
    this.maskRef = png ? (await putPicture(png, "mask")).ref : null;
    this.onvalue(this.value());
  }

  #warn() {
    if (!this.hasWarned) this.notice(say("This browser keeps nothing between visits (private window?)."));
    this.hasWarned = true;
  }

  /** Run `action` and show what went wrong. */
  async attempt(action) {
    try {
      await action();
    } catch (error) {
      this.notice(error.message, "error");
    }
  }
}
