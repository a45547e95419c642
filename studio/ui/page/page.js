// What every part of the page shares: its language, its keys, and the small pieces (header, chips, notice).
"use strict";
window.tessera = window.tessera || {};

(() => {
  const language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";

  /** The text `key` in the reader's language, with {name} filled in from `values`. */
  tessera.say = (key, values = {}) =>
    (tessera.texts[language][key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

  /** What an error says in the reader's language: {message, hint}, both in Chinese where the studio knows the words. */
  tessera.told = (error) => (language === "zh" && error.zh) || error;

  /** What a result says of itself, in the reader's language where the studio knows the words. */
  tessera.notesOf = (value) => (language === "zh" && value.notes_zh) || value.notes || [];

  /** The same in one line. */
  tessera.toldInOne = (error) => [tessera.told(error).message, tessera.told(error).hint].filter(Boolean).join(" ");

  /** A new element with a class, text and properties. */
  tessera.make = (tag, className = "", text = "", properties = {}) => {
    const made = Object.assign(document.createElement(tag), properties);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  };

  // Gradio says there what the browser prefers, whatever the page is written in.
  const written = language === "zh" ? navigator.language : "en";
  const nameLanguage = () => document.documentElement.lang !== written && (document.documentElement.lang = written);
  new MutationObserver(nameLanguage).observe(document.documentElement, { attributeFilter: ["lang"] });
  nameLanguage();

  const AT_WORK = ["queued", "loading", "running", "decoding"].map((it) => `.stage[data-state="${it}"]`).join();

  const setDark = (dark) => document.body.classList.toggle("dark", dark);
  const stored = localStorage.getItem("tessera-look");
  if (stored) setDark(stored === "dark");

  tessera.header = (element) => {
    const button = element.querySelector(".studio-theme");
    const status = element.querySelector(".studio-status");
    const notice = element.querySelector(".studio-notice");
    const label = () => {
      const dark = document.body.classList.contains("dark");
      button.textContent = dark ? "☀" : "☾";
      button.title = tessera.say(dark ? "light" : "dark");
      button.setAttribute("aria-label", button.title);
    };
    button.addEventListener("click", () => {
      setDark(!document.body.classList.contains("dark"));
      localStorage.setItem("tessera-look", document.body.classList.contains("dark") ? "dark" : "light");
      label();
    });
    if (stored) setDark(stored === "dark");
    label();

    let engine = "", start = "";
    const showStatus = () => {
      const works = document.querySelector(AT_WORK);
      status.textContent = status.title = engine || tessera.say(works ? "at_work" : "ready");
      status.dataset.busy = engine || works ? "yes" : "no";
    };
    document.addEventListener("stage-changed", showStatus);

    const ask = async () => {
      let pause = 10000;
      try {
        const said = await fetch("/studio/status");
        if (said.status === 401) return location.reload(); // the share has ended, or the key was changed
        const answer = await said.json();
        if (start && answer.start !== start) return location.reload(); // what this page waits for is told to nobody now
        start = answer.start;
        engine = answer.busy_with;
        showStatus();
        notice.textContent = answer.notice;
        notice.hidden = !answer.notice;
        if (answer.busy_with) pause = 700;
      } catch {
        status.textContent = "";
        notice.textContent = tessera.say("connection_lost");
        notice.hidden = false;
        pause = 2000;
      }
      setTimeout(ask, document.hidden ? Math.max(pause, 10000) : pause);
    };
    ask();
  };

  const setText = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;

  /** Write `text` into a Gradio text box, as if it had been typed. */
  tessera.typed = (box, text) => {
    setText.call(box, text);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

  /** `prompt` with `word` as one of its comma-separated parts, or without it when it is there already. */
  const toggled = (prompt, word) => {
    const parts = prompt.split(",").map((part) => part.trim()).filter(Boolean);
    const others = parts.filter((part) => part.toLowerCase() !== word.toLowerCase());
    return (others.length < parts.length ? others : [...parts, word]).join(", ");
  };

  /** A row of words; a click makes a prompt of the one there is and the word, at once: no click waits for the server. */
  const chips = (made) => (element, props, _trigger, watch) => {
    const choose = (word) => {
      const prompt = document.querySelector("#prompt textarea");
      tessera.typed(prompt, made(prompt.value, word));
    };
    const draw = () => {
      const { title, words } = props.value ?? { title: "", words: [] };
      const row = tessera.make("div", "chips");
      if (words.length) row.append(tessera.make("span", "chips-title", tessera.say(title)));
      for (const word of words) {
        const chip = tessera.make("button", "chip", word, { type: "button" });
        chip.addEventListener("click", () => choose(word));
        row.append(chip);
      }
      element.replaceChildren(row);
    };
    watch("value", draw);
    draw();
  };
  tessera.wordChips = chips(toggled);
  tessera.exampleChips = chips((_prompt, example) => example);

  /** A line of fixed text; its value is the text's key. */
  tessera.label = (element, props) => element.replaceChildren(tessera.make("span", "", tessera.say(props.value)));

  tessera.notice = (element, props, _trigger, watch) => {
    const draw = () => {
      element.replaceChildren();
      if (!props.value) return;
      const box = tessera.make("div", "notice", "", { role: "alert" });
      const { message, hint } = tessera.told(props.value);
      box.append(tessera.make("strong", "", message), tessera.make("p", "", hint));
      element.append(box);
    };
    watch("value", draw);
    draw();
  };

  const shown = (selector) => [...document.querySelectorAll(selector)].find((it) => it.offsetParent && !it.disabled);

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || document.querySelector("dialog[open]")) return;
    const button =
      event.key === "Enter" && (event.ctrlKey || event.metaKey) ? shown("button.key-generate")
      : event.key === "Escape" ? shown("button.key-stop")
      : null;
    if (button) {
      event.preventDefault();
      button.click();
    }
  }, true);
})();
