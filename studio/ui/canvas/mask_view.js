// What the mask editor draws over its picture: the mask in the artist's colour, the brush, outlines, added sides.

/** Bring `overlay`, an OffscreenCanvas of the mask's size, up to date with `mask` inside `box`. */
export function paintOverlay(overlay, mask, box, colour) {
  const width = box.x1 - box.x0;
  const height = box.y1 - box.y0;
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const tint = (b << 16) | (g << 8) | r;
  for (let y = 0; y < height; y++) {
    const row = (box.y0 + y) * mask.width + box.x0;
    for (let x = 0; x < width; x++) pixels[y * width + x] = ((mask.data[row + x] << 24) | tint) >>> 0;
  }
  overlay.getContext("2d").putImageData(image, box.x0, box.y0);
}

/** The brush's edge around `point`, dark and light so that it shows on every picture. */
export function drawRing(c, scale, point, radius) {
  for (const [width, colour] of [[3, "#0008"], [1.2, "#fff"]]) {
    c.lineWidth = width / scale;
    c.strokeStyle = colour;
    c.beginPath();
    c.arc(point.x, point.y, Math.max(radius, 1.5 / scale), 0, 2 * Math.PI);
    c.stroke();
  }
}

/** The rectangle or lasso that is being drawn. */
export function drawOutline(c, scale, { tool, points, colour }) {
  const [a, b] = [points[0], points[points.length - 1]];
  c.beginPath();
  if (tool === "rectangle") c.rect(a.x, a.y, b.x - a.x, b.y - a.y);
  else points.forEach((p, i) => (i ? c.lineTo(p.x, p.y) : c.moveTo(p.x, p.y)));
  if (tool === "lasso") c.closePath();
  c.fillStyle = `${colour}40`;
  c.fill();
  ants(c, scale);
}

/** The sides that will be added: [left, top, right, bottom] in pixels. */
export function drawAdded(c, scale, { width, height }, [left, top, right, bottom], colour) {
  if (!(left || top || right || bottom)) return;
  c.beginPath();
  c.rect(-left, -top, width + left + right, height + top + bottom);
  c.rect(0, 0, width, height);
  c.fillStyle = `${colour}59`;
  c.fill("evenodd");
  c.beginPath();
  c.rect(-left, -top, width + left + right, height + top + bottom);
  ants(c, scale);
}

/** Stroke the path in dashes of black and white. */
function ants(c, scale) {
  c.setLineDash([5 / scale, 5 / scale]);
  for (const [colour, offset] of [["#000a", 0], ["#fff", 5]]) {
    c.strokeStyle = colour;
    c.lineWidth = 1.4 / scale;
    c.lineDashOffset = offset / scale;
    c.stroke();
  }
  c.setLineDash([]);
}
