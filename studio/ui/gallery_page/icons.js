// The gallery's icons: strokes on a 24 x 24 grid, drawn for this studio.

const SHAPES = {
  star: '<path d="m12 4 2.4 5.200 5.600.6-4.200 3.800 1.200 5.600L12 16.400 7 19.200l1.200-5.600L4 9.800l5.600-.6z"/>',
  trash: '<path d="M5 7h14M10 7V4.500h4V7M7 7l.8 12.500h8.400L17 7M10.500 11v5M13.500 11v5"/>',
  restore: '<path d="M8 5 4 9l4 4"/><path d="M4 9h9a6 6 0 0 1 0 11H8"/>',
  compare: '<path d="M12 3v18M4 6h5v12H4zM15 6h5v12h-5" />',
  download: '<path d="M12 4v11m-4-4 4 4 4-4M5 20h14"/>',
  upload: '<path d="M12 15V4m-4 4 4-4 4 4M5 20h14"/>',
  info: '<circle cx="12" cy="12" r="8"/><path d="M12 11v5M12 8v.01"/>',
  close: '<path d="M6 6l12 12M18 6 6 18"/>',
  check: '<path d="m5 12.500 4.500 4.500L19 7.500"/>',
  left: '<path d="m14 6-6 6 6 6"/>',
  right: '<path d="m10 6 6 6-6 6"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  folder: '<path d="M4 19V6h6l2 2h8v11z"/>',
  tree: '<circle cx="6" cy="12" r="2.200"/><circle cx="18" cy="6" r="2.200"/><circle cx="18" cy="18" r="2.200"/><path d="M8.200 12H11c2 0 1-6 4.800-6M11 12c2 0 1 6 4.800 6"/>',
  search: '<circle cx="11" cy="11" r="6"/><path d="m15.500 15.500 4.500 4.500"/>',
  again: '<path d="M19 12a7 7 0 1 1-2-5"/><path d="M19 4v4h-4"/>',
  swap: '<path d="M5 9h13l-3.500-3.500M19 15H6l3.500 3.500"/>',
  side: '<path d="M4 5h16v14H4zM12 5v14"/>',
  copy: '<path d="M8 8h11v11H8z"/><path d="M5 16V5h11"/>',
  film: '<path d="M4 5h16v14H4zM8 5v14M16 5v14M4 9.500h4M4 14.500h4M16 9.500h4M16 14.500h4"/>',
  more: '<path d="M6 12h.01M12 12h.01M18 12h.01" stroke-width="2.600"/>',
};

/** An inline SVG icon. */
export function icon(name) {
  const holder = document.createElement("span");
  holder.className = "gp-icon";
  holder.setAttribute("aria-hidden", "true");
  holder.innerHTML = `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">${SHAPES[name]}</svg>`;
  return holder;
}
