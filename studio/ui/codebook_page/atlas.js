// The atlas: every code as a swatch on a zoomable sheet. A click arms the brush.

import { Surface } from "../canvas/surface.js";
import { call, getJson } from "../canvas/server.js";

const CELL = 16; // sheet pixels per swatch

export class Atlas {
  /** `on.choose(code)` after a click, `on.hover(code | null)`. */
  constructor(stage, on) {
    this.stage = stage;
    this.on = on;
    this.page = null;
    this.sprite = null;
    this.model = null;
    this.chosen = null;
    this.marked = null; // Map code -> weight: the codes of a search or a selection
    this.hovered = null;
    this.press = null;
    this.surface = new Surface(stage, { draw: (c, scale) => this.#draw(c, scale), tool: this.#tool() });
  }

  /** Fetch the codes of `model` in an order. */
  async load(model, { order, dead, corpus }) {
    const columns = Math.max(4, Math.round(Math.sqrt(this.stage.clientWidth / Math.max(1, this.stage.clientHeight)) * 22));
    const query = new URLSearchParams({ model, order, dead, corpus, columns: order === "similarity" ? 0 : columns });
    if (this.model !== model) {
      const response = await call(`codes/atlas/sprite.png?${new URLSearchParams({ model })}`);
      this.sprite = await createImageBitmap(await response.blob());
      this.model = model;
    }
    this.page = await getJson(`codes/atlas/page?${query}`);
    this.rgb = Uint8Array.from(atob(this.page.rgb), (c) => c.charCodeAt(0));
    this.#layOut();
  }

  choose(code) {
    this.chosen = code;
    this.surface.redraw();
  }

  /** Light up some codes and dim the others; null lights all. Most wanted first. */
  mark(codes) {
    this.marked = codes ? new Set(codes) : null;
    this.surface.redraw();
  }

  /** Draw the swatch of `code` over a 2-D context's whole canvas. */
  paintSwatch(canvas, code) {
    const [x, y, cell] = this.#source(code);
    const c = canvas.getContext("2d");
    c.imageSmoothingQuality = "high";
    c.drawImage(this.sprite, x, y, cell, cell, 0, 0, canvas.width, canvas.height);
  }

  /** The mean colour of `code` as "#rrggbb". */
  colour(code) {
    return `#${[...this.rgb.subarray(3 * code, 3 * code + 3)].map((level) => level.toString(16).padStart(2, "0")).join("")}`;
  }

  #layOut() {
    const { cells } = this.page;
    this.places = new Map();
    cells.forEach((row, r) => row.forEach((code, c) => code >= 0 && this.places.set(code, [c, r])));
    this.sheet = document.createElement("canvas");
    this.sheet.width = cells[0].length * CELL;
    this.sheet.height = cells.length * CELL;
    const context = this.sheet.getContext("2d");
    context.imageSmoothingQuality = "high";
    for (const [code, [c, r]] of this.places) {
      const [x, y, cell] = this.#source(code);
      context.drawImage(this.sprite, x, y, cell, cell, c * CELL, r * CELL, CELL, CELL);
    }
    this.surface.setSize(this.sheet.width, this.sheet.height);
  }

  #source(code) {
    const { sprite_columns: columns, cell } = this.page;
    return [(code % columns) * cell, Math.floor(code / columns) * cell, cell];
  }

  #codeAt(point) {
    const row = this.page?.cells[Math.floor(point.y / CELL)];
    const code = row?.[Math.floor(point.x / CELL)] ?? -1;
    return code >= 0 ? code : null;
  }

  #tool() {
    return {
      // A press that stays put chooses, one that moves pans: one finger is enough.
      down: (point) => (this.press = { point, moved: 0 }),
      move: (points) => {
        const { scale } = this.surface.view;
        const last = points[points.length - 1];
        const [dx, dy] = [(last.x - this.press.point.x) * scale, (last.y - this.press.point.y) * scale];
        this.press.moved += Math.hypot(dx, dy);
        if (this.press.moved > 6) this.surface.pan(dx, dy); // the point under the finger stays under it
      },
      up: () => {
        const code = this.press.moved <= 6 ? this.#codeAt(this.press.point) : null;
        if (code !== null) this.on.choose(code);
      },
      cancel: () => {},
      hover: (point) => {
        const code = point && this.page ? this.#codeAt(point) : null;
        if (code === this.hovered) return;
        this.hovered = code;
        this.on.hover(code);
        this.surface.redraw();
      },
    };
  }

  #draw(c, scale) {
    if (!this.page) return;
    c.drawImage(this.sheet, 0, 0);
    if (this.marked) {
      c.beginPath();
      c.rect(0, 0, this.sheet.width, this.sheet.height);
      for (const code of this.marked) if (this.places.has(code)) c.rect(...this.#box(code));
      c.fillStyle = "rgb(0 0 0 / 0.72)";
      c.fill("evenodd");
    }
    this.#frame(c, scale, this.hovered, 1.5);
    this.#frame(c, scale, this.chosen, 3);
  }

  #box(code) {
    const [x, y] = this.places.get(code);
    return [x * CELL, y * CELL, CELL, CELL];
  }

  #frame(c, scale, code, width) {
    if (code === null || !this.places.has(code)) return;
    for (const [line, colour] of [[width + 2, "#000a"], [width, "#fff"]]) {
      c.lineWidth = line / scale;
      c.strokeStyle = colour;
      c.strokeRect(...this.#box(code));
    }
  }
}
