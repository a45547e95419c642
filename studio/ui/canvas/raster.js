// A mask as bytes: one per pixel, 0 untouched, 255 painted. Everything drawn is exact and independent of the
// browser's own antialiasing. Each function changes `mask.data` and returns the changed box, or null.

export class Mask {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.data = new Uint8Array(width * height);
  }

  /** Share of the picture that is painted, in 0..1. */
  coverage() {
    let sum = 0;
    for (const value of this.data) sum += value;
    return sum / (255 * this.data.length);
  }

  /** The pixels of a box, run-length coded as [value, length, ...]; masks shrink to almost nothing. */
  pack(box) {
    const runs = [];
    let value = -1;
    let length = 0;
    for (let y = box.y0; y < box.y1; y++) {
      for (let i = y * this.width + box.x0, end = y * this.width + box.x1; i < end; i++) {
        if (this.data[i] === value) length++;
        else {
          if (length) runs.push(value, length);
          value = this.data[i];
          length = 1;
        }
      }
    }
    if (length) runs.push(value, length);
    return { box, runs: Uint32Array.from(runs) };
  }

  unpack({ box, runs }) {
    let run = 0;
    let left = runs[1];
    for (let y = box.y0; y < box.y1; y++) {
      let i = y * this.width + box.x0;
      const end = y * this.width + box.x1;
      while (i < end) {
        const n = Math.min(left, end - i);
        this.data.fill(runs[run], i, i + n);
        i += n;
        left -= n;
        if (!left) {
          run += 2;
          left = runs[run + 1];
        }
      }
    }
  }
}

export const whole = (mask) => ({ x0: 0, y0: 0, x1: mask.width, y1: mask.height });

export function union(a, b) {
  if (!a || !b) return a || b;
  return { x0: Math.min(a.x0, b.x0), y0: Math.min(a.y0, b.y0), x1: Math.max(a.x1, b.x1), y1: Math.max(a.y1, b.y1) };
}

function clip(mask, x0, y0, x1, y1) {
  const box = {
    x0: Math.max(0, Math.floor(x0)),
    y0: Math.max(0, Math.floor(y0)),
    x1: Math.min(mask.width, Math.ceil(x1)),
    y1: Math.min(mask.height, Math.ceil(y1)),
  };
  return box.x0 < box.x1 && box.y0 < box.y1 ? box : null;
}

/**
 * Draw a brush line from `a` to `b` ({x, y, radius}), radius changing evenly along it.
 * `hardness` in 0..1 is the part of the radius that is solid; `level` in 0..255 the value painted.
 * A pixel is covered by the distance of its centre; painting keeps the larger value, erasing takes away.
 */
export function strokeLine(mask, a, b, { hardness = 1, level = 255, erase = false } = {}) {
  const reach = Math.max(a.radius, b.radius) + 1;
  const box = clip(mask, Math.min(a.x, b.x) - reach, Math.min(a.y, b.y) - reach, Math.max(a.x, b.x) + reach, Math.max(a.y, b.y) + reach);
  if (!box) return null;
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const squared = dx * dx + dy * dy;
  for (let y = box.y0; y < box.y1; y++) {
    for (let x = box.x0; x < box.x1; x++) {
      const px = x + 0.5 - a.x;
      const py = y + 0.5 - a.y;
      const t = squared ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
      const distance = Math.hypot(px - t * dx, py - t * dy);
      const radius = a.radius + t * (b.radius - a.radius);
      const soft = Math.max(1, radius * (1 - hardness));
      const cover = Math.min(1, Math.max(0, (radius + 0.5 - distance) / soft));
      if (cover <= 0) continue;
      const i = y * mask.width + x;
      if (erase) mask.data[i] = Math.min(mask.data[i], Math.round(255 * (1 - cover)));
      else mask.data[i] = Math.max(mask.data[i], Math.round(level * cover));
    }
  }
  return box;
}

/** Set a rectangle given by two corners; whole pixels. */
export function fillRectangle(mask, a, b, level) {
  const box = clip(
    mask,
    Math.round(Math.min(a.x, b.x)),
    Math.round(Math.min(a.y, b.y)),
    Math.round(Math.max(a.x, b.x)),
    Math.round(Math.max(a.y, b.y)),
  );
  if (!box) return null;
  for (let y = box.y0; y < box.y1; y++) mask.data.fill(level, y * mask.width + box.x0, y * mask.width + box.x1);
  return box;
}

/** Set the inside of a closed outline (even-odd rule, pixel centres). */
export function fillPolygon(mask, points, level) {
  if (points.length < 3) return null;
  const xs = points.map((p) => p.x);
  const ys = points.map((p) => p.y);
  const box = clip(mask, Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
  if (!box) return null;
  for (let y = box.y0; y < box.y1; y++) {
    const cy = y + 0.5;
    const cuts = [];
    for (let i = 0; i < points.length; i++) {
      const p = points[i];
      const q = points[(i + 1) % points.length];
      if (p.y <= cy !== q.y <= cy) cuts.push(p.x + ((cy - p.y) / (q.y - p.y)) * (q.x - p.x));
    }
    cuts.sort((m, n) => m - n);
    for (let k = 0; k + 1 < cuts.length; k += 2) {
      const from = Math.max(box.x0, Math.ceil(cuts[k] - 0.5));
      const to = Math.min(box.x1, Math.ceil(cuts[k + 1] - 0.5));
      if (from < to) mask.data.fill(level, y * mask.width + from, y * mask.width + to);
    }
  }
  return box;
}

/** Flood the area around a point that lies on the same side of half-painted; 4-connected, by scan lines. */
export function floodFill(mask, point, level) {
  const { width, height, data } = mask;
  const sx = Math.floor(point.x);
  const sy = Math.floor(point.y);
  if (sx < 0 || sy < 0 || sx >= width || sy >= height) return null;
  const painted = data[sy * width + sx] >= 128;
  if (painted === level >= 128) return null;
  const inside = (x, y) => data[y * width + x] >= 128 === painted;
  const box = { x0: sx, y0: sy, x1: sx + 1, y1: sy + 1 };
  const stack = [[sx, sy]];
  while (stack.length) {
    const [x, y] = stack.pop();
    if (!inside(x, y)) continue;
    let left = x;
    let right = x;
    while (left > 0 && inside(left - 1, y)) left--;
    while (right + 1 < width && inside(right + 1, y)) right++;
    data.fill(level, y * width + left, y * width + right + 1);
    Object.assign(box, union(box, { x0: left, y0: y, x1: right + 1, y1: y + 1 }));
    for (const row of [y - 1, y + 1]) {
      if (row < 0 || row >= height) continue;
      let open = false;
      for (let i = left; i <= right; i++) {
        const now = inside(i, row);
        if (now && !open) stack.push([i, row]);
        open = now;
      }
    }
  }
  return box;
}

export function invert(mask) {
  for (let i = 0; i < mask.data.length; i++) mask.data[i] = 255 - mask.data[i];
  return whole(mask);
}

export function clear(mask) {
  mask.data.fill(0);
  return whole(mask);
}
