// The mask tools under a pointer: brush, eraser, rectangle, lasso, fill. A stroke becomes one undoable step.

import { fillPolygon, fillRectangle, floodFill, strokeLine, union, whole } from "./raster.js";

export class Painter {
  /** `editor` has mask, tool, settings and isSwitching; it hears of strokes by refresh(box), record(before, box), redraw(). */
  constructor(editor) {
    this.editor = editor;
    this.stroke = null;
    this.pointer = null;
  }

  /** What a Surface calls. */
  handlers() {
    return {
      down: (point) => this.#begin(point),
      move: (points) => points.forEach((point) => this.#extend(point)),
      up: () => this.finish(),
      cancel: () => this.abandon(),
      hover: (point) => {
        this.pointer = point;
        this.editor.redraw();
      },
    };
  }

  get isBrush() {
    return this.editor.tool === "brush" || this.editor.tool === "eraser";
  }

  /** The brush's radius under `point`, in pixels of the picture. */
  radius(point) {
    const { size, pressure } = this.editor.settings;
    return (size / 2) * (pressure ? point.pressure : 1);
  }

  /** End the stroke where it is. */
  finish() {
    const { stroke, editor } = this;
    this.stroke = null;
    if (!stroke) return;
    const [first, last] = [stroke.points[0], stroke.points[stroke.points.length - 1]];
    const level = stroke.erases ? 0 : this.#level();
    if (editor.tool === "rectangle") stroke.box = fillRectangle(editor.mask, first, last, level);
    if (editor.tool === "lasso") stroke.box = fillPolygon(editor.mask, stroke.points, level);
    if (stroke.box) editor.record(stroke.before, stroke.box);
    editor.redraw();
  }

  /** Take the stroke back as if it had never begun. */
  abandon() {
    const { stroke, editor } = this;
    this.stroke = null;
    if (!stroke) return;
    editor.mask.unpack(stroke.before);
    editor.refresh(whole(editor.mask));
  }

  #begin(point) {
    const { mask, tool, isSwitching } = this.editor;
    if (!mask || isSwitching) return;
    const erases = tool === "eraser" || point.alt || point.eraser;
    if (tool === "fill") {
      this.editor.change((it) => floodFill(it, point, erases ? 0 : this.#level()));
      return;
    }
    this.stroke = { before: mask.pack(whole(mask)), points: [point], box: null, erases };
    if (this.isBrush) this.#dab(point, point);
  }

  #extend(point) {
    if (!this.stroke) return;
    const { points } = this.stroke;
    const last = points[points.length - 1];
    points.push(point);
    if (this.isBrush) this.#dab(last, point);
    this.editor.redraw();
  }

  #dab(from, to) {
    const { mask, settings } = this.editor;
    const nib = (p) => ({ x: p.x, y: p.y, radius: Math.max(0.5, this.radius(p)) });
    const box = strokeLine(mask, nib(from), nib(to), {
      hardness: 1 - settings.softness / 100,
      level: this.#level(),
      erase: this.stroke.erases,
    });
    this.stroke.box = union(this.stroke.box, box);
    if (box) this.editor.refresh(box);
  }

  #level() {
    return Math.round(2.55 * this.editor.settings.strength);
  }
}
