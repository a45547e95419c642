// TOKEN mode: a picture as a grid of codes to paint with. Cells are numbered row by row. What the artist does is told
// to `on`; the picture itself comes back as patches (`putPatch`).
//
//   on.dab(cells, code)    the brush touched cells; show them at once, nothing is final
//   on.stroke(operation)   something to apply and record (paint, fill, stamp, move, copy)
//   on.abandon()           the stroke was given up
//   on.pick(code)          a code was chosen in the picture
//   on.hover(cell | null)  the pointer is over a cell
//   on.select(cells)       the selection changed
//   on.hint(words)         why nothing happened

import { Surface } from "./surface.js";
import { drawCompare, drawGrid, drawNib, drawOutline, drawSpotlight } from "./token_view.js";
import { say } from "./words.js";

export class TokenCanvas {
  constructor(stage, on) {
    this.stage = stage;
    this.on = on;
    this.tool = "brush";
    this.size = 2;
    this.code = null;
    this.colours = null; // (K * 3) mean colour of each code
    this.grid = null; // {rows, columns, factor, codes}
    this.selection = new Set();
    this.pattern = null; // rows of codes, for the stamp
    this.stroke = null;
    this.pending = new Set();
    this.spotlight = null; // the code whose places are shown
    this.isGridShown = false;
    this.view = null; // another picture to look at instead
    this.compare = null; // {image, at}: before, left of `at` in 0..1
    this.cell = null;
    this.isAltHeld = false;
    this.picture = document.createElement("canvas");
    this.pixels = this.picture.getContext("2d", { willReadFrequently: true });
    this.surface = new Surface(stage, { draw: (c, scale) => this.#draw(c, scale), tool: this.#tool() });
  }

  /** Show a new document: {rows, columns, factor, width, height, codes: Int32Array}. */
  open({ rows, columns, factor, width, height, codes }) {
    const isSameSize = this.grid && this.picture.width === width && this.picture.height === height;
    this.grid = { rows, columns, factor, codes };
    if (!isSameSize) {
      this.picture.width = width;
      this.picture.height = height;
      this.surface.setSize(width, height);
    }
    this.stroke = this.view = this.compare = null;
    this.pending.clear();
    this.select([]);
  }

  /** Put a piece of picture: box [left, top, width, height] and RGB bytes. */
  putPatch([left, top, width, height], rgb) {
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    for (let i = 0, j = 0; i < out.length; i++, j += 3)
      out[i] = (0xff000000 | (rgb[j + 2] << 16) | (rgb[j + 1] << 8) | rgb[j]) >>> 0;
    this.pixels.putImageData(image, left, top);
    this.surface.redraw();
  }

  putCodes(cells, codes) {
    cells.forEach((cell, i) => (this.grid.codes[cell] = codes[i]));
    this.surface.redraw();
  }

  /** The painted cells that were waiting for their picture have it. */
  settled(cells) {
    for (const cell of cells) this.pending.delete(cell);
    this.surface.redraw();
  }

  select(cells) {
    this.selection = new Set(cells);
    this.on.select([...this.selection]);
    this.surface.redraw();
  }

  /** The selection as [row, column] pairs, or null when nothing is selected. */
  selectedPairs() {
    return this.selection.size ? [...this.selection].sort((a, b) => a - b).map((cell) => this.pair(cell)) : null;
  }

  pair(cell) {
    return [Math.floor(cell / this.grid.columns), cell % this.grid.columns];
  }

  /** Take the selected box of codes as the stamp; cells outside the selection are see-through. */
  copy() {
    const box = this.#selectionBox();
    if (!box) return this.on.hint(say("Select a part first (M)."));
    this.pattern = [];
    for (let r = box.top; r < box.bottom; r++) {
      const row = [];
      for (let c = box.left; c < box.right; c++) {
        const cell = r * this.grid.columns + c;
        row.push(this.selection.has(cell) ? this.grid.codes[cell] : -1);
      }
      this.pattern.push(row);
    }
    this.setTool("stamp");
  }

  setTool(name) {
    this.tool = name;
    if (name === "stamp" && !this.pattern && this.selection.size) this.copy();
    this.on.tool(name);
    this.surface.redraw();
  }

  redraw() {
    this.surface.redraw();
  }

  /** How many cells hold each code, or those of `cells`: a Map. */
  counts(cells = null) {
    const found = new Map();
    for (const cell of cells ?? this.grid.codes.keys()) {
      const code = this.grid.codes[cell];
      found.set(code, (found.get(code) ?? 0) + 1);
    }
    return found;
  }

  // -- pointers ----------------------------------------------------------------------------------------------

  #tool() {
    return {
      down: (point) => this.#down(point),
      move: (points) => points.forEach((point) => this.#move(point)),
      up: () => this.#up(),
      cancel: () => this.abandon(),
      hover: (point) => this.#hover(point),
    };
  }

  #down(point) {
    if (!this.grid) return;
    if (this.compare && this.#isNearSlider(point)) {
      this.stroke = { kind: "slider" };
      return this.#slide(point);
    }
    const cell = this.#cellAt(point);
    if (cell === null && this.tool !== "select") return;
    const picks = point.alt || this.isAltHeld || this.tool === "pick";
    if (picks && this.tool !== "select") {
      this.stroke = { kind: "pick" };
      return this.on.pick(this.grid.codes[cell]);
    }
    if (this.tool === "select") return this.#beginSelection(point);
    if (this.tool === "stamp") return this.#stamp(cell);
    if (this.code === null) return this.on.hint(say("Choose a code first: click one in the atlas."));
    if (this.tool === "fill") {
      this.on.stroke({ kind: "fill", code: this.code, at: this.pair(cell), mask: this.selectedPairs() });
      return;
    }
    this.stroke = { kind: "paint", cells: new Set(), last: null };
    this.#paint(point);
  }

  #move(point) {
    if (!this.stroke) return;
    if (this.stroke.kind === "slider") this.#slide(point);
    if (this.stroke.kind === "paint") this.#paint(point);
    if (this.stroke.kind === "select" || this.stroke.kind === "move") {
      this.stroke.to = this.#clamped(point);
      this.surface.redraw();
    }
    if (this.stroke.kind === "pick") {
      const cell = this.#cellAt(point);
      if (cell !== null) this.on.pick(this.grid.codes[cell]);
    }
  }

