// The runs of the Train tab: asked for every two seconds while they are looked at. Works on /studio/training.
// Words go in as text, never as markup.
"use strict";
(() => {
  const { make, say } = tessera;
  const at = (path) => new URL(`studio/${path}`, document.baseURI).href;
  const server = () => import(at("static/canvas/server.js"));
  const ACTIVE = ["preparing", "running", "pausing"];
  const EVERY_MS = 2000;
  document.head.append(make("link", "", "", { rel: "stylesheet", href: at("static/page/train.css") }));

  const time = (seconds) =>
    seconds < 90 ? say("train_seconds", { count: Math.max(5, Math.round(seconds / 5) * 5) })
    : seconds < 5400 ? say("train_minutes", { count: Math.round(seconds / 60) })
    : say("train_hours", { count: (seconds / 3600).toFixed(1) });

  const SVG = "http://www.w3.org/2000/svg";
  const draw = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  /** One figure over the steps. */
  const chart = (name, points) => {
    const box = make("figure", "run-chart"), svg = draw("svg", { viewBox: "0 0 200 70", preserveAspectRatio: "none", "aria-hidden": true });
    const [xs, ys] = [0, 1].map((i) => points.map((it) => it[i]));
    const [low, high] = [Math.min(...ys), Math.max(...ys)], span = high - low || 1, last = xs.at(-1) - xs[0] || 1;
    const path = points.map(([x, y]) => `${(200 * (x - xs[0])) / last},${66 - (62 * (y - low)) / span}`).join(" ");
    svg.append(draw("polyline", { points: path, fill: "none", "vector-effect": "non-scaling-stroke" }));
    // says: train_figure_psnr train_figure_loss train_figure_batch_perplexity train_figure_pixel
    box.append(make("figcaption", "", `${say(`train_figure_${name}`)}  ${Number(ys.at(-1).toPrecision(3))}`), svg);
    return box;
  };

  tessera.runs = (element) => {
    const root = make("section", "runs"), times = make("p", "runs-times"), list = make("div", "runs-list");
    const note = make("p", "runs-note", "", { hidden: true });
    note.setAttribute("role", "status");
    root.append(times, note, list);
    element.replaceChildren(root);
    let shown = "";

    const tell = (words) => {
      note.textContent = words;
      note.hidden = !words;
    };

    const act = (run, action) => async () => {
      try {
        await (await server()).post(`training/${encodeURIComponent(run.name)}/${action}`, {});
        tell(action === "use" ? say("train_used") : "");
      } catch (error) {
        tell(error.message);
      }
      look();
    };

    const buttons = (run) => {
      const row = make("div", "run-actions");
      const offer = (key, action, isMain = false) => {
        const made = make("button", isMain ? "run-button is-main" : "run-button", say(key), { type: "button" });
        made.dataset.action = action;
        made.addEventListener("click", act(run, action));
        row.append(made);
      };
      if (["preparing", "running"].includes(run.phase)) offer("train_pause", "pause"), offer("train_stop", "stop");
      if (["paused", "stopped", "failed"].includes(run.phase)) offer("train_on", "on");
      if (run.has_result) offer("train_use", "use", true);
      return row;
    };

    const card = async (run) => {
      const box = make("article", "run"), head = make("div", "run-head"), bar = make("div", "run-bar");
      box.dataset.run = run.name;
      box.dataset.phase = run.phase;
      const left = run.seconds_left == null ? "" : say("train_left", { time: time(run.seconds_left) });
      // says: train_preparing train_running train_pausing train_paused train_finished train_stopped train_failed
      head.append(make("strong", "", run.name), make("span", "run-phase", [say(`train_${run.phase}`), left].filter(Boolean).join(" · ")));
      bar.append(make("i"));
      bar.firstChild.style.width = `${(100 * run.step) / run.steps}%`;
      bar.setAttribute("role", "progressbar");
      bar.setAttribute("aria-valuenow", run.step);
      bar.setAttribute("aria-valuemax", run.steps);
      box.append(head, bar, make("p", "run-step", say("train_step", run)));
      if (run.message) box.append(make("p", "run-error", `${run.message} ${run.hint}`));
      const charts = make("div", "run-charts");
      for (const [name, points] of Object.entries(await (await server()).getJson(`training/${encodeURIComponent(run.name)}/curves`))) {
        charts.append(chart(name, points));
      }
      if (charts.children.length) box.append(charts);
      if (run.samples.length) {
        const step = run.samples.at(-1), words = say("train_samples", { step });
        const image = make("img", "run-samples", "", { src: at(`training/${encodeURIComponent(run.name)}/samples/${step}.png`), alt: words, loading: "lazy" });
        image.title = words;
        box.append(image);
      }
      box.append(buttons(run));
      return box;
    };

    const sayTimes = ({ estimates, measuring }) => {
      const parts = Object.entries(estimates).filter(([, it]) => it.short != null).map(([kind, it]) => {
        // says: train_short train_standard train_long
        const words = ["short", "standard", "long"].map((effort) => `${say(`train_${effort}`)} ${time(it[effort])}`);
        // says: train_codebook train_diffusion
        return `${say(`train_${kind}`)}: ${words.join(", ")}`;
      });
      const busy = measuring && ACTIVE.includes(measuring.phase) ? say("train_measuring") : "";
      const failed = measuring?.phase === "failed" ? say("train_measure_failed", measuring) : "";
      times.textContent = [parts.length ? say("train_time", { times: parts.join(" · ") }) : say("train_time_unknown"), busy, failed]
        .filter(Boolean).join(" ");
    };

    const look = async () => {
      try {
        const found = await (await server()).getJson("training");
        sayTimes(found);
        const now = JSON.stringify(found.runs);
        if (now === shown) return;
        const cards = await Promise.all(found.runs.map(card));
        shown = now;
        if (cards.length) return list.replaceChildren(...cards);
        const empty = make("div", "shelf-empty");
        empty.append(make("strong", "", say("train_none")), make("p", "", say("train_none_hint")));
        list.replaceChildren(empty);
      } catch (error) {
        tell(error.message);
      }
    };
    setInterval(() => root.offsetParent && !document.hidden && look(), EVERY_MS);
    new IntersectionObserver((seen) => seen.some((it) => it.isIntersecting) && look()).observe(root);
  };
})();
