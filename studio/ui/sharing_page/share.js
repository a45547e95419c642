// The owner's share: a button in the header, a bar while others may come in, and a panel to manage it.
"use strict";
(() => {
  const { make, say } = tessera;
  const KINDS = ["public", "network", "local"];

  const ask = async (path = "", options = {}) => {
    const answer = await fetch(`/studio/share${path}`, options);
    const said = await answer.json();
    if (!answer.ok) throw new Error(tessera.toldInOne(said));
    return said;
  };
  const post = (path, body) =>
    ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const remove = (path) => ask(path, { method: "DELETE" });

  const button = (text, act, className = "share-button") => {
    const made = make("button", className, text, { type: "button" });
    made.addEventListener("click", () => act(made));
    return made;
  };
  const copy = async (text, near) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = make("textarea", "", "", { value: text }); // over plain HTTP there is no clipboard to ask
    near.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  };
  const copier = (text, title, hint = "") => {
    const made = button(title, async () => {
      await copy(text, made.parentElement);
      made.textContent = say("share_copied");
      setTimeout(() => (made.textContent = title), 1500);
    });
    made.title = hint;
    return made;
  };
  const left = (seconds) => {
    const all = Math.ceil(seconds / 60), hours = Math.floor(all / 60);
    return say(hours ? "share_ends_hours" : "share_ends_minutes", { hours, minutes: all % 60 });
  };
  const present = (guests) => {
    const count = guests.filter((it) => it.here).length;
    return say(count === 0 ? "share_nobody" : count === 1 ? "share_one" : "share_some", { count });
  };
  const invitation = (state, link) => `${link}/enter#${encodeURIComponent(state.passphrase)}`;
  const heading = (key) => make("h3", "", say(key));

  tessera.share = (element) => {
    const panel = make("dialog", "share-panel");
    panel.setAttribute("aria-label", say("share_title"));
    panel.addEventListener("click", (event) => event.target === panel && panel.close());
    panel.addEventListener("close", () => panel.querySelector("[data-sure]")?.removeAttribute("data-sure"));
    document.body.append(panel);
    let state = { open: false, shows: [], collections: [] }, problem = "", timer = 0;

    const act = async (promise, pressed = null) => {
      if (pressed) Object.assign(pressed, { disabled: true, textContent: say("share_opening") });
      try {
        state = await promise;
        problem = "";
      } catch (error) {
        problem = error.message;
      }
      draw();
    };

    const bar = () => {
      element.replaceChildren();
      if (!state.open) return;
      const row = make("div", "share-bar");
      row.setAttribute("role", "status");
      const link = state.links.public ?? state.links.network ?? state.links.local;
      row.append(
        make("strong", "", say("share_on")),
        make("span", "share-bar-link", link.replace(/^https?:\/\//, "")),
        make("span", "share-bar-words", state.passphrase, { title: say("share_passphrase") }),
        make("span", "", present(state.guests)),
        make("span", "share-bar-left", left(state.seconds_left)),
        button(say("share_manage"), show, "share-button share-bar-manage"),
      );
      element.append(row);
    };

    const choice = (kind) => {
      const made = button("", (it) => act(post("", { public: kind === "public", network: kind === "network" }), it), "share-choice");
      // says: share_public share_public_hint share_network share_network_hint
      made.append(make("strong", "", say(`share_${kind}`)), make("span", "", say(`share_${kind}_hint`)));
      return made;
    };

    const closed = () => {
      const choices = make("div", "share-choices");
      choices.append(choice("public"), choice("network"));
      return [make("p", "share-quiet", say("share_intro")), choices];
    };

    const links = () => {
      const block = make("section", "share-links"), words = make("div", "share-rows");
      const kinds = KINDS.filter((kind) => state.links[kind]);
      for (const kind of kinds) {
        const row = make("div", "share-row");
        // says: share_public share_network share_local
        row.append(make("span", "share-label", say(`share_${kind}`)), make("code", "", state.links[kind]), copier(state.links[kind], say("share_copy")));
        words.append(row);
      }
      const secret = make("div", "share-row");
      secret.append(make("span", "share-label", say("share_passphrase")), make("code", "", state.passphrase), copier(state.passphrase, say("share_copy")));
      words.append(secret);
      const more = make("div", "share-more");
      const best = state.links[kinds[0]];
      more.append(copier(invitation(state, best), say("share_invitation"), say("share_invitation_hint")));
      const { public: outside, network } = state.links;
      if (!network) more.append(button(say("share_also_network"), (it) => act(post("", { public: Boolean(outside), network: true }), it)));
      if (!outside) more.append(button(say("share_also_public"), (it) => act(post("", { public: true, network: Boolean(network) }), it)));
      words.append(more);
      if (kinds[0] !== "local") {
        block.append(make("img", "share-qr", "", { src: `/studio/share/qr/${kinds[0]}.svg?${encodeURIComponent(best)}`, alt: say("share_qr") }));
      }
      block.append(words);
      return block;
    };

    const guests = () => {
      const list = make("ul", "share-list");
      for (const guest of state.guests) {
        const item = make("li", "share-row"), words = make("div", "share-guest");
        const [job] = guest.jobs;
        words.append(
          make("strong", "", say("share_guest", guest)),
          make("span", guest.here ? "share-here" : "share-quiet", say(guest.here ? "share_guest_here" : "share_guest_away")),
          make("span", "share-quiet", say("share_guest_since", guest)),
        );
        if (job) {
          const prompt = job.prompt || say("share_job_untitled");
          words.append(make("p", "share-quiet", say(job.waiting ? "share_job_waiting" : "share_job_running", { prompt })));
        }
        item.append(words, button(say("share_end_guest"), () => act(remove(`/guests/${guest.id}`))));
        list.append(item);
      }
      return [heading("share_guests"), state.guests.length ? list : make("p", "share-quiet", say("share_guests_none"))];
    };

    const shows = () => {
      const block = make("section", "share-shows"), list = make("ul", "share-list");
      const base = state.open ? (state.links.public ?? state.links.network ?? state.links.local) : "";
      for (const it of state.shows) {
        const item = make("li", "share-row");
        item.append(make("span", "share-label", it.collection));
        item.append(base ? make("code", "", base + it.path) : make("span", "share-quiet", say("share_show_closed")));
        if (base) item.append(copier(base + it.path, say("share_copy")));
        item.append(button(say("share_show_remove"), () => act(remove(`/shows/${it.id}`))));
        list.append(item);
      }
      block.append(heading("share_shows"), make("p", "share-quiet", say("share_shows_hint")), list);
      if (!state.collections.length) {
        block.append(make("p", "share-quiet", say("share_shows_none")));
        return block;
      }
      const form = make("div", "share-row"), select = make("select", "share-select");
      select.setAttribute("aria-label", say("share_shows"));
      select.append(...state.collections.map((name) => make("option", "", name, { value: name })));
      const recipes = make("input", "", "", { type: "checkbox" }), label = make("label", "share-check");
      label.append(recipes, make("span", "", say("share_show_recipes")));
      form.append(select, label, button(say("share_show_make"), () => act(post("/shows", { collection: select.value, recipes: recipes.checked }))));
      block.append(form);
      return block;
    };

    const ending = () => {
      const row = make("div", "share-foot");
      row.append(make("span", "share-quiet", left(state.seconds_left)));
      const end = button(say("share_end"), () => {
        if (end.dataset.sure) {
          delete end.dataset.sure; // or nothing would be drawn any more
          return act(remove(""));
        }
        end.dataset.sure = "yes";
        end.textContent = say("share_end_sure");
      }, "share-button share-end");
      row.append(end);
      return row;
    };

    const fill = () => {
      const busy = panel.contains(document.activeElement) && ["SELECT", "INPUT"].includes(document.activeElement.tagName);
      if (busy || panel.querySelector("[data-sure]")) return; // do not pull a control from under a hand
      const top = make("div", "share-top");
      top.append(make("h2", "", say("share_title")), button("×", () => panel.close(), "share-close"));
      top.lastChild.setAttribute("aria-label", say("close"));
      const parts = [top];
      for (const text of new Set([problem, state.problem].filter(Boolean))) parts.push(make("p", "notice", text, { role: "alert" }));
      parts.push(...(state.open ? [links(), ...guests()] : closed()), shows());
      if (state.open) parts.push(ending());
      panel.replaceChildren(...parts);
    };

    const draw = () => (bar(), panel.open && fill());
    const show = () => {
      if (!panel.open) panel.showModal();
      fill();
      look();
    };
    const look = async () => {
      clearTimeout(timer);
      if (!document.hidden) {
        try {
          state = await ask();
        } catch {
          // the header says when the studio does not answer
        }
        draw();
      }
      timer = setTimeout(look, panel.open ? 3000 : state.open ? 6000 : 30000);
    };

    const opener = button(say("share"), show, "share-open");
    document.querySelector(".studio-theme").before(opener);
    look();
  };
})();
