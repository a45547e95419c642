// The shelf of pictures and the card of the chosen one. Words go in as text, never as markup.
"use strict";
(() => {
  const { make, say } = tessera;

  tessera.shelf = (element, props, trigger, watch) => {
    const shelf = element.querySelector(".shelf"), more = element.querySelector(".shelf-more");
    more.textContent = say("more");
    more.addEventListener("click", () => trigger("more", {}));
    let chosen = null;

    const choose = (id) => {
      chosen = id;
      for (const it of shelf.children) {
        const mine = it.dataset.id === id;
        it.setAttribute("aria-selected", mine);
        if (mine) it.scrollIntoView({ block: "nearest" });
      }
      trigger("choose", { id });
    };

    const neighbour = (steps) => {
      const ids = (props.value?.pictures ?? []).map((it) => it.id);
      return ids[Math.min(ids.length - 1, Math.max(0, ids.indexOf(chosen) + steps))];
    };

    const perRow = () => {
      const tops = [...shelf.children].map((it) => it.offsetTop);
      return Math.max(1, tops.filter((top) => top === tops[0]).length);
    };

    const move = (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow(), ArrowDown: perRow() }[event.key];
      if (!steps) return false;
      event.preventDefault();
      const id = neighbour(steps);
      if (id && id !== chosen) choose(id);
      return true;
    };

    const enlarge = () => {
      const picture = () => props.value.pictures.find((it) => it.id === chosen);
      if (!picture()) return;
      const dialog = make("dialog", "stage-dialog");
      const image = make("img", "", "", { src: picture().url, alt: picture().alt });
      dialog.append(image);
      dialog.setAttribute("aria-label", say("enlarge"));
      dialog.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => (dialog.remove(), shelf.focus()));
      dialog.addEventListener("keydown", (event) => {
        if (move(event)) Object.assign(image, { src: picture().url, alt: picture().alt });
      });
      document.body.append(dialog);
      dialog.showModal();
    };

    shelf.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.ctrlKey) enlarge();
      else move(event);
    });

    const draw = () => {
      const { pictures = [], next = null, empty = "gallery_empty" } = props.value ?? {};
      more.hidden = !next;
      if (!pictures.length) {
        const box = make("div", "shelf-empty");
        box.append(make("strong", "", say(empty)), make("p", "", say(`${empty}_hint`)));
        shelf.replaceChildren(box);
        return;
      }
      shelf.replaceChildren(...pictures.map((it) => {
        const tile = make("div", "shelf-tile", "", { title: it.alt });
        tile.setAttribute("role", "option");
        tile.setAttribute("aria-label", it.alt);
        tile.setAttribute("aria-selected", it.id === chosen);
        tile.dataset.id = it.id;
        tile.append(make("img", "", "", { src: it.thumbnail, alt: "", loading: "lazy" }));
        if (it.starred) tile.append(make("span", "shelf-star", "★", { title: say("starred") }));
        tile.addEventListener("click", () => (shelf.focus({ preventScroll: true }), choose(it.id)));
        tile.addEventListener("dblclick", enlarge);
        return tile;
      }));
    };
    watch("value", draw);
    draw();
    element.addEventListener("tessera-enlarge", enlarge);
  };

  tessera.card = (element, props, _trigger, watch) => {
    const draw = () => {
      const it = props.value;
      const card = make("article", "card");
      element.replaceChildren(card);
      if (!it) {
        card.append(make("p", "card-empty", say("gallery_pick")));
        return;
      }
      const image = make("img", "card-picture", "", { src: it.url, alt: it.alt });
      image.addEventListener("click", () => document.querySelector("#shelf .shelf").parentElement.dispatchEvent(new Event("tessera-enlarge")));
      const list = make("dl", "card-rows");
      const row = (key, value) => list.append(make("dt", "", say(key)), make("dd", "", value));
      if (it.negative_prompt) row("field_negative_prompt", it.negative_prompt);
      for (const [key, value] of it.rows) row(key, value);
      row("made", new Date(it.made).toLocaleString(navigator.language, { dateStyle: "medium", timeStyle: "short" }));
      card.append(image, make("p", "card-prompt", it.prompt), list);
    };
    watch("value", draw);
    draw();
  };
})();
