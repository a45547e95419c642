// A picture over the one it was made from, with a line to drag between them.
"use strict";
(() => {
  const { make, say } = tessera;

  /** How far the original reaches into a result that was extended, as CSS percentages of the result. */
  const place = (extend, width, height) => {
    const [left, top, right, bottom] = extend;
    return {
      left: `${(100 * left) / width}%`,
      top: `${(100 * top) / height}%`,
      width: `${(100 * (width - left - right)) / width}%`,
      height: `${(100 * (height - top - bottom)) / height}%`,
    };
  };

  /**
   * Return a box that compares `before` {url, extend} with `after` {url, width, height}. `box.slide(share)` moves the
   * line: left of it is the original, so 0 shows only the result and 1 only the original.
   */
  tessera.compare = (before, after, at = 0.06) => {
    const box = make("div", "compare");
    const { width, height } = after;
    const old = make("img", "compare-before", "", { src: before.url, alt: say("before"), draggable: false });
    Object.assign(old.style, place(before.extend, width, height));
    const made = make("img", "compare-after", "", { src: after.url, alt: say("after"), draggable: false });
    const slider = make("input", "compare-slider", "", { type: "range", min: 0, max: 1, step: 0.001 });
    slider.setAttribute("aria-label", say("compare"));
    const tags = [make("span", "compare-tag is-before", say("before")), make("span", "compare-tag is-after", say("after"))];
    box.style.aspectRatio = `${width} / ${height}`;
    box.slide = (share) => {
      slider.value = share;
      box.style.setProperty("--at", `${100 * share}%`);
      tags[0].hidden = share < 0.15;
      tags[1].hidden = share > 0.85;
    };
    slider.addEventListener("input", () => box.slide(Number(slider.value)));
    box.append(old, made, make("i", "compare-line"), ...tags, slider);
    box.slide(at);
    return box;
  };
})();
