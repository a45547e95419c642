// Wells: where pictures are put, from a file, the clipboard, the shipped examples or the gallery. See wells.py.
// Words go in as text, never as markup.
"use strict";
(() => {
  const { make, say } = tessera;
  const at = (path) => new URL(`studio/${path}`, document.baseURI).href;
  const server = () => import(at("static/canvas/server.js"));

  const style = make("link", "", "", { rel: "stylesheet", href: at("static/page/wells.css") });
  document.head.append(style);

  /** Every well on the page, for pasting: the one under the pointer or in focus takes it, else the first empty one. */
  const wells = [];
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((it) => it.type.startsWith("image/"));
    const seen = wells.filter((it) => it.root.offsetParent);
    if (!file || !seen.length) return;
    const meant = seen.find((it) => it.root.matches(":hover, :focus-within")) ?? seen.find((it) => it.isEmpty());
    if (!meant) return;
    event.preventDefault();
    meant.take([file]);
  });

  tessera.well = (element, props, trigger, watch) => {
    const root = element.querySelector(".well");
    const { title, examples } = root.dataset, holds = Number(root.dataset.holds), weighs = root.dataset.weighs === "True";
    const inside = make("div", "well-inside"), offers = make("div", "well-offers");
    const note = make("p", "well-note", "", { hidden: true });
    note.setAttribute("role", "status");
    const chooser = make("input", "well-file", "", {
      type: "file", accept: "image/png,image/jpeg,image/webp", multiple: holds > 1, tabIndex: -1, hidden: true,
    });
    root.setAttribute("aria-label", say(title));
    root.append(make("span", "well-title", say(title)), inside, offers, note, chooser);

    const value = () => props.value ?? { pictures: [], palette: null };
    const set = (change) => {
      props.value = { ...value(), ...change };
      draw();
      trigger("change", {});
    };
    const tell = (words) => {
      note.textContent = words;
      note.hidden = !words;
    };

    /** Run `work`, showing that the well is busy, and say what went wrong. */
    const busy = async (work) => {
      root.classList.add("is-busy");
      tell("");
      try {
        await work();
      } catch (error) {
        tell(error.message);
      }
      root.classList.remove("is-busy");
    };

    const add = ({ ref, width, height, notes = [] }) => {
      const kept = holds > 1 ? value().pictures.filter((it) => it.ref !== ref) : [];
      if (kept.length >= holds) return tell(say("well_full", { count: holds }));
      set({ pictures: [...kept, { ref, width, height, weight: 50 }], palette: null });
      if (notes.length) tell(notes.join(" "));
    };
    const take = (files) => busy(async () => {
      for (const file of [...files].slice(0, holds)) add(await (await server()).putPicture(file));
    });
    const fetched = (path) => busy(async () => add(await (await (await server()).post(path, {})).json()));

    const fromGallery = () => busy(async () => {
      const { pickPicture } = await import(at("static/gallery_page/picker.js"));
      const picked = await pickPicture();
      if (picked) add(await (await (await server()).post(`inputs/of/${picked.id}`, {})).json());
    });

    const weightOf = (it) => {
      const weight = make("input", "well-weight", "", {
        type: "range", min: 0, max: 100, step: 5, value: it.weight ?? 50, title: say("well_weight"),
      });
      weight.setAttribute("aria-label", say("well_weight"));
      weight.addEventListener("change", () =>
        set({ pictures: value().pictures.map((other) => (other.ref === it.ref ? { ...other, weight: Number(weight.value) } : other)) }));
      return weight;
    };

    const tileOf = (it, many) => {
      const tile = make("figure", "well-tile");
      const remove = make("button", "well-remove", "×", { type: "button", title: say("well_remove") });
      remove.setAttribute("aria-label", say("well_remove"));
      remove.addEventListener("click", () => set({ pictures: value().pictures.filter((other) => other.ref !== it.ref) }));
      const image = make("img", "", "", { src: at(`inputs/${it.ref}`), alt: say(title) });
      image.addEventListener("error", () => tell(say("well_gone")));
      tile.append(image, remove);
      if (many && weighs) tile.append(weightOf(it));
      return tile;
    };

    /** The codes of a palette as a strip of their colours, each as wide as its share. */
    const stripOf = ({ colours = [], weights = [], codes = [], name = "" }) => {
      const strip = make("figure", "well-palette"), row = make("div", "well-strip");
      colours.slice(0, 60).forEach((colour, i) => {
        const part = make("i");
        part.style.background = colour;
        part.style.flexGrow = weights[i] ?? 1;
        row.append(part);
      });
      const remove = make("button", "well-remove", "×", { type: "button", title: say("well_remove") });
      remove.addEventListener("click", () => set({ palette: null }));
      strip.append(row, make("figcaption", "", say("well_palette", { count: codes.length, name })), remove);
      return strip;
    };

    const button = (words, onclick) => {
      const made = make("button", "well-button", words, { type: "button" });
      made.addEventListener("click", onclick);
      return made;
    };

    const draw = () => {
      const { pictures, palette } = value(), empty = !pictures.length && !palette;
      root.classList.toggle("is-empty", empty);
      root.classList.toggle("is-many", holds > 1);
      inside.replaceChildren(
        // says: style_content_empty style_references_empty train_pictures_empty create_control_picture_empty enhance_source_empty
        ...(empty ? [make("p", "well-empty", say(`${title}_empty`))] : pictures.map((it) => tileOf(it, pictures.length > 1))),
        ...(palette ? [stripOf(palette)] : []),
      );
    };

    offers.append(button(say("well_open"), () => chooser.click()), button(say("well_from_gallery"), fromGallery));
    for (const name of examples.split(" ").filter(Boolean)) {
      const offer = make("button", "well-example", "", { type: "button", title: name.replace(/^style-/, "").replaceAll("-", " ") });
      offer.append(make("img", "", "", { src: at(`examples/${name}`), alt: offer.title, loading: "lazy" }));
      offer.addEventListener("click", () => fetched(`inputs/example/${name}`));
      offers.append(offer);
    }
    inside.addEventListener("click", (event) => root.classList.contains("is-empty") && event.target.closest(".well-inside") && chooser.click());
    chooser.addEventListener("change", async () => {
      await take(chooser.files);
      chooser.value = "";
    });
    for (const name of ["dragenter", "dragover"]) {
      root.addEventListener(name, (event) => (event.preventDefault(), root.classList.add("is-over")));
    }
    for (const name of ["dragleave", "drop"]) root.addEventListener(name, () => root.classList.remove("is-over"));
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    });
    wells.push({ root, take, isEmpty: () => root.classList.contains("is-empty"), set });
    watch("value", draw);
    draw();
  };

  /** Put a palette {checksum, codes, weights, name, colours: ["#rrggbb", ...]} into the well that takes several pictures. */
  tessera.takePalette = (palette) => wells.find((it) => it.root.dataset.weighs === "True" && Number(it.root.dataset.holds) > 1)?.set({ pictures: [], palette });
})();
