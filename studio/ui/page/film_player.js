// Plays the film that a job of the tab wrote.
"use strict";
(() => {
  const { make, say } = tessera;
  tessera.filmPlayer = (element, props) => {
    const root = element.querySelector(".film-player");
    const tab = root.dataset.tab;
    document.getElementById(`${tab}-stage`)?.addEventListener("stage-changed", (event) => {
      const v = event.detail.value;
      if (v?.state !== "finished" || !v.file) return root.replaceChildren();
      const url = `studio/timelapses/${v.job}`;
      const shown = v.file === "mp4"
        ? make("video", "", "", { src: url, controls: true, loop: true, autoplay: true, muted: true, playsInline: true })
        : make("img", "", "", { src: url, alt: "" });
      root.replaceChildren(shown, make("a", "film-player-link", say("walk_download"), { href: url, download: "" }));
    });
  };
})();
