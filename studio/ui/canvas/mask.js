// MASK mode: paint the part of a picture that is to change. The mask has the picture's own resolution, 0..255.

import { acceptPictures, chooseFile, download, make, notices } from "./dom.js";
import { History } from "./history.js";
import { keep, kept } from "./keep.js";
import { bindKeys } from "./keys.js";
import { MASK_TOOLS, maskBar } from "./mask_bar.js";
import { encodeGrey } from "./png.js";
import { Mask, clear, fillPolygon, fillRectangle, floodFill, invert, strokeLine, union, whole } from "./raster.js";
import { call, getPicture, putPicture } from "./server.js";
import { Surface } from "./surface.js";
import { say } from "./words.js";

export class MaskEditor {
  /** `root` is filled with the editor; `name` keeps its work apart from other canvases'; `onvalue(value)` hears of changes. */
  constructor(root, { name, onvalue = () => {} }) {
    this.root = root;
    this.name = name;
    this.onvalue = onvalue;
    this.history = new History();
    this.settings = { size: 40, softness: 0, strength: 100, colour: "#ff2f6d", opacity: 0.55, pressure: true };
    this.tool = "brush";
    this.source = null; // {ref, width, height, bitmap}
    this.mask = null;
    this.maskRef = null;
    this.isShown = true;
    this.stroke = null;
    this.pointer = null;
    this.syncing = Promise.resolve();
    this.#build();
    this.ready = this.#restore();
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
    await this.ready;
    if (this.stroke) this.#end();
    await this.syncing;
    return this.value();
  }

