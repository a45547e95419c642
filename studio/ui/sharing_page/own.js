// A guest's own pictures: look at them large, save them. Words go in as text, never as markup.
"use strict";
(() => {
  const { make, say } = tessera;

  tessera.own = (element) => {
    const hint = make("p", "own-hint", say("own_save_hint")), grid = make("div", "own-grid");
    const more = make("button", "share-button own-more", say("more"), { type: "button" });
    element.replaceChildren(hint, grid, more);
    let next = null;

    const tile = (it) => {
      const figure = make("figure", "own-tile");
      const view = make("button", "own-view", "", { type: "button", title: it.alt });
      view.append(make("img", "", "", { src: `/${it.thumbnail}`, alt: it.alt, loading: "lazy" }));
      view.addEventListener("click", () => {
        const dialog = make("dialog", "stage-dialog");
        dialog.append(make("img", "", "", { src: `/${it.url}`, alt: it.alt }));
        dialog.addEventListener("click", () => dialog.close());
        dialog.addEventListener("close", () => dialog.remove());
        document.body.append(dialog);
        dialog.showModal();
      });
      const caption = make("figcaption", "");
      caption.append(make("span", "own-words", it.alt, { title: it.alt }), make("a", "share-button", say("own_save"), { href: `/${it.url}?download`, download: "" }));
      figure.append(view, caption);
      return figure;
    };

    const load = async (before) => {
      const answer = await fetch(`/studio/gallery/pictures?limit=60${before ? `&before=${encodeURIComponent(before)}` : ""}`);
      if (!answer.ok) return;
      const page = await answer.json();
      if (!before) grid.replaceChildren();
      grid.append(...page.pictures.map(tile));
      next = page.next;
      more.hidden = !next;
      hint.hidden = !grid.childElementCount;
      if (grid.childElementCount) return;
      const box = make("div", "shelf-empty");
      box.append(make("strong", "", say("own_empty")), make("p", "", say("own_empty_hint")));
      grid.append(box);
    };
    more.addEventListener("click", () => load(next));
    new IntersectionObserver((seen) => seen.some((it) => it.isIntersecting) && load(null)).observe(element);
    load(null);
  };

  tessera.guestNotice = (element) => element.replaceChildren(make("p", "guest-notice", say("guest_notice")));
})();
