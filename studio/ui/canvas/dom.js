// Small pieces of page: elements, buttons with tooltips, sliders, notices. Text always goes in as text, never as HTML.

import { icon } from "./icons.js";
import { say } from "./words.js";

/** Make an element: make("div", {class: "x", onclick}, child, "text"). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A square tool button; `key` is shown in the tooltip. */
export function toolButton({ name, label, key = "", onclick, toggles = false, text = false }) {
  const words = say(label);
  const button = make("button", {
    class: text ? "sc-button sc-wide" : "sc-button",
    type: "button",
    "aria-label": words,
    "data-tip": key ? `${words}  ${key}` : words,
    "data-name": name,
    onclick,
  });
  button.append(icon(name));
  if (text) button.append(words);
  if (toggles) button.setAttribute("aria-pressed", "false");
  return button;
}

/** A labelled slider. `curve` > 1 gives small values more room. Returns {element, set(value), get()}. */
export function slider({ label, min, max, value, curve = 1, step = 1, unit = "", oninput }) {
  const steps = 200;
  const toValue = (t) => Math.round((min + (max - min) * (t / steps) ** curve) / step) * step;
  const toPosition = (v) => steps * ((v - min) / (max - min)) ** (1 / curve);
  let current = value;
  const words = say(label);
  const input = make("input", { type: "range", min: 0, max: steps, step: "any", "aria-label": words });
  const output = make("output", { class: "sc-amount" });
  const show = () => {
    input.value = toPosition(current);
    output.textContent = `${Number(current.toFixed(2))}${unit}`;
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => {
    current = Math.min(max, Math.max(min, toValue(Number(input.value))));
    output.textContent = `${Number(current.toFixed(2))}${unit}`;
    oninput?.(current);
  });
  show();
  const element = make("label", { class: "sc-slider" }, make("span", {}, words), input, output);
  return { element, get: () => current, set: (v) => ((current = Math.min(max, Math.max(min, v))), show()) };
}

/** Ask for a file; `then(file)`. */
export function chooseFile(accept, then) {
  const input = make("input", { type: "file", accept });
  input.addEventListener("change", () => input.files[0] && then(input.files[0]));
  input.click();
}

/** Save a Blob as a file of the artist's. */
export function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A line of words over the stage that goes away by itself; errors stay longer. Returns show(message, kind). */
export function notices(parent) {
  const box = make("div", { class: "sc-notice", role: "status", "aria-live": "polite", hidden: true });
  const text = make("span");
  const close = make("button", { type: "button", class: "sc-close", "aria-label": say("Close") }, icon("close"));
  let timer = 0;
  close.addEventListener("click", () => (box.hidden = true));
  box.append(text, close);
  parent.append(box);
  return (message, kind = "info") => {
    text.textContent = message;
    box.dataset.kind = kind;
    box.hidden = !message;
    clearTimeout(timer);
    timer = setTimeout(() => (box.hidden = true), kind === "error" ? 15_000 : 5_000);
  };
}

/** Open picture files dropped on `root`, or pasted anywhere on the page while `root` can be seen. */
export function acceptPictures(root, then) {
  const first = (list) => [...(list ?? [])].find((file) => file.type.startsWith("image/"));
  root.addEventListener("dragover", (event) => {
    event.preventDefault();
    root.classList.add("sc-dropping");
  });
  root.addEventListener("dragleave", () => root.classList.remove("sc-dropping"));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("sc-dropping");
    const file = event.dataTransfer.files[0];
    if (file) then(file);
  });
  const stop = new AbortController();
  document.addEventListener(
    "paste",
    (event) => {
      if (!root.isConnected) return stop.abort();
      const isText = event.target.closest?.("input, textarea") && event.clipboardData?.types.includes("text/plain");
      const file = first(event.clipboardData?.files);
      if (!file || isText || !root.getClientRects().length) return;
      event.preventDefault();
      then(file);
    },
    { signal: stop.signal },
  );
}
