// The Create tab's craft, drawn from data: token line, style shelf, forecast, history, series. Words go in as text.
"use strict";
(() => {
  const { make, say } = tessera;
  const style = make("link", "", "", {
    rel: "stylesheet", href: new URL("studio/static/page/create.css", document.baseURI).href,
  });
  document.head.append(style);

  const gigabytes = (bytes) => (bytes / 1e9).toFixed(1);
  const duration = (seconds) => {
    if (seconds < 90) return say("create_seconds", { count: Math.max(1, Math.round(seconds)) });
    if (seconds < 5400) return say("create_minutes", { count: Math.round(seconds / 60) });
    return say("create_hours", { count: (seconds / 3600).toFixed(1) });
  };
  const drawn = (draw, watch) => {
    watch("value", draw);
    draw();
  };
  const press = (label, act, className = "small-button") => {
    const button = make("button", className, label, { type: "button" });
    button.addEventListener("click", act);
    return button;
  };

  /** Call `act` whenever a job comes onto the stage, and when it ends. */
  const whenJob = (act) => {
    const stage = document.querySelector("#create-stage .stage");
    if (!stage) return setTimeout(() => whenJob(act), 200); // the stage is drawn after us
    const now = () => `${stage.dataset.job} ${["finished", "failed", "cancelled"].includes(stage.dataset.state)}`;
    let before = now();
    new MutationObserver(() => {
      if (now() === before) return;
      before = now();
      act();
    }).observe(stage, { attributes: true, attributeFilter: ["data-job", "data-state"] });
  };

  // Alt+Up and Alt+Down in the prompt go through the history, as a shell does; the first time they open it.
  const recall = { go: null, step: 0 };
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key) || !event.target.closest?.("#prompt")) return;
    event.preventDefault();
    const step = event.key === "ArrowUp" ? 1 : -1;
    if (recall.go) return recall.go(step);
    recall.step = step;
    document.querySelector("#history-fold > button")?.click();
  });

  /** How long the prompt is to the model, and what its syntax can do. */
  tessera.promptLine = (element, props, _trigger, watch) => drawn(() => {
    const value = props.value ?? {}, line = make("div", "prompt-line");
    const key = value.is_cut ? "create_tokens_cut" : value.chunks > 1 ? "create_tokens_chunks" : "create_tokens";
    line.append(make("span", value.is_cut ? "tokens is-cut" : "tokens", value.tokens == null ? "" : say(key, value)));
    const said = [
      value.styles?.length ? say("create_chosen_styles", { names: value.styles.join(" + ") }) : "",
      value.random?.length ? say("create_random_words", { words: value.random.join(", ") }) : "",
    ].filter(Boolean).join(" · ");
    line.append(make("span", said ? "syntax is-on" : "syntax", said || say("create_syntax")));
    element.replaceChildren(line);
  }, watch);

  /** What the run will take; on a shortage what fits, one click. Asks again when a job begins, ends or is queued. */
  tessera.forecast = (element, props, trigger, watch) => {
    const again = () => trigger("choose", { action: "again" });
    whenJob(again);
    let later = 0; // a job that only joins the queue changes nothing on the stage: ask once its click has arrived
    document.addEventListener("click", (event) => {
      if (!event.target.closest("#create-generate")) return;
      clearTimeout(later);
      later = setTimeout(again, 1500);
    });
    drawn(() => {
      const value = props.value, line = make("div", "forecast");
      line.setAttribute("role", "status");
      if (value && !value.fits) {
        line.classList.add("is-short");
        line.append(make("span", "", say("create_short", { need: gigabytes(value.need), free: gigabytes(value.free) })));
        if (value.smaller) {
          const key = value.smaller.width ? "create_smaller_size" : "create_smaller_batch";
          line.append(press(say(key, value.smaller), () => trigger("choose", { action: "smaller" })));
        }
      } else if (value) {
        const parts = [value.seconds == null ? say("create_first_run") : say("create_takes", { time: duration(value.seconds) })];
        if (value.need != null) parts.push(say("create_memory", { need: gigabytes(value.need), free: gigabytes(value.free) }));
        if (value.place > 1) parts.push(say("create_place", { place: value.place }));
        line.append(make("span", "", parts.join(" · ")));
      }
      element.replaceChildren(line);
    }, watch);
  };

  /** Two tints from a style's name, for one without a picture. */
  const tint = (name) => {
    let hue = 0;
    for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360;
    return `linear-gradient(140deg, hsl(${hue} 38% 52%), hsl(${(hue + 50) % 360} 42% 38%))`;
  };

  tessera.styleShelf = (element, props, trigger, watch) => {
    const search = make("input", "craft-search", "", { type: "search", placeholder: say("create_styles_search") });
    search.setAttribute("aria-label", search.placeholder);
    const shelf = make("div", "style-shelf");
    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      for (const card of shelf.children) card.hidden = !card.dataset.words.includes(wanted);
    };
    search.addEventListener("input", filter);
    element.replaceChildren(search, shelf);
    const toggle = (name) => { // here first, so that a second click does not overtake the first
      const { chosen = [] } = props.value;
      const next = chosen.includes(name) ? chosen.filter((it) => it !== name) : [...chosen, name];
      props.value = { ...props.value, chosen: next };
      for (const card of shelf.children) card.setAttribute("aria-pressed", next.includes(card.dataset.name));
      trigger("choose", { chosen: next });
    };
    drawn(() => {
      const { styles = [], chosen = [] } = props.value ?? {};
      shelf.replaceChildren(...styles.map(({ name, words, picture }) => {
        const card = press("", () => toggle(name), "style-card");
        card.dataset.words = `${name} ${words}`.toLowerCase();
        card.dataset.name = name;
        card.title = words;
        card.setAttribute("aria-pressed", chosen.includes(name));
        const face = picture ? make("img", "", "", { src: picture, alt: "", loading: "lazy" }) : make("span", "style-blank", [...name][0]);
        if (!picture) face.style.background = tint(name);
        card.append(face, make("span", "", name));
        return card;
      }));
      filter();
    }, watch);
  };

  tessera.promptHistory = (element, props, trigger, watch) => {
    const search = make("input", "craft-search", "", { type: "search", placeholder: say("create_history_search") });
    search.setAttribute("aria-label", search.placeholder);
    const list = make("ul", "history-list"), empty = make("p", "craft-empty");
    element.replaceChildren(search, list, empty);
    let waiting;
    whenJob(() => trigger("choose", { action: "search", words: search.value }));
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => trigger("choose", { action: "search", words: search.value }), 200);
    });
    const used = () => props.value?.prompts ?? [];
    const take = (index) => trigger("choose", { action: "take", ...used()[index] });

    let asked = recall.step; // a key that opened the fold, before there was a history to go through
    recall.go = (step) => {
      if (!used().length) return;
      const written = document.querySelector("#prompt textarea")?.value.trim();
      const here = used().findIndex((one) => one.prompt === written); // -1: something new, before the latest
      take(Math.min(Math.max(here + step, 0), used().length - 1));
    };
    trigger("choose", { action: "search", words: "" }); // a closed fold is not there: what came meanwhile is fetched
    drawn(() => {
      if (asked && used().length) {
        const step = asked;
        asked = 0;
        recall.go(step);
      }
      list.replaceChildren(...used().map((one, index) => {
        const row = make("li"), button = press(one.prompt, () => take(index), "history-take");
        if (one.negative) button.append(make("small", "", `− ${one.negative}`));
        if (one.times > 1) button.append(make("small", "", say("create_history_times", one)));
        const forget = press("×", () => trigger("choose", { action: "forget", ...one }), "quiet-button");
        forget.title = say("create_history_forget");
        forget.setAttribute("aria-label", forget.title);
        row.append(button, forget);
        return row;
      }));
      empty.textContent = used().length ? say("create_history_keys") : say(search.value ? "create_history_none" : "create_history_empty");
    }, watch);
  };

  /** How large a grid is, or why it cannot be made. */
  tessera.seriesSize = (element, props, _trigger, watch) => drawn(() => {
    const value = props.value;
    const words = !value ? "" : value.error ? tessera.toldInOne(value.error)
      : value.seconds == null ? say("create_grid_size", value)
      : say("create_grid_takes", { count: value.count, time: duration(value.seconds) });
    element.replaceChildren(make("div", value?.error ? "series-size is-wrong" : "series-size", words));
  }, watch);

  const enlarge = (url) => {
    const dialog = make("dialog", "stage-dialog");
    dialog.append(make("img", "", "", { src: url, alt: "" }));
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    dialog.setAttribute("aria-label", say("enlarge"));
    document.body.append(dialog);
    dialog.showModal();
  };

  tessera.seriesList = (element, props, trigger, watch) => drawn(() => {
    const list = make("ul", "series-list");
    for (const one of props.value?.series ?? []) {
      const item = make("li", "series-item"), picture = press("", () => one.sheet && enlarge(one.sheet), "series-picture");
      item.dataset.state = one.state;
      if (one.thumbnail) picture.append(make("img", "", "", { src: one.thumbnail, alt: "" }));
      picture.title = one.sheet ? say("create_series_sheet") : "";
      picture.disabled = !one.sheet;
      const state = make("div", "series-state");
      if (one.state !== "complete") {
        const bar = make("div", "series-bar"), done = make("i");
        done.style.width = `${(100 * one.done) / one.total}%`;
        bar.append(done);
        state.append(bar);
      }
      const failed = one.failed ? ` · ${say("create_series_failed", one)}` : "";
      state.append(make("span", "", say("create_series_done", one) + failed));
      const actions = make("div", "series-actions");
      const act = (action) => () => trigger("choose", { action, id: one.id });
      if (one.state === "running") actions.append(press(say("stop"), act("stop")));
      else {
        if (one.state === "open" || one.failed) actions.append(press(say("create_series_resume"), act("resume")));
        const away = press("×", act("remove"), "quiet-button");
        away.title = say("create_series_remove");
        away.setAttribute("aria-label", away.title);
        actions.append(away);
      }
      item.append(picture, make("div", "series-title", one.title || say("create_series_untitled")), state, actions);
      list.append(item);
    }
    element.replaceChildren(list);
  }, watch);
})();
