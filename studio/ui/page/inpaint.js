// The Inpaint tab's own: one place that shows either the canvas or the results, and controls that suit the method.
"use strict";
(() => {
  const { make, say } = tessera;
  const VIEWS = [["mask", "inpaint_view_mask"], ["stage", "inpaint_view_stage"]];
  const ENDED = ["idle", "finished", "failed", "cancelled"];
  const SETTLE_MS = 400; // in which a page that was opened anew is told all that a job has said
  let isAsked = false;
  const canvas = () => window.studioCanvases?.get("inpaint");
  const desk = () => document.querySelector(".inpaint-desk");

  const style = make("link", "", "", { rel: "stylesheet", href: new URL("studio/static/page/inpaint.css", document.baseURI).href });
  document.head.append(style);

  const view = (name) => {
    desk().dataset.view = name;
    for (const button of desk().querySelectorAll(".inpaint-views button"))
      button.setAttribute("aria-pressed", String(button.dataset.view === name));
  };

  /** The switch between painting and results; its value is {methods: {name: needs a model}, method}. */
  tessera.inpaintViews = (element, props) => {
    const root = desk();
    const buttons = VIEWS.map(([name, words]) => {
      const button = make("button", "", say(words), { type: "button", onclick: () => view(name) });
      button.dataset.view = name;
      return button;
    });
    element.querySelector(".inpaint-views").replaceChildren(...buttons);
    root.addEventListener("canvas-opened", () => view("mask"));
    root.addEventListener("stage-changed", ({ detail }) => {
      root.dataset.results = detail.state === "idle" ? "no" : "yes";
      if (detail.state === "idle") view("mask");
      if (!detail.isNew) return;
      if (isAsked) view("stage");
      else setTimeout(lookIfRunning, SETTLE_MS); // a page that was opened anew: what has ended is not in the way
      isAsked = false;
    });
    const lookIfRunning = () => {
      if (!ENDED.includes(root.querySelector(".stage").dataset.state)) view("stage");
    };
    const state = root.querySelector(".stage")?.dataset.state ?? "idle";
    root.dataset.results = state === "idle" ? "no" : "yes";
    view("mask");
    if (state !== "idle") setTimeout(lookIfRunning, SETTLE_MS);
    tessera.fillMethod = (method) => {
      root.dataset.method = method;
      root.dataset.needsModel = props.value.methods[method] === false ? "no" : "yes";
    };
    // What was left here last time may have come back before this tab was ever shown.
    const catchUp = () => {
      tessera.fillMethod(root.querySelector("#inpaint-method input:checked")?.value ?? props.value.method);
      const sides = ["left", "top", "right", "bottom"].map((side) => root.querySelector(`#inpaint-${side} input`)?.value);
      if (sides.some((pixels) => Number(pixels))) tessera.showAdded(...sides);
    };
    root.addEventListener("canvas-ready", catchUp);
    requestAnimationFrame(catchUp);
  };

  /** Before Generate: the results of this page's own job come into view, and the strokes are all in. */
  tessera.askFill = (...values) => {
    isAsked = true;
    return values;
  };

  /** Lay the chosen picture of a stage's value on the canvas as the next version. Returns sides that add nothing. */
  tessera.acceptFill = async (value) => {
    const picture = value?.pictures?.[value.chosen ?? 0];
    if (picture) await canvas().attempt(() => canvas().openRecord(picture.id));
    canvas().setAdded([0, 0, 0, 0]);
    return [0, 0, 0, 0];
  };

  /** Show on the canvas how far its sides are extended. */
  tessera.showAdded = (...sides) => canvas()?.setAdded(sides);

  /** Return sides of a quarter of the picture's shorter side, on a grid of 8 pixels. */
  tessera.aQuarterAllRound = () => {
    const { width, height } = canvas().source ?? { width: 256, height: 256 };
    return Array(4).fill(Math.max(8, Math.round(Math.min(width, height) / 32) * 8));
  };
})();
