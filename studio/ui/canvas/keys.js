// Keyboard keys of one component: they work while it has the focus or the pointer is over it, and never while
// somebody is typing into a field.

const TYPING = "input:not([type=range]):not([type=checkbox]):not([type=color]), textarea, select, [contenteditable=true]";

/** "ctrl+shift+z" for an event; letters in lower case, the Command key counts as ctrl. */
export function keyName(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("ctrl");
  if (event.altKey) parts.push("alt");
  if (event.shiftKey && event.key.length > 1) parts.push("shift");
  else if (event.shiftKey && /[a-z]/i.test(event.key)) parts.push("shift");
  return [...parts, event.key === " " ? "space" : event.key.toLowerCase()].join("+");
}

/**
 * Call `table[name]()` for keys; `held(name, isDown)` hears of Space and Alt going down and up.
 * Returns a function that stops listening.
 */
export function bindKeys(root, table, held = () => {}) {
  let hovered = false;
  const stop = new AbortController();
  const options = { signal: stop.signal };
  const isOurs = () => {
    const focus = document.activeElement;
    if (root.contains(focus)) return !focus.matches(TYPING);
    return hovered && root.isConnected && !(focus && focus.matches(TYPING));
  };
  root.addEventListener("pointerenter", () => (hovered = true), options);
  root.addEventListener("pointerleave", () => (hovered = false), options);
  window.addEventListener(
    "keydown",
    (event) => {
      if (!root.isConnected) return stop.abort();
      if (event.isComposing || !isOurs()) return;
      if (event.key === " " || event.key === "Alt") {
        if (event.key === " " && document.activeElement?.matches("button")) document.activeElement.blur();
        event.preventDefault();
        held(event.key === " " ? "space" : "alt", true);
        return;
      }
      const action = table[keyName(event)];
      if (!action) return;
      if (event.key === "Escape" && root.querySelector(".sc-panel:not([hidden])")) return; // it closes the panel
      event.preventDefault();
      event.stopPropagation();
      action(event);
    },
    { ...options, capture: true },
  );
  window.addEventListener("keyup", (event) => {
    if (event.key === " ") held("space", false);
    if (event.key === "Alt") held("alt", false);
  }, options);
  window.addEventListener("blur", () => (held("space", false), held("alt", false)), options);
  return () => stop.abort();
}
