// The toolbar of the mask editor: tools, brush size, undo, the panel with brush and overlay settings, files.

import { chooseFile, make, slider, toolButton } from "./dom.js";
import { clear, invert } from "./raster.js";
import { say } from "./words.js";

export const MASK_TOOLS = [
  ["brush", "Brush", "B"],
  ["eraser", "Eraser", "E"],
  ["rectangle", "Rectangle", "R"],
  ["lasso", "Lasso", "L"],
  ["fill", "Fill", "G"],
];

const group = (...items) => make("div", { class: "sc-group" }, ...items);

/** Build the toolbar of `editor`, and give it its sizeSlider, softSlider, undoButton and redoButton. */
export function maskBar(editor) {
  const tools = MASK_TOOLS.map(([name, label, key]) => {
    const button = toolButton({ name, label, key, toggles: true, onclick: () => editor.setTool(name) });
    button.dataset.tool = name;
    return button;
  });
  editor.sizeSlider = slider({
    label: "Size", min: 1, max: 400, value: editor.settings.size, curve: 2.2, unit: " px", oninput: (v) => editor.setSize(v),
  });
  editor.sizeSlider.element.classList.add("sc-main-slider");
  editor.undoButton = toolButton({ name: "undo", label: "Undo", key: "Ctrl Z", onclick: () => editor.undo() });
  editor.redoButton = toolButton({ name: "redo", label: "Redo", key: "Ctrl Shift Z", onclick: () => editor.redo() });
  editor.shownButton = toolButton({
    name: "hide", label: "Hide the mask", key: "H", toggles: true, onclick: () => editor.toggleShown(),
  });
  return make(
    "div",
    { class: "sc-bar", role: "toolbar", "aria-label": say("Tools") },
    group(...tools),
    editor.sizeSlider.element,
    group(editor.undoButton, editor.redoButton),
    group(
      toolButton({ name: "invert", label: "Invert", key: "Ctrl I", onclick: () => editor.change(invert) }),
      toolButton({ name: "clear", label: "Clear all", key: "Del", onclick: () => editor.change(clear) }),
      editor.shownButton,
      toolButton({ name: "fit", label: "Show all", key: "0", onclick: () => editor.surface.fit() }),
      settings(editor),
    ),
    make("div", { class: "sc-space" }),
    group(
      toolButton({ name: "open", label: "Open a picture", key: "Ctrl O", onclick: () => editor.choose() }),
      toolButton({ name: "load", label: "Load mask", onclick: () => chooseFile("image/*", (f) => editor.loadMask(f)) }),
      toolButton({ name: "save", label: "Save mask", onclick: () => editor.saveMask() }),
    ),
  );
}

function settings(editor) {
  const now = editor.settings;
  const colour = make("input", { type: "color", value: now.colour, "aria-label": say("Colour") });
  colour.addEventListener("input", () => editor.set({ colour: colour.value }));
  const pressure = make("input", { type: "checkbox", checked: now.pressure });
  pressure.addEventListener("change", () => editor.set({ pressure: pressure.checked }));
  const percent = { min: 0, max: 100, unit: " %" };
  editor.softSlider = slider({
    ...percent, label: "Softness", value: now.softness, oninput: (softness) => editor.set({ softness }),
  });
  const strength = slider({
    ...percent, label: "Strength", min: 1, value: now.strength, oninput: (v) => editor.set({ strength: v }),
  });
  const opacity = slider({
    ...percent, label: "Opacity", min: 5, value: now.opacity * 100, oninput: (v) => editor.set({ opacity: v / 100 }),
  });
  const panel = make(
    "div",
    { class: "sc-panel", hidden: true },
    editor.softSlider.element,
    strength.element,
    opacity.element,
    make("label", { class: "sc-check" }, make("span", {}, say("Colour")), colour),
    make("label", { class: "sc-check" }, make("span", {}, say("Pen pressure")), pressure),
  );
  return panelButton({ name: "more", label: "Brush and overlay" }, panel);
}

/** A button that opens and closes `panel`; a click elsewhere or Escape closes it too. Returns their common box. */
export function panelButton(properties, panel) {
  const button = toolButton({ ...properties, toggles: true, onclick: () => show(panel.hidden) });
  const box = make("div", { class: "sc-anchor" }, button, panel);
  const outside = (event) => {
    if (event.type === "keydown" ? event.key === "Escape" : !box.contains(event.target)) show(false);
  };
  const show = (isOpen) => {
    panel.hidden = !isOpen;
    button.setAttribute("aria-pressed", String(isOpen));
    for (const type of ["pointerdown", "keydown"])
      if (isOpen) document.addEventListener(type, outside, true);
      else document.removeEventListener(type, outside, true);
    if (isOpen) panel.dispatchEvent(new Event("opened"));
  };
  box.close = () => show(false);
  return box;
}
