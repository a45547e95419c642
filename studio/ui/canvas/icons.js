// Toolbar icons: strokes on a 24 x 24 grid, drawn for this studio.

const SHAPES = {
  brush: '<path d="M20 4c-4 2-8 6-10 9l2 2c3-2 6-6 8-11z"/><path d="M9 14c-3 0-3 4-6 5 3 2 8 1 8-3z"/>',
  eraser: '<path d="M5 15 14 5l6 5-9 10H8z"/><path d="m9 10 6 6M8 20h12"/>',
  rectangle: '<path d="M4 6h16v12H4z" stroke-dasharray="4 2.5"/>',
  lasso: '<path d="M8 16c-8-3-4-11 4-11s12 7 5 10c-4 2-8-1-10 1s1 4 0 6"/>',
  fill: '<path d="m5 12 7-7 7 7-7 7z"/><path d="M5 12h14M9 4l3 3M20 16c2 3 1 4 0 4s-2-1 0-4z"/>',
  invert: '<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>',
  clear: '<path d="M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5"/>',
  undo: '<path d="M8 5 4 9l4 4"/><path d="M4 9h9a6 6 0 0 1 0 11H9"/>',
  redo: '<path d="m16 5 4 4-4 4"/><path d="M20 9h-9a6 6 0 0 0 0 11h4"/>',
  fit: '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>',
  more: '<path d="M4 7h9M17 7h3M4 17h3M11 17h9"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="17" r="2"/>',
  open: '<path d="M4 19V6h6l2 2h8v11z"/><path d="M12 16v-5m-2.5 2.500L12 11l2.5 2.5"/>',
  save: '<path d="M12 4v11m-4-4 4 4 4-4M5 20h14"/>',
  load: '<path d="M12 15V4m-4 4 4-4 4 4M5 20h14"/>',
  pick: '<path d="m12 8 4 4-8 8H4v-4z"/><path d="m11 7 6 6M15 9l3-4a1.5 1.5 0 0 1 2 2l-4 3"/>',
  stamp: '<path d="M9 11c1-2-1-3-1-5a4 4 0 0 1 8 0c0 2-2 3-1 5l4 2v3H5v-3zM5 20h14"/>',
  select: '<path d="M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M11 4h2M11 20h2M4 11v2M20 11v2"/>',
  grid: '<path d="M4 4h16v16H4zM4 9.300h16M4 14.700h16M9.3 4v16M14.7 4v16"/>',
  compare: '<path d="M12 3v18M4 6h5v12H4z"/><path d="M15 6h5v12h-5z" fill="currentColor"/>',
  replace: '<path d="M4 5h6v6H4z"/><path d="M14 13h6v6h-6z" fill="currentColor"/><path d="M14 5h5v5m0 0-2-2m2 2 2-2M10 19H5v-5"/>',
  dice: '<path d="M5 5h14v14H5z"/><path d="M9 9h.01M15 15h.01M15 9h.01M9 15h.01M12 12h.01" stroke-width="2.5"/>',
  spark: '<path d="M11 4c.7 4.500 2.500 6.300 7 7-4.500.7-6.300 2.500-7 7-.7-4.500-2.500-6.300-7-7 4.500-.7 6.300-2.500 7-7z"/><path d="M18.500 15.500v4M16.500 17.500h4"/>',
  palette: '<path d="M12 4a8 8 0 1 0 0 16c2 0 2-1.5 1.5-2.5-.7-1.5.3-2.5 1.7-2.500H18c1.5 0 2-1.5 2-3 0-4.5-3.5-8-8-8z"/><path d="M8 10h.01M12 8h.01M16 10h.01M8 14h.01" stroke-width="2.5"/>',
  film: '<path d="M4 5h16v14H4zM8 5v14M16 5v14M4 9.500h4M4 14.500h4M16 9.500h4M16 14.500h4"/>',
  share: '<path d="M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1"/><path d="M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1"/>',
  meter: '<path d="M4 17a8 8 0 1 1 16 0M12 17l4-6"/><path d="M4 17h2M18 17h2M12 7v2"/>',
  send: '<path d="M4 12 20 5l-5 15-4-6z"/><path d="m11 14 9-9"/>',
  hide: '<path d="M3 12c4-7 14-7 18 0-4 7-14 7-18 0z"/><circle cx="12" cy="12" r="3"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
};

/** Return a 20 px icon element; unknown names are a programming error. */
export function icon(name) {
  const box = document.createElement("span");
  box.className = "sc-icon";
  box.setAttribute("aria-hidden", "true");
  box.innerHTML =
    `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round"` +
    ` stroke-linejoin="round">${SHAPES[name]}</svg>`;
  return box;
}
