// Draws a stage from its value: see stream.py for the states. Words go in as text, never as markup.
"use strict";
(() => {
  const { make, say } = tessera;
  const FILM_LENGTH = 40;
  const ENLARGED = 10; // latent-size previews are drawn up to this many times larger, smoothly
  const LARGEST = 1024; // pixels, of a preview so drawn

  const columns = (count) => (count <= 1 ? 1 : count <= 4 ? 2 : count <= 9 ? 3 : 4);

  const minutesOrSeconds = (seconds) =>
    seconds == null ? "" : seconds > 90 ? say("left_minutes", { minutes: Math.round(seconds / 60) }) : say("left", { seconds });

  /** The sentence under the picture, for every state. */
  const phase = (v) => ({
    queued: () => say("queued", v),
    loading: () => say("loading", v),
    // says: doing_colour doing_colour_transport doing_strokes doing_adain doing_wct doing_tokens doing_tokens_nearest
    // says: doing_tokens_histogram doing_diffusion doing_reference
    running: () => [say("step", v), v.doing && say(`doing_${v.doing}`)].filter(Boolean).join(" · "),
    decoding: () => say("decoding"),
    finished: () => {
      const picture = v.pictures[v.chosen ?? 0];
      return picture ? say("finished", { seed: picture.seed, seconds: v.seconds }) : "";
    },
    cancelled: () => (v.step ? say("cancelled", v) : say("cancelled_waiting")),
  }[v.state]?.() ?? "");

  /** Draw part `index` of `count` pictures side by side in `image` onto `canvas`, smoothly enlarged. */
  const paint = (canvas, image, index, count) => {
    const width = image.naturalWidth / count;
    const times = Math.max(1, Math.min(ENLARGED, Math.floor(LARGEST / Math.max(width, image.naturalHeight))));
    canvas.width = width * times;
    canvas.height = image.naturalHeight * times;
    const brush = canvas.getContext("2d");
    brush.imageSmoothingEnabled = true;
    brush.imageSmoothingQuality = "high";
    brush.drawImage(image, index * width, 0, width, image.naturalHeight, 0, 0, canvas.width, canvas.height);
  };

  tessera.stage = (element, props, trigger, watch) => {
    const root = element.querySelector(".stage");
    const part = (name) => root.querySelector(`.stage-${name}`);
    const pictures = part("pictures"), film = part("film"), strip = part("strip"), message = part("message");
    let job = null, lastPreview = null;

    /** Give the tiles the shape of `count` pictures side by side; requests that start from a picture name no size. */
    const shape = (width, height, count) => {
      const wide = columns(count), high = Math.ceil(count / wide);
      root.style.setProperty("--ratio", width && height ? (wide * width) / (high * height) : 1);
      pictures.style.setProperty("--columns", wide);
      pictures.style.setProperty("--shape", width && height ? `${width} / ${height}` : "1 / 1");
    };

    /** Make one tile per picture, each with a canvas for its previews. */
    const layTiles = (v) => {
      shape(v.width, v.height, v.count);
      pictures.replaceChildren(...Array.from({ length: v.count }, () => {
        const tile = make("div", "stage-tile");
        tile.append(make("canvas"));
        return tile;
      }));
      film.replaceChildren();
      film.hidden = strip.hidden = true;
      lastPreview = null;
    };

    const showPreview = (url, count) => {
      const image = new Image();
      image.onload = () => {
        const isLate = props.value?.state === "finished"; // the pictures are there, and their shape counts
        if (!props.value?.width && !isLate) shape(image.naturalWidth / count, image.naturalHeight, count);
        [...pictures.querySelectorAll("canvas")].forEach((canvas, i) => paint(canvas, image, i, count));
        root.dataset.previews = Number(root.dataset.previews || 0) + 1;
        root.classList.add("has-preview");
      };
      image.src = url;
    };

    const addToFilm = (v) => {
      const frame = make("button", "stage-frame", "", { type: "button", title: say("film_step", v) });
      const canvas = make("canvas");
      const image = new Image();
      image.onload = () => paint(canvas, image, 0, v.count);
      image.src = v.preview;
      frame.append(canvas);
      frame.addEventListener("click", () => lookBack(frame, v));
      film.append(frame);
      film.hidden = false;
      if (film.children.length > FILM_LENGTH) [...film.children].forEach((it, i) => i % 2 && it.remove());
      film.scrollLeft = film.scrollWidth;
    };

    /** Show a step again; a second click returns to the finished picture. */
    const lookBack = (frame, v) => {
      const again = frame.classList.contains("is-shown");
      for (const it of film.children) it.classList.toggle("is-shown", it === frame && !again);
      root.classList.toggle("looks-back", !again);
      if (!again) showPreview(v.preview, v.count);
      part("phase").textContent = again ? phase(props.value) : say("film_step", v);
    };

    const choose = (index) => {
      props.value = { ...props.value, chosen: index };
      trigger("choose", { index });
      draw();
      const detail = { state: props.value.state, value: props.value, isNew: false };
      root.dispatchEvent(new CustomEvent("stage-changed", { bubbles: true, detail }));
    };

    const enlarge = (picture) => {
      const dialog = make("dialog", "stage-dialog");
      dialog.append(make("img", "", "", { src: picture.url, alt: "" }));
      dialog.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => dialog.remove());
      dialog.setAttribute("aria-label", say("enlarge"));
      document.body.append(dialog);
      dialog.showModal();
    };

    /** The chosen picture over what it was made from, and below it a strip of the original and all pictures. */
    const showCompared = (v) => {
      const chosen = v.pictures[v.chosen ?? 0];
      if (!chosen || pictures.querySelector(".compare")?.dataset.id === chosen.id) return;
      const box = tessera.compare(v.before, chosen);
      box.dataset.id = chosen.id;
      const larger = make("button", "compare-enlarge", "⤢", { type: "button", title: say("enlarge") });
      larger.addEventListener("click", () => enlarge(chosen));
      box.append(larger);
      shape(chosen.width, chosen.height, 1);
      pictures.replaceChildren(box);
      const thumb = (label, url, isChosen, onclick) => {
        const button = make("button", isChosen ? "is-chosen" : "", "", { type: "button", title: label, onclick });
        button.append(make("img", "", "", { src: url, alt: label }));
        return button;
      };
      strip.replaceChildren(
        thumb(say("original"), v.before.url, false, () => box.slide(1)),
        ...v.pictures.map((it, i) => {
          const label = say("picture_of", { index: i + 1, total: v.pictures.length, seed: it.seed });
          return thumb(label, it.url, it === chosen, () => (it === chosen ? box.slide(0) : choose(i)));
        }),
      );
      strip.hidden = false;
      film.hidden = true; // its frames are drawn where the comparison now is
    };

    const showPictures = (v) => {
      if (v.before) return showCompared(v);
      if (!v.width && v.pictures[0]) shape(v.pictures[0].width, v.pictures[0].height, v.pictures.length);
      [...pictures.children].forEach((tile, i) => {
        const picture = v.pictures[i];
        if (!picture) return tile.remove();
        let button = tile.querySelector("button");
        if (!button) {
          const label = say("picture_of", { index: i + 1, total: v.pictures.length, seed: picture.seed });
          button = make("button", "", "", { type: "button", title: label });
          button.append(make("img", "", "", { src: picture.url, alt: label }));
          button.addEventListener("click", () =>
            v.pictures.length > 1 && (props.value.chosen ?? 0) !== i ? choose(i) : enlarge(picture));
          tile.append(button);
        }
        tile.classList.toggle("is-chosen", v.pictures.length > 1 && (v.chosen ?? 0) === i);
      });
    };

    const showMessage = (title, text) => {
      message.querySelector("strong").textContent = title;
      message.querySelector("p").textContent = text;
    };

    const draw = () => {
      const v = props.value ?? { state: "idle" };
      const detail = { state: v.state, value: v, isNew: Boolean(v.job && v.job !== job) };
      const isChanged = detail.isNew || root.dataset.state !== v.state;
      root.dataset.state = v.state;
      root.classList.toggle("is-stopping", Boolean(v.stopping));
      if (v.job && v.job !== job) {
        job = v.job;
        root.dataset.job = job;
        root.dataset.previews = 0;
        root.classList.remove("has-preview", "looks-back");
        layTiles(v);
        if (matchMedia("(max-width: 860px)").matches) root.scrollIntoView({ behavior: "smooth", block: "nearest" });
      }
      if (v.state === "idle") {
        const idle = v.idle ?? "idle_title";
        // says: idle_hint style_idle_hint inpaint_idle_hint enhance_idle_hint
        showMessage(say(idle), say(`${idle.replace(/_title$/, "")}_hint`));
      }
      if (v.state === "failed") showMessage(tessera.told(v).message, tessera.told(v).hint);
      if (v.preview && v.preview !== lastPreview) {
        lastPreview = v.preview;
        if (!root.classList.contains("looks-back")) showPreview(v.preview, v.count);
        addToFilm(v);
      }
      if (v.state === "finished") showPictures(v);
      const going = v.state === "running" ? v.index / v.total : v.state === "loading" ? v.fraction : null;
      const bar = part("progress");
      bar.classList.toggle("is-vague", going == null);
      bar.setAttribute("aria-valuemax", v.total ?? 1);
      bar.setAttribute("aria-valuenow", v.index ?? 0);
      bar.firstElementChild.style.width = `${(going ?? 0) * 100}%`;
      const busy = ["queued", "loading", "running", "decoding"].includes(v.state);
      part("phase").textContent = busy && v.stopping ? say("stopping_step") : phase(v);
      part("aside").textContent = [
        v.state === "running" && !v.stopping ? minutesOrSeconds(v.left) : "",
        v.more ? say("waiting_more", { count: v.more }) : "",
      ].filter(Boolean).join(" · ");
      if (isChanged) root.dispatchEvent(new CustomEvent("stage-changed", { bubbles: true, detail }));
      const notes = tessera.notesOf(v).map((note) => make("li", "", note));
      if (v.untouched) {
        const { changed, outside } = v.untouched;
        const counts = { changed: changed.toLocaleString(), outside: outside.toLocaleString() };
        notes.push(make("li", "stage-untouched", say("untouched", counts)));
      }
      part("notes").replaceChildren(...notes);
    };

    // Stop is acknowledged here, before the server has heard of it.
    root.addEventListener("tessera-stopping", () => {
      if (!["queued", "loading", "running", "decoding"].includes(root.dataset.state)) return;
      root.classList.add("is-stopping");
      part("phase").textContent = say("stopping_step");
      part("aside").textContent = "";
    });
    root.addEventListener("stage-asked", () => {
      const detail = { state: root.dataset.state, value: props.value, isNew: false };
      root.dispatchEvent(new CustomEvent("stage-changed", { bubbles: true, detail }));
    });
    watch("value", draw);
    draw();
  };

  /** Acknowledge Stop on the stage called `id`. */
  tessera.stopping = (id) => document.querySelector(`#${id} .stage`)?.dispatchEvent(new Event("tessera-stopping"));

  /** Download the chosen picture of a stage's value. */
  tessera.download = (value) => {
    const picture = value?.pictures?.[value.chosen ?? 0];
    if (picture) make("a", "", "", { href: `${picture.url}?download`, download: "" }).click();
  };
})();
