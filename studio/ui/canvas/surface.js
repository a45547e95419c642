// The drawing surface both modes share: a HiDPI canvas with zoom and pan, pointers (mouse, pen, touch) and keys.
//
// Picture coordinates are pixels of the picture, (0, 0) its top left corner. The owner hands in `draw` and `tool`:
// tool.down(point), tool.move(points), tool.up(), tool.cancel(), tool.hover(point | null).
// A point is {x, y, pressure in 0..1, pen, eraser, touch: bools, alt, shift, ctrl}.

const MAX_SCALE = 64;

export class Surface {
  constructor(stage, { draw, tool }) {
    this.stage = stage;
    this.draw = draw;
    this.tool = tool;
    this.width = 1;
    this.height = 1;
    this.margins = [0, 0, 0, 0];
    this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    this.pointers = new Map();
    this.gesture = null; // null, "draw", "pan" or "pinch"
    this.spaceHeld = false;
    this.queued = false;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "sc-view";
    this.context = this.canvas.getContext("2d", { alpha: true, desynchronized: false });
    stage.append(this.canvas);
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(stage);
  }

  /** Say how large the picture is and show all of it. */
  setSize(width, height) {
    this.width = width;
    this.height = height;
    this.fit();
  }

  /** Leave room for [left, top, right, bottom] pixels around the picture. */
  setMargins(margins) {
    this.margins = margins;
    if (this.fitted) this.fit();
    else this.redraw();
  }

  fit() {
    const { clientWidth: w, clientHeight: h } = this.stage;
    if (!w || !h) return;
    const margin = Math.min(16, w / 20);
    const [left, top, right, bottom] = this.margins;
    const [width, height] = [this.width + left + right, this.height + top + bottom];
    const scale = Math.min((w - 2 * margin) / width, (h - 2 * margin) / height);
    this.view = { scale, x: (w - width * scale) / 2 + left * scale, y: (h - height * scale) / 2 + top * scale };
    this.fitted = true;
    this.redraw();
  }

  /** Zoom by `factor` around a point of the stage (CSS pixels). */
  zoom(factor, cx = this.stage.clientWidth / 2, cy = this.stage.clientHeight / 2) {
    const v = this.view;
    const smallest = Math.min(1, 32 / Math.max(this.width, this.height));
    const scale = Math.min(MAX_SCALE, Math.max(smallest, v.scale * factor));
    v.x = cx - ((cx - v.x) * scale) / v.scale;
    v.y = cy - ((cy - v.y) * scale) / v.scale;
    v.scale = scale;
    this.fitted = false;
    this.redraw();
  }

  pan(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.fitted = false;
    this.redraw();
  }

  /** Draw in the next frame; many calls, one drawing. */
  redraw() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      this.#paint();
    });
  }

  /** Turn a pointer event into a point of the picture. */
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const pen = event.pointerType === "pen";
    return {
      x: (event.clientX - box.left - this.view.x) / this.view.scale,
      y: (event.clientY - box.top - this.view.y) / this.view.scale,
      pressure: pen ? Math.max(0.02, event.pressure) : 1,
      pen,
      eraser: pen && (event.buttons & 32) !== 0, // the other end of the pen
      touch: event.pointerType === "touch",
      alt: event.altKey,
      shift: event.shiftKey,
      ctrl: event.ctrlKey || event.metaKey,
    };
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: w, clientHeight: h } = this.stage;
    if (!w || !h) return; // hidden tab: keep what there is
    this.canvas.width = Math.round(w * ratio);
    this.canvas.height = Math.round(h * ratio);
    if (this.fitted) this.fit();
    else this.redraw();
  }

  #paint() {
    const ratio = window.devicePixelRatio || 1;
    const c = this.context;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, this.canvas.width, this.canvas.height);
    c.setTransform(ratio * this.view.scale, 0, 0, ratio * this.view.scale, ratio * this.view.x, ratio * this.view.y);
    c.imageSmoothingEnabled = this.view.scale * ratio < 3;
    c.imageSmoothingQuality = "high";
    this.draw(c, this.view.scale);
  }

  #listen() {
    const c = this.canvas;
    c.addEventListener("pointerdown", (e) => this.#down(e));
    c.addEventListener("pointermove", (e) => this.#move(e));
    c.addEventListener("pointerup", (e) => this.#up(e));
    c.addEventListener("pointercancel", (e) => this.#up(e, true));
    c.addEventListener("pointerleave", () => this.tool.hover(null));
    c.addEventListener("contextmenu", (e) => e.preventDefault());
    c.addEventListener(
      "wheel",
      (e) => {
        e.preventDefault();
        const box = c.getBoundingClientRect();
        const lines = e.deltaMode === 1 ? e.deltaY * 16 : e.deltaY;
        this.zoom(Math.exp(-lines * (e.ctrlKey ? 0.01 : 0.0015)), e.clientX - box.left, e.clientY - box.top);
      },
      { passive: false },
    );
  }

  #down(event) {
    event.preventDefault();
    this.stage.closest("[tabindex]")?.focus({ preventScroll: true });
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch {
      // The pointer was lifted before the event arrived: there is nothing to capture.
    }
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size === 2) {
      if (this.gesture === "draw") this.tool.cancel();
      this.gesture = "pinch";
    } else if (this.pointers.size === 1) {
      const pans = event.button === 1 || event.button === 2 || this.spaceHeld;
      this.gesture = pans ? "pan" : "draw";
      if (!pans) this.tool.down(this.point(event));
    }
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.tool.hover(this.point(event));
      return;
    }
    if (this.gesture === "pan") this.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    if (this.gesture === "pinch") this.#pinch(before, event);
    this.pointers.set(event.pointerId, event);
    if (this.gesture === "draw") {
      const events = event.getCoalescedEvents?.() ?? [];
      const points = (events.length ? events : [event]).map((e) => this.point(e));
      this.tool.move(points);
      this.tool.hover(points[points.length - 1]);
    }
  }

  #pinch(before, now) {
    const other = [...this.pointers.values()].find((p) => p.pointerId !== now.pointerId);
    if (!other) return;
    const box = this.canvas.getBoundingClientRect();
    const span = (p) => Math.max(8, Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY));
    const cx = (now.clientX + other.clientX) / 2 - box.left;
    const cy = (now.clientY + other.clientY) / 2 - box.top;
    this.pan((now.clientX - before.clientX) / 2, (now.clientY - before.clientY) / 2);
    this.zoom(span(now) / span(before), cx, cy);
  }

  #up(event, cancelled = false) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.gesture === "draw") {
      if (cancelled) this.tool.cancel();
      else this.tool.up();
    }
    if (this.pointers.size === 0) this.gesture = null;
    else this.gesture = "pinch"; // one finger left of two: it must not start to draw
  }
}
