// The film strip: draws a run's frames, lets you scrub them, and shows which parts still move. Words go in as text.
"use strict";
(() => {
  const { say } = tessera;
  const STYLE = new URL("studio/static/film_page/film.css", document.baseURI).href;
  const THUMB = 56; // CSS pixels of a frame in the strip, at most

  tessera.film = (element, props, trigger, watch) => {
    const root = element.querySelector(".film");
    const part = (name) => root.querySelector(`.film-${name}`);
    const range = part("range"), frame = part("frame"), strip = part("strip"), flag = part("flag");
    const moving = root.querySelector(".film-overlay input");
    const tab = element.closest("[id$='-film']").id.replace(/-film$/, "");
    if (!document.querySelector(`link[href="${STYLE}"]`)) {
      document.head.append(tessera.make("link", "", "", { rel: "stylesheet", href: STYLE }));
    }
    let film = null, image = null, step = 1, told = null;

    root.querySelector("strong").textContent = say("film_title");
    root.querySelector(".film-overlay span").textContent = say("film_moving");
    range.setAttribute("aria-label", say("film_scrub"));

    /** With a film the stage need not show its own few previews. */
    const showsFilm = (does) => document.querySelector(`#${tab}-stage .stage`)?.classList.toggle("has-film", does);

    const hide = () => {
      film = null;
      root.hidden = true;
      showsFilm(false);
      document.getElementById(`${tab}-film-actions`)?.classList.remove("is-on");
    };

    /** Take the film of the stage's chosen picture. */
    const take = (v) => {
      const index = v.chosen ?? 0, picture = v.pictures?.[index];
      if (!picture?.film) return hide();
      film = { ...picture.film, record: picture.id, url: `studio/films/${picture.id}.webp` };
      step = film.count;
      range.max = film.count;
      const loading = new Image();
      loading.onload = () => {
        if (!film || !loading.src.endsWith(film.url)) return;
        image = loading;
        root.hidden = false;
        showsFilm(true);
        document.getElementById(`${tab}-film-actions`)?.classList.add("is-on");
        drawStrip();
        draw();
        if (v.opened) root.scrollIntoView({ behavior: "smooth", block: "nearest" }); // it is what was asked for
      };
      loading.onerror = hide;
      loading.src = new URL(film.url, document.baseURI).href;
    };

    const cell = () => ({ w: image.naturalWidth / film.count, h: image.naturalHeight });

    /** As many frames as fit, first and last among them. */
    const drawStrip = () => {
      const { w, h } = cell();
      const room = strip.parentElement.clientWidth || 320, high = Math.round((THUMB * h) / Math.max(w, h));
      const wide = Math.round((high * w) / h);
      const shown = Math.max(2, Math.min(film.count, Math.floor(room / wide)));
      const times = window.devicePixelRatio || 1;
      strip.width = room * times;
      strip.height = high * times;
      strip.style.height = `${high}px`;
      const brush = strip.getContext("2d");
      brush.imageSmoothingQuality = "high";
      for (let i = 0; i < shown; i += 1) {
        const which = Math.round((i * (film.count - 1)) / Math.max(1, shown - 1));
        const x = (i * strip.width) / shown;
        brush.drawImage(image, which * w, 0, w, h, x, 0, strip.width / shown, strip.height);
      }
      flag.hidden = film.enough >= film.count;
      flag.style.left = `${place(film.enough) * 100}%`;
      flag.title = say("film_enough", { step: film.enough });
    };

    const place = (at) => (film.count < 2 ? 1 : (at - 1) / (film.count - 1));

    const draw = () => {
      const { w, h } = cell();
      frame.width = 512;
      frame.height = Math.round((512 * h) / w);
      const brush = frame.getContext("2d");
      brush.imageSmoothingEnabled = true;
      brush.imageSmoothingQuality = "high";
      brush.drawImage(image, (step - 1) * w, 0, w, h, 0, 0, frame.width, frame.height);
      if (moving.checked) drawMoving(brush);
      range.value = step;
      root.style.setProperty("--at", place(step));
      part("at").textContent = say("film_at", { step, total: film.count });
      const resting = film.settled.filter((last) => last <= step).length / film.settled.length;
      part("mark").textContent = [
        say("film_resting", { percent: Math.round(resting * 100) }),
        film.enough < film.count ? say("film_enough", { step: film.enough }) : "",
      ].filter(Boolean).join(" · ");
      tell();
    };

    /** Dim what is at rest, so that what still moves stands out. */
    const drawMoving = (brush) => {
      const [across, down] = film.cells, x = frame.width / across, y = frame.height / down;
      brush.fillStyle = "rgba(20, 20, 24, .62)";
      film.settled.forEach((last, i) => {
        if (last <= step) brush.fillRect((i % across) * x, Math.floor(i / across) * y, x + 0.5, y + 0.5);
      });
    };

    /** Tell the server's handlers what is chosen. */
    const tell = () => {
      const value = { record: film.record, step, count: film.count };
      if (JSON.stringify(value) === JSON.stringify(told)) return;
      told = value;
      props.value = value;
    };

    const go = (to) => {
      if (!film) return;
      step = Math.max(1, Math.min(film.count, to));
      draw();
    };

    range.addEventListener("input", () => go(Number(range.value)));
    moving.addEventListener("change", () => film && draw());
    flag.addEventListener("click", () => go(film.enough));
    strip.addEventListener("click", (event) => {
      const box = strip.getBoundingClientRect();
      go(1 + Math.round(((event.clientX - box.left) / box.width) * (film.count - 1)));
    });
    addEventListener("resize", () => film && image && drawStrip());

    // what the server says when a frame, a film or a timelapse is done
    watch("value", () => {
      const done = props.value?.done;
      if (!done || done.job === root.dataset.done) return;
      root.dataset.done = done.job;
      if (done.file) tessera.make("a", "", "", { href: `studio/timelapses/${done.job}`, download: "" }).click();
      part("mark").textContent = say(done.said, { step });
      if (told) props.value = told; // the answer is about the step of then; the strip may be at another by now
    });

    const stage = document.getElementById(`${tab}-stage`);
    stage?.addEventListener("stage-changed", (event) => {
      const v = event.detail.value;
      if (v?.state === "finished") take(v);
      else if (v?.state !== "idle") hide();
    });
    stage?.querySelector(".stage")?.dispatchEvent(new Event("stage-asked")); // it may have been drawn before us
  };
})();
