// The "From gallery" button, as `studio.ui.picker` lays it out; the dialog is loaded when it is first asked for.
"use strict";
tessera.picker = (element, props, trigger) => {
  const style = new URL("studio/static/gallery_page/gallery.css", document.baseURI).href;
  if (![...document.querySelectorAll("link[rel=stylesheet]")].some((link) => link.href === style)) {
    document.head.append(tessera.make("link", "", "", { rel: "stylesheet", href: style }));
  }
  const button = element.querySelector("button");
  button.textContent = tessera.say(props.value);
  button.addEventListener("click", async () => {
    const { pickPicture } = await import(new URL("studio/static/gallery_page/picker.js", document.baseURI).href);
    const picked = await pickPicture();
    if (picked) trigger("pick", { id: picked.id });
  });
};