  #up() {
    const stroke = this.stroke;
    this.stroke = null;
    if (stroke?.kind === "paint" && stroke.cells.size) {
      const cells = [...stroke.cells].map((cell) => this.pair(cell));
      this.on.stroke({ kind: "paint", code: this.code, cells });
    }
    if (stroke?.kind === "select") this.#endSelection(stroke);
    if (stroke?.kind === "move") this.#endMove(stroke);
    this.surface.redraw();
  }

  abandon() {
    const stroke = this.stroke;
    this.stroke = null;
    if (stroke?.kind === "paint" && stroke.cells.size) this.on.abandon();
    this.surface.redraw();
  }

  #hover(point) {
    const cell = point && this.grid ? this.#cellAt(point) : null;
    this.pointer = point;
    if (cell !== this.cell) {
      this.cell = cell;
      this.on.hover(cell);
    }
    this.stage.dataset.slide = String(Boolean(point && this.compare && this.#isNearSlider(point)));
    this.surface.redraw();
  }

  // -- painting ----------------------------------------------------------------------------------------------

  #paint(point) {
    const { rows, columns, factor } = this.grid;
    const at = [Math.floor(point.y / factor), Math.floor(point.x / factor)];
    const from = this.stroke.last ?? at;
    const steps = Math.max(Math.abs(at[0] - from[0]), Math.abs(at[1] - from[1]), 1);
    const fresh = [];
    for (let i = 0; i <= steps; i++) {
      const row = Math.round(from[0] + ((at[0] - from[0]) * i) / steps);
      const column = Math.round(from[1] + ((at[1] - from[1]) * i) / steps);
      for (const cell of brushCells(row, column, this.#nib(point), rows, columns)) {
        if (this.stroke.cells.has(cell) || (this.selection.size && !this.selection.has(cell))) continue;
        this.stroke.cells.add(cell);
        if (this.grid.codes[cell] !== this.code) fresh.push(cell);
      }
    }
    this.stroke.last = at;
    if (!fresh.length) return;
    for (const cell of fresh) {
      this.grid.codes[cell] = this.code;
      this.pending.add(cell);
    }
    this.on.dab(fresh, this.code);
    this.surface.redraw();
  }

  #nib(point) {
    return point.pen ? Math.max(1, Math.round(this.size * point.pressure)) : this.size;
  }

  #stamp(cell) {
    if (!this.pattern) return this.on.hint(say("Select a part first (M)."));
    this.on.stroke({ kind: "stamp", pattern: this.pattern, at: this.#stampCorner(cell) });
  }

  #stampCorner(cell) {
    const [row, column] = this.pair(cell);
    return [row - Math.floor(this.pattern.length / 2), column - Math.floor(this.pattern[0].length / 2)];
  }

  // -- selecting and moving ----------------------------------------------------------------------------------

  #beginSelection(point) {
    const at = this.#clamped(point);
    const isInside = this.selection.has(at[0] * this.grid.columns + at[1]) && !point.shift;
    this.stroke = { kind: isInside ? "move" : "select", from: at, to: at, adds: point.shift, copies: point.alt };
    this.surface.redraw();
  }

  #endSelection({ from, to, adds }) {
    const isClick = from[0] === to[0] && from[1] === to[1];
    if (isClick) this.on.pick(this.grid.codes[from[0] * this.grid.columns + from[1]]); // a click shows what is there
    const cells = isClick && !adds ? [] : boxCells(boxOf(from, to), this.grid.columns);
    this.select(adds ? [...this.selection, ...cells] : cells);
  }

  #endMove({ from, to, copies }) {
    const [dr, dc] = [to[0] - from[0], to[1] - from[1]];
    if (!dr && !dc) {
      this.on.pick(this.grid.codes[from[0] * this.grid.columns + from[1]]);
      return this.select([]);
    }
    const box = this.#selectionBox();
    const operation = {
      kind: copies ? "copy" : "move",
      box: [box.top, box.left, box.bottom - box.top, box.right - box.left],
      to: [box.top + dr, box.left + dc],
    };
    if (!copies) operation.background = this.code ?? this.#mostFrequent();
    const { rows, columns } = this.grid;
    const moved = boxCells(box, columns).map((cell) => this.pair(cell)).map(([r, c]) => [r + dr, c + dc]);
    this.on.stroke(operation);
    this.select(moved.filter(([r, c]) => r >= 0 && c >= 0 && r < rows && c < columns).map(([r, c]) => r * columns + c));
  }

  #mostFrequent() {
    return [...this.counts()].sort((a, b) => b[1] - a[1])[0][0];
  }

  #selectionBox() {
    if (!this.selection.size) return null;
    const pairs = [...this.selection].map((cell) => this.pair(cell));
    const rows = pairs.map(([row]) => row);
    const columns = pairs.map(([, column]) => column);
    return {
      top: Math.min(...rows), left: Math.min(...columns), bottom: Math.max(...rows) + 1, right: Math.max(...columns) + 1,
    };
  }

  #clamped(point) {
    const { rows, columns, factor } = this.grid;
    const clamp = (value, end) => Math.min(end - 1, Math.max(0, Math.floor(value / factor)));
    return [clamp(point.y, rows), clamp(point.x, columns)];
  }

  #cellAt(point) {
    const { width, height } = this.picture;
    if (point.x < 0 || point.y < 0 || point.x >= width || point.y >= height) return null;
    const { columns, factor } = this.grid;
    return Math.floor(point.y / factor) * columns + Math.floor(point.x / factor);
  }

  // -- comparing ---------------------------------------------------------------------------------------------

  #isNearSlider(point) {
    return Math.abs(point.x - this.compare.at * this.picture.width) * this.surface.view.scale < 14;
  }

  #slide(point) {
    this.compare.at = Math.min(1, Math.max(0, point.x / this.picture.width));
    this.surface.redraw();
  }

  // -- drawing -----------------------------------------------------------------------------------------------

  #draw(c, scale) {
    if (!this.grid) return;
    const { factor, columns, codes } = this.grid;
    c.drawImage(this.view ?? this.picture, 0, 0, this.picture.width, this.picture.height);
    if (this.compare) drawCompare(c, scale, this.picture, this.compare);
    if (this.pending.size && !this.view) {
      c.fillStyle = `rgb(${this.#colour(this.code).join(" ")} / 0.6)`;
      for (const cell of this.pending)
        c.fillRect((cell % columns) * factor, Math.floor(cell / columns) * factor, factor, factor);
    }
    if (this.spotlight !== null) drawSpotlight(c, scale, this.grid, this.picture, (cell) => codes[cell] === this.spotlight);
    if (this.isGridShown && factor * scale >= 5) drawGrid(c, scale, this.grid, this.picture);
    if (this.selection.size) drawOutline(c, scale, this.grid, this.selection);
    this.#drawTool(c, scale);
  }

  #drawTool(c, scale) {
    const stroke = this.stroke;
    if (stroke?.kind === "select") drawOutline(c, scale, this.grid, new Set(boxCells(boxOf(stroke.from, stroke.to), this.grid.columns)));
    if (stroke?.kind === "move") {
      const [dr, dc] = [stroke.to[0] - stroke.from[0], stroke.to[1] - stroke.from[1]];
      c.save();
      c.translate(dc * this.grid.factor, dr * this.grid.factor);
      drawOutline(c, scale, this.grid, this.selection);
      c.restore();
    }
    if (this.cell === null || this.pointer?.touch) return;
    const [row, column] = this.pair(this.cell);
    const { rows, columns } = this.grid;
    let cells = [this.cell];
    if (this.tool === "brush" && !this.isAltHeld) cells = brushCells(row, column, this.#nib(this.pointer), rows, columns);
    if (this.tool === "stamp" && this.pattern) cells = this.#patternCells();
    const colour = this.tool === "brush" && this.code !== null && !stroke ? this.#colour(this.code) : null;
    if (this.tool !== "select") drawNib(c, scale, this.grid, cells, colour);
  }

  #patternCells() {
    const [top, left] = this.#stampCorner(this.cell);
    const { rows, columns } = this.grid;
    const cells = [];
    this.pattern.forEach((line, r) =>
      line.forEach((code, k) => {
        const [row, column] = [top + r, left + k];
        if (code >= 0 && row >= 0 && column >= 0 && row < rows && column < columns) cells.push(row * columns + column);
      }),
    );
    return cells;
  }

  #colour(code) {
    return this.colours && code !== null ? [...this.colours.subarray(3 * code, 3 * code + 3)] : [128, 128, 128];
  }
}

/** The cells under a round brush `size` cells wide, clipped to the grid. */
export function brushCells(row, column, size, rows, columns) {
  const reach = (size - 1) / 2;
  const offset = size % 2 === 0 ? 0.5 : 0;
  const found = [];
  for (let r = Math.floor(row - reach); r <= Math.ceil(row + reach); r++) {
    for (let c = Math.floor(column - reach); c <= Math.ceil(column + reach); c++) {
      const [dr, dc] = [r - row - offset, c - column - offset];
      const isNear = dr * dr + dc * dc <= (reach + 0.25) ** 2;
      if (isNear && r >= 0 && c >= 0 && r < rows && c < columns) found.push(r * columns + c);
    }
  }
  return found;
}

function boxOf(a, b) {
  return {
    top: Math.min(a[0], b[0]), left: Math.min(a[1], b[1]), bottom: Math.max(a[0], b[0]) + 1, right: Math.max(a[1], b[1]) + 1,
  };
}

function boxCells({ top, left, bottom, right }, columns) {
  const cells = [];
  for (let r = top; r < bottom; r++) for (let c = left; c < right; c++) cells.push(r * columns + c);
  return cells;
}
