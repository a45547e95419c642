// A picture's family: what it was made from and what was made of it, across tabs, as a tree that can be walked.

import { make } from "../canvas/dom.js";
import { button, complain, dialog } from "./pieces.js";
import { address, getFamily, say, sayOr } from "./server.js";

const WIDTH = 108, HEIGHT = 136, GAP_X = 84, GAP_Y = 18;
const SVG = "http://www.w3.org/2000/svg";

/** Show the family of picture `id`. */
export async function family(gallery, id) {
  let tree;
  try {
    tree = await getFamily(id);
  } catch (error) {
    complain(error);
    return;
  }
  const floor = make("div", { class: "gp-tree-floor" });
  const words = make("div", { class: "gp-family-words" });
  const tools = make("div", { class: "gp-drop-buttons" });
  const scroll = make("div", { class: "gp-tree", tabIndex: 0 }, floor);
  const box = dialog({ title: say("family"), name: "family" }, scroll,
    make("div", { class: "gp-dialog-foot gp-family-foot" }, words, tools));
  const places = layOut(tree);
  const nodes = new Map();
  floor.style.width = `${places.width}px`;
  floor.style.height = `${places.height}px`;
  const lines = drawLines(tree, places);
  floor.append(lines.svg);
  const choose = (chosen) => {
    for (const [key, node] of nodes) node.classList.toggle("is-chosen", key === chosen.id);
    for (const { line, edge } of lines.edges) line.classList.toggle("is-kin", edge.parent === chosen.id || edge.child === chosen.id);
    words.textContent = chosen.alt || say(`tab_of_${chosen.tab}`);
    tools.replaceChildren(
      button({ words: "open", onclick: () => (box.close(), gallery.viewer ? gallery.viewer.show(chosen.id) : gallery.view(chosen.id)) }),
      button({ words: "replay", picture: "again", onclick: () => gallery.replay(chosen.id) }),
      button({ words: "recall_all", kind: "is-main", onclick: () => gallery.reuse(chosen.id, "all") }));
  };
  for (const it of tree.nodes) {
    const node = make("button", { type: "button", class: "gp-node", title: it.alt, onclick: () => choose(it), ondblclick: () => tools.querySelector("button").click() },
      make("img", { src: address(it.thumbnail), alt: it.alt }), make("span", {}, say(`tab_of_${it.tab}`)));
    put(node, places.of.get(it.id));
    nodes.set(it.id, node);
    floor.append(node);
  }
  for (const it of tree.inputs) floor.append(put(inputNode(it), places.of.get(it.id)));
  scroll.addEventListener("keydown", (event) => walk(event, places, tree, (next) => (choose(next), nodes.get(next.id).focus())));
  const start = tree.nodes.find((it) => it.id === id);
  choose(start);
  nodes.get(id).focus();
  nodes.get(id).scrollIntoView({ block: "center", inline: "center" });
}

function inputNode(it) {
  const role = sayOr(`role_${it.role}`, it.role);
  const gone = () => make("div", { class: "gp-gone" }, role);
  return make("div", { class: "gp-node is-input", title: role },
    make("img", { src: address(it.url), alt: role, onerror: (event) => event.target.replaceWith(gone()) }),
    make("span", {}, role));
}

function put(node, [x, y]) {
  node.style.left = `${x}px`;
  node.style.top = `${y}px`;
  return node;
}

/** Columns by generation, children near their parents; returns {of: id -> [x, y], width, height}. */
function layOut({ nodes, edges, inputs }) {
  const all = [...nodes.map((it) => it.id), ...inputs.map((it) => it.id)];
  const links = allLinks(edges, inputs);
  const depth = new Map(all.map((id) => [id, 0]));
  for (let round = 0, moved = true; moved && round < all.length; round++) {
    moved = false;
    for (const { parent, child } of links) {
      if (depth.get(child) <= depth.get(parent)) {
        depth.set(child, depth.get(parent) + 1);
        moved = true;
      }
    }
  }
  for (const it of inputs) depth.set(it.id, Math.min(...it.children.map((child) => depth.get(child))) - 1);
  const columns = [];
  for (const id of all) (columns[depth.get(id)] ??= []).push(id);
  const row = new Map();
  for (const column of columns) {
    const wish = (id) => {
      const rows = links.filter((it) => it.child === id).map((it) => row.get(it.parent)).filter((it) => it !== undefined);
      return rows.length ? rows.reduce((sum, one) => sum + one, 0) / rows.length : Infinity;
    };
    const wishes = new Map(column.map((id) => [id, wish(id)]));
    column.sort((a, b) => wishes.get(a) - wishes.get(b));
    column.forEach((id, place) => row.set(id, place));
  }
  const tallest = Math.max(...columns.map((column) => column.length));
  const of = new Map();
  columns.forEach((column, x) => column.forEach((id, y) => {
    const top = ((tallest - column.length) * (HEIGHT + GAP_Y)) / 2;
    of.set(id, [x * (WIDTH + GAP_X), 6 + top + y * (HEIGHT + GAP_Y)]);
  }));
  return { of, columns, width: columns.length * (WIDTH + GAP_X) - GAP_X, height: tallest * (HEIGHT + GAP_Y) + 6 };
}

const allLinks = (edges, inputs) =>
  [...edges, ...inputs.flatMap((it) => it.children.map((child) => ({ parent: it.id, child, role: "" })))];

function drawLines({ edges, inputs }, places) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", places.width);
  svg.setAttribute("height", places.height);
  const drawn = allLinks(edges, inputs).map((edge) => {
    const [x1, y1] = places.of.get(edge.parent), [x2, y2] = places.of.get(edge.child);
    const [a, b] = [[x1 + WIDTH + 4, y1 + WIDTH / 2], [x2 - 6, y2 + WIDTH / 2]];
    const line = document.createElementNS(SVG, "path");
    const bend = Math.max(24, (b[0] - a[0]) / 2);
    line.setAttribute("d", `M${a[0]} ${a[1]} C${a[0] + bend} ${a[1]}, ${b[0] - bend} ${b[1]}, ${b[0]} ${b[1]}`);
    svg.append(line);
    if (edge.role) {
      const text = document.createElementNS(SVG, "text");
      text.setAttribute("x", (a[0] + b[0]) / 2);
      text.setAttribute("y", (a[1] + b[1]) / 2 - 5);
      text.setAttribute("text-anchor", "middle");
      text.textContent = sayOr(`role_${edge.role}`, edge.role);
      svg.append(text);
    }
    return { line, edge };
  });
  return { svg, edges: drawn };
}

/** Arrow keys lead to the nearest picture in their direction. */
function walk(event, places, tree, choose) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const now = document.activeElement?.closest(".gp-node.is-chosen");
  if (!way || !now) return;
  event.preventDefault();
  const [x, y] = [parseFloat(now.style.left), parseFloat(now.style.top)];
  const ahead = tree.nodes
    .map((it) => ({ it, at: places.of.get(it.id) }))
    .map(({ it, at }) => ({ it, along: (at[0] - x) * way[0] + (at[1] - y) * way[1], off: Math.abs((at[0] - x) * way[1]) + Math.abs((at[1] - y) * way[0]) }))
    .filter(({ along }) => along > 1)
    .sort((a, b) => a.along + 2 * a.off - (b.along + 2 * b.off));
  if (ahead.length) choose(ahead[0].it);
}