  /** Open a picture file; the mask starts empty unless the new picture has the old one's size. */
  async openFile(file) {
    await this.#try(async () => {
      const put = await putPicture(file);
      await this.openRef(put.ref, {});
      if (put.notes?.length) this.notice(put.notes.join(" "));
    });
  }

  /** Open a picture the studio holds, with a mask it holds, if any. */
  async openRef(ref, { mask = null } = {}) {
    const { bitmap, blob } = await getPicture(ref);
    const sameSize = this.mask && this.mask.width === bitmap.width && this.mask.height === bitmap.height;
    this.source = { ref, width: bitmap.width, height: bitmap.height, bitmap, blob };
    if (!sameSize || mask) {
      this.mask = new Mask(bitmap.width, bitmap.height);
      this.maskRef = null;
      this.history.clear();
    }
    this.overlay = new OffscreenCanvas(bitmap.width, bitmap.height);
    if (mask) await this.#readMask(mask);
    this.empty.hidden = true;
    this.surface.setSize(bitmap.width, bitmap.height);
    this.refresh(whole(this.mask));
    await this.#sync();
  }

  setTool(name) {
    this.tool = name;
    for (const button of this.root.querySelectorAll("[data-tool]"))
      button.setAttribute("aria-pressed", String(button.dataset.tool === name));
    this.surface.redraw();
  }

  setSize(size) {
    this.sizeSlider.set(Math.round(size));
    this.settings.size = this.sizeSlider.get();
    this.surface.redraw();
  }

  /** Change the mask by `action(mask) -> box | null` as one undoable step. */
  change(action) {
    if (!this.mask) return this.notice(say("Open a picture first."));
    const before = this.mask.pack(whole(this.mask));
    const box = action(this.mask);
    if (!box) return;
    this.#record(before, box);
  }

  undo() {
    if (this.history.undo()) this.#sync();
  }

  redo() {
    if (this.history.redo()) this.#sync();
  }

  async saveMask() {
    if (this.mask) download(await this.#png(), "mask.png");
  }

  async loadMask(file) {
    if (!this.mask) return this.notice(say("Open a picture first."));
    await this.#try(async () => {
      const put = await putPicture(file, "mask");
      const before = this.mask.pack(whole(this.mask));
      const note = await this.#readMask(put.ref);
      this.#record(before, whole(this.mask));
      const notes = [...(put.notes ?? []), note].filter(Boolean);
      if (notes.length) this.notice(notes.join(" "));
    });
  }

  // -- building ----------------------------------------------------------------------------------------------

  #build() {
    this.root.classList.add("sc");
    this.root.tabIndex = 0;
    this.stage = make("div", { class: "sc-stage" });
    this.foot = make("div", { class: "sc-foot" });
    this.root.replaceChildren(maskBar(this), this.stage, this.foot);
    this.notice = notices(this.stage);
    this.surface = new Surface(this.stage, { draw: (c, scale) => this.#draw(c, scale), tool: this.#toolHandlers() });
    this.empty = make(
      "div",
      { class: "sc-empty" },
      make("span", {}, say("Drop a picture here, paste one, or")),
      make("button", { type: "button", class: "sc-cta", onclick: () => this.choose() }, say("choose a file")),
    );
    this.stage.append(this.empty);
    acceptPictures(this.root, (file) => this.openFile(file));
    bindKeys(this.root, this.#keys(), (key, isDown) => {
      if (key === "space") this.surface.spaceHeld = isDown;
      this.stage.dataset.pan = String(this.surface.spaceHeld);
    });
    this.setTool("brush");
    this.history.onchange = () => this.#status();
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
      h: () => ((this.isShown = !this.isShown), this.surface.redraw()),
      escape: () => this.#abandon(),
    };
    for (const [name, , key] of MASK_TOOLS) table[key.toLowerCase()] = () => this.setTool(name);
    return table;
  }

  #soften(by) {
    this.softSlider.set(this.softSlider.get() + by);
    this.settings.softness = this.softSlider.get();
  }

  choose() {
    chooseFile("image/*", (file) => this.openFile(file));
  }

  // -- painting ----------------------------------------------------------------------------------------------

  #toolHandlers() {
    return {
      down: (point) => this.#begin(point),
      move: (points) => points.forEach((point) => this.#extend(point)),
      up: () => this.#end(),
      cancel: () => this.#abandon(),
      hover: (point) => {
        this.pointer = point;
        this.surface.redraw();
      },
    };
  }

  #begin(point) {
    if (!this.mask) return;
    const erases = this.tool === "eraser" || point.alt || point.eraser;
    if (this.tool === "fill") {
      this.change((mask) => floodFill(mask, point, erases ? 0 : this.#level()));
      return;
    }
    this.stroke = { before: this.mask.pack(whole(this.mask)), points: [point], box: null, erases };
    if (this.#isBrush()) this.#dab(point, point);
  }

  #extend(point) {
    const s = this.stroke;
    if (!s) return;
    const last = s.points[s.points.length - 1];
    s.points.push(point);
    if (this.#isBrush()) this.#dab(last, point);
    this.surface.redraw();
  }

  #dab(from, to) {
    const s = this.stroke;
    const nib = (p) => ({
      x: p.x,
      y: p.y,
      radius: Math.max(0.5, (this.settings.size / 2) * (this.settings.pressure ? p.pressure : 1)),
    });
    const box = strokeLine(this.mask, nib(from), nib(to), {
      hardness: 1 - this.settings.softness / 100,
      level: this.#level(),
      erase: s.erases,
    });
    s.box = union(s.box, box);
    if (box) this.refresh(box);
  }

  #end() {
    const s = this.stroke;
    this.stroke = null;
    if (!s) return;
    const [first, last] = [s.points[0], s.points[s.points.length - 1]];
    const level = s.erases ? 0 : this.#level();
    if (this.tool === "rectangle") s.box = fillRectangle(this.mask, first, last, level);
    if (this.tool === "lasso") s.box = fillPolygon(this.mask, s.points, level);
    if (s.box) this.#record(s.before, s.box);
    this.surface.redraw();
  }

  #abandon() {
    const s = this.stroke;
    this.stroke = null;
    if (!s) return;
    this.mask.unpack(s.before);
    this.refresh(whole(this.mask));
  }

  #isBrush() {
    return this.tool === "brush" || this.tool === "eraser";
  }

  #level() {
    return Math.round(2.55 * this.settings.strength);
  }

  #record(before, box) {
    const mask = this.mask;
    const after = mask.pack(whole(mask));
    const put = (packed) => {
      mask.unpack(packed);
      this.refresh(whole(mask));
    };
    this.history.push({ undo: () => put(before), redo: () => put(after) });
    this.refresh(box);
    this.#sync();
  }

  // -- drawing -----------------------------------------------------------------------------------------------

  /** Bring the picture on the screen up to date with the mask inside `box`. */
  refresh(box) {
    const width = box.x1 - box.x0;
    const height = box.y1 - box.y0;
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(this.settings.colour.slice(i, i + 2), 16));
    const colour = (b << 16) | (g << 8) | r;
    for (let y = 0; y < height; y++) {
      const row = (box.y0 + y) * this.mask.width + box.x0;
      for (let x = 0; x < width; x++) pixels[y * width + x] = ((this.mask.data[row + x] << 24) | colour) >>> 0;
    }
    this.overlay.getContext("2d").putImageData(image, box.x0, box.y0);
    this.#status();
    this.surface.redraw();
  }

  #draw(c, scale) {
    if (!this.source) return;
    c.drawImage(this.source.bitmap, 0, 0);
    if (this.isShown) {
      c.globalAlpha = this.settings.opacity;
      c.drawImage(this.overlay, 0, 0);
      c.globalAlpha = 1;
    }
    if (this.stroke && !this.#isBrush()) this.#drawOutline(c, scale);
    const p = this.pointer;
    if (!p || p.touch || !this.#isBrush()) return;
    const radius = (this.settings.size / 2) * (this.settings.pressure ? p.pressure : 1);
    for (const [width, colour] of [[3, "#0008"], [1.2, "#fff"]]) {
      c.lineWidth = width / scale;
      c.strokeStyle = colour;
      c.beginPath();
      c.arc(p.x, p.y, Math.max(radius, 1.5 / scale), 0, 2 * Math.PI);
      c.stroke();
    }
  }

  #drawOutline(c, scale) {
    const points = this.stroke.points;
    const [a, b] = [points[0], points[points.length - 1]];
    c.beginPath();
    if (this.tool === "rectangle") c.rect(a.x, a.y, b.x - a.x, b.y - a.y);
    else points.forEach((p, i) => (i ? c.lineTo(p.x, p.y) : c.moveTo(p.x, p.y)));
    if (this.tool === "lasso") c.closePath();
    c.fillStyle = `${this.settings.colour}40`;
    c.fill();
    for (const [colour, offset] of [["#000a", 0], ["#fff", 5]]) {
      c.strokeStyle = colour;
      c.lineWidth = 1.4 / scale;
      c.setLineDash([5 / scale, 5 / scale]);
      c.lineDashOffset = offset / scale;
      c.stroke();
    }
    c.setLineDash([]);
  }

  #status() {
    this.undoButton.disabled = !this.history.done.length;
    this.redoButton.disabled = !this.history.undone.length;
    if (!this.source || this.stroke) return;
    const share = this.mask.coverage();
    const percent = share > 0 && share < 0.001 ? "< 0.1" : (100 * share).toFixed(1);
    const painted = share ? `${percent} % ${say("to repaint")}` : say("Paint the part to change");
    this.foot.textContent = `${painted} · ${this.source.width} × ${this.source.height}`;
  }

  // -- keeping -----------------------------------------------------------------------------------------------

  #png() {
    return encodeGrey(this.mask.data, this.mask.width, this.mask.height);
  }

  /** Keep the work here and in the studio; one at a time, the latest state wins. */
  #sync() {
    this.pending = true;
    this.syncing = this.syncing.then(() => (this.pending ? this.#try(() => this.#push()) : null));
    return this.syncing;
  }

  async #push() {
    this.pending = false;
    const { ref, blob } = this.source;
    const png = await this.#png();
    const isKept = await keep(this.name, { ref, picture: blob, mask: png });
    if (!isKept && !this.hasWarned) {
      this.hasWarned = true;
      this.notice(say("This browser keeps nothing between visits (private window?)."));
    }
    this.maskRef = this.mask.data.some(Boolean) ? (await putPicture(png, "mask")).ref : null;
    this.onvalue(this.value());
  }

  async #restore() {
    const work = await kept(this.name);
    if (!work) return;
    try {
      const source = await putPicture(work.picture); // the studio may have forgotten it; this browser has not
      const mask = await putPicture(work.mask, "mask");
      if (this.source) return; // somebody opened another picture meanwhile
      await this.openRef(source.ref, { mask: mask.ref });
      this.notice(say("Your work is as you left it."));
    } catch (error) {
      this.notice(error.message, "error");
    }
  }

  async #readMask(ref) {
    const response = await call(`inputs/${ref}/mask?width=${this.mask.width}&height=${this.mask.height}`);
    this.mask.data.set(new Uint8Array(await response.arrayBuffer()));
    return decodeURIComponent(response.headers.get("X-Note") ?? "");
  }

  async #try(action) {
    try {
      await action();
    } catch (error) {
      this.notice(error.message, "error");
    }
  }
}
