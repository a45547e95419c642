// The pictures that have lain on the canvas, in their order, each with its mask and its own undo list: what an accepted
// candidate is added to, and what "undo, back to the first" walks. All of it is kept in this browser.

import { make } from "./dom.js";
import { History } from "./history.js";
import { forget, keep, kept } from "./keep.js";
import { getMask, getPicture, putPicture } from "./server.js";
import { say } from "./words.js";

const FORMAT = 1;
const LIMIT = 24;
const THUMB = 64;

/**
 * One version: {ref, mask, thumb, history, packed}. `mask` is the PNG Blob of its mask or null, `thumb` a small WebP,
 * `packed` its mask in memory while another version lies on the canvas (undefined after a reload: `mask` has it).
 */
export class Versions {
  /** `name` keeps them apart from other canvases'; `ongo(place)` when the artist chooses one in the strip. */
  constructor(name, ongo) {
    this.name = name;
    this.list = [];
    this.at = -1;
    this.known = new Set(); // whose pictures this browser keeps
    this.element = make("div", { class: "sc-versions", role: "group", "aria-label": say("Earlier pictures"), hidden: true });
    this.ongo = ongo;
  }

  get current() {
    return this.list[this.at];
  }

  get hasEarlier() {
    return this.at > 0;
  }

  get hasLater() {
    return this.at < this.list.length - 1;
  }

  /**
   * Add a picture after the current one, whose mask `aside()` packs; those after that are let go, the first one always
   * stays. Returns false where this browser keeps nothing.
   */
  async add(ref, { blob, bitmap }, aside) {
    const thumb = await thumbnail(bitmap);
    const isKept = await keep(this.#pictureKey(ref), blob);
    if (this.current) this.current.packed = aside();
    this.list.splice(this.at + 1);
    this.list.push({ ref, mask: null, thumb, history: new History() });
    if (this.list.length > LIMIT) this.list.splice(1, 1);
    this.at = this.list.length - 1;
    this.#draw();
    this.#forgetOthers();
    return isKept;
  }

  /** Make the version at `place` the current one; `aside` is the packed mask of the one that was. */
  go(place, aside) {
    this.current.packed = aside;
    this.at = place;
    this.#draw();
  }

  /** The picture and the mask of a version; the studio may have forgotten them, this browser has not. */
  async recall({ ref, mask, packed }) {
    let picture;
    try {
      picture = await getPicture(ref);
    } catch (error) {
      const blob = error.status === 404 ? await kept(this.#pictureKey(ref)) : null;
      if (!blob) throw error;
      picture = await getPicture((await putPicture(blob)).ref);
    }
    if (packed || !mask) return { picture, data: null };
    return { picture, data: (await getMask((await putPicture(mask, "mask")).ref, picture.bitmap)).data };
  }

  /** Keep the order and the masks, `mask` (a PNG Blob or null) for the current picture; false where nothing is kept. */
  save(mask) {
    this.current.mask = mask;
    const versions = this.list.map(({ ref, mask, thumb }) => ({ ref, mask, thumb }));
    return keep(this.name, { format: FORMAT, at: this.at, versions });
  }

  /** Take up what was kept; false when there is nothing. */
  async restore() {
    const work = await kept(this.name);
    if (work?.format !== FORMAT || !work.versions[work.at]) return false;
    this.list = work.versions.map((version) => ({ ...version, history: new History() }));
    this.at = work.at;
    this.known = new Set(this.list.map((version) => version.ref));
    this.#draw();
    return true;
  }

  /** Begin anew with nothing. */
  reset() {
    this.list = [];
    this.at = -1;
    this.#draw();
  }

  #pictureKey(ref) {
    return `${this.name}/${ref}`;
  }

  /** Delete the kept pictures that no version needs any more. */
  async #forgetOthers() {
    const now = new Set(this.list.map((version) => version.ref));
    for (const ref of this.known) if (!now.has(ref)) await forget(this.#pictureKey(ref));
    this.known = now;
  }

  #draw() {
    for (const image of this.element.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.element.hidden = this.list.length < 2;
    this.element.replaceChildren(
      ...this.list.map((version, place) => {
        const label = place ? `${say("Picture")} ${place + 1}` : say("The first picture");
        const button = make("button", { type: "button", "aria-label": label, title: label, onclick: () => this.ongo(place) });
        if (place === this.at) button.setAttribute("aria-current", "true");
        button.append(make("img", { src: URL.createObjectURL(version.thumb), alt: "" }));
        return button;
      }),
    );
    const current = this.element.querySelector("[aria-current]");
    if (current) this.element.scrollLeft = current.offsetLeft - this.element.clientWidth / 2; // never scrolls the page
  }
}

function thumbnail(bitmap) {
  const scale = THUMB / Math.min(bitmap.width, bitmap.height);
  const canvas = new OffscreenCanvas(THUMB, THUMB);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (THUMB - width) / 2, (THUMB - height) / 2, width, height);
  return canvas.convertToBlob({ type: "image/webp", quality: 0.8 });
}
