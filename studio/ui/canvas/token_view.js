// What lies over the picture in TOKEN mode: grid, selection, brush, comparison. Everything is in picture pixels.

/** Lines between the cells. */
export function drawGrid(c, scale, { rows, columns, factor }, { width, height }) {
  c.beginPath();
  for (let i = 1; i < columns; i++) {
    c.moveTo(i * factor, 0);
    c.lineTo(i * factor, height);
  }
  for (let i = 1; i < rows; i++) {
    c.moveTo(0, i * factor);
    c.lineTo(width, i * factor);
  }
  c.lineWidth = 1 / scale;
  c.strokeStyle = "rgb(255 255 255 / 0.28)";
  c.stroke();
  c.lineWidth = 0.5 / scale;
  c.strokeStyle = "rgb(0 0 0 / 0.35)";
  c.stroke();
}

/** Path around a set of cells: every edge between a cell inside and one outside. */
function tracePath(c, { columns, factor }, cells) {
  c.beginPath();
  for (const cell of cells) {
    const [row, column] = [Math.floor(cell / columns), cell % columns];
    const [x, y] = [column * factor, row * factor];
    const edge = (isOutside, x0, y0, x1, y1) => {
      if (!isOutside) return;
      c.moveTo(x0, y0);
      c.lineTo(x1, y1);
    };
    edge(!cells.has(cell - columns), x, y, x + factor, y);
    edge(!cells.has(cell + columns), x, y + factor, x + factor, y + factor);
    edge(column === 0 || !cells.has(cell - 1), x, y, x, y + factor);
    edge(column === columns - 1 || !cells.has(cell + 1), x + factor, y, x + factor, y + factor);
  }
}

/** A dashed outline in black and white. */
export function drawOutline(c, scale, grid, cells) {
  tracePath(c, grid, cells);
  for (const [colour, offset] of [["#000c", 0], ["#fff", 4]]) {
    c.strokeStyle = colour;
    c.lineWidth = 1.6 / scale;
    c.setLineDash([4 / scale, 4 / scale]);
    c.lineDashOffset = offset / scale;
    c.stroke();
  }
  c.setLineDash([]);
}

/** The brush before it paints: its outline, filled with its colour. */
export function drawNib(c, scale, grid, cells, colour) {
  const { columns, factor } = grid;
  if (colour) {
    c.fillStyle = `rgb(${colour.join(" ")} / 0.55)`;
    for (const cell of cells) c.fillRect((cell % columns) * factor, Math.floor(cell / columns) * factor, factor, factor);
  }
  tracePath(c, grid, new Set(cells));
  for (const [width, line] of [[3, "#0009"], [1.3, "#fff"]]) {
    c.lineWidth = width / scale;
    c.strokeStyle = line;
    c.stroke();
  }
}

/** Dim everything but the cells for which `isLit(cell)` holds, and outline those. */
export function drawSpotlight(c, scale, grid, { width, height }, isLit) {
  const { rows, columns, factor } = grid;
  const lit = new Set();
  for (let cell = 0; cell < rows * columns; cell++) if (isLit(cell)) lit.add(cell);
  c.beginPath();
  c.rect(0, 0, width, height);
  for (const cell of lit) c.rect((cell % columns) * factor, Math.floor(cell / columns) * factor, factor, factor);
  c.fillStyle = "rgb(0 0 0 / 0.62)";
  c.fill("evenodd");
  tracePath(c, grid, lit);
  c.lineWidth = 1.5 / scale;
  c.strokeStyle = "#fff";
  c.stroke();
}

/** Before on the left of the line, after on the right. */
export function drawCompare(c, scale, { width, height }, { image, at }) {
  const x = at * width;
  c.save();
  c.beginPath();
  c.rect(0, 0, x, height);
  c.clip();
  c.drawImage(image, 0, 0, width, height);
  c.restore();
  c.fillStyle = "#fff";
  c.shadowColor = "#0008";
  c.shadowBlur = 4;
  c.fillRect(x - 1 / scale, 0, 2 / scale, height);
  c.beginPath();
  c.arc(x, height / 2, 9 / scale, 0, 2 * Math.PI);
  c.fill();
  c.shadowBlur = 0;
  c.fillStyle = "#333";
  for (const side of [-1, 1]) {
    c.beginPath();
    c.moveTo(x + (side * 6) / scale, height / 2);
    c.lineTo(x + (side * 2) / scale, height / 2 - 4 / scale);
    c.lineTo(x + (side * 2) / scale, height / 2 + 4 / scale);
    c.fill();
  }
}
