// The picture on the desk, as the page knows it: what the studio's server is told, and what comes back.
//
// Calls go out one after the other, so that edits arrive in the order they were made. Dabs of a running stroke are
// gathered while one is under way: the next request carries all of them. When the server no longer has the picture
// (a restart, a full desk), it is rebuilt from its start map and operations, and the call is made again.

import { keep } from "../canvas/keep.js";
import { call, post } from "../canvas/server.js";

const KEPT = "codebook";
const SETTLE_MS = 220;

/** Decode base64 little-endian int32. */
export function int32(text) {
  return new Int32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

/** Split an edit's answer into its head and its pixels. */
async function readChange(response) {
  const buffer = await response.arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { ...head, rgb: new Uint8Array(buffer, 4 + length) };
}

export class Desk {
  /** `canvas` is a TokenCanvas; `on.change()` after every edit, `on.failure(error)` when one did not work. */
  constructor(canvas, on) {
    this.canvas = canvas;
    this.on = on;
    this.model = "";
    this.document = null;
    this.operations = [];
    this.undone = [];
    this.revision = 0;
    this.laid = 0; // how many pictures were put on the desk
    this.chain = Promise.resolve();
    this.gathered = new Map();
    this.isDabbing = false;
    this.timer = 0;
  }

  get isOpen() {
    return this.document !== null;
  }

  /** Open something: {input | example | record | text, side}. */
  async open(asked) {
    const response = await post("codes/open", { model: this.model, ...asked });
    this.operations = [];
    this.undone = [];
    await this.#lay(await response.json());
    await this.#keep();
    return this.document.notes;
  }

  /** Open what was kept in this browser: {model, start, operations, source}. */
  async reopen(work) {
    this.model = work.model;
    this.operations = work.operations;
    this.undone = [];
    await this.#lay(await this.#rebuilt(work));
  }

  /** Show a touch of the brush at once. */
  dab(cells, code) {
    for (const cell of cells) this.gathered.set(cell, code);
    if (this.isDabbing) return;
    this.isDabbing = true;
    this.#queue(async () => {
      this.isDabbing = false;
      await this.#sendDabs();
    });
  }

  /** Apply and record an operation. Returns whether it changed anything. */
  do(operation) {
    return this.#queue(async () => {
      await this.#sendDabs(); // what the brush touched last belongs to this stroke
      const change = await this.#change("do", { operation });
      if (change.operation) {
        this.operations.push(change.operation);
        this.undone = [];
      }
      this.on.change();
      if (change.operation) await this.#keep();
      return Boolean(change.operation);
    });
  }

  undo() {
    return this.#queue(async () => {
      if (!this.operations.length) return;
      await this.#change("undo", {});
      this.undone.push(this.operations.pop());
      this.on.change();
      await this.#keep();
    });
  }

  redo() {
    return this.#queue(async () => {
      if (!this.undone.length) return;
      await this.#change("redo", {});
      this.operations.push(this.undone.pop());
      this.on.change();
      await this.#keep();
    });
  }

  /** Give up a running stroke: the picture goes back to what is recorded. */
  abandon() {
    this.gathered.clear();
    return this.settle();
  }

  /** Have the exact picture. */
  settle() {
    return this.#queue(() => this.#change("settle", {}));
  }

  /** Call a route of this document when all edits are in; rebuilds the document where the server lost it. */
  ask(path, options = {}) {
    return this.#queue(() => this.#call(path, options));
  }

  // -- inside ------------------------------------------------------------------------------------------------

  #queue(action) {
    const result = this.chain.then(action);
    this.chain = result.catch(() => {});
    return result.catch((error) => {
      this.on.failure(error);
      throw error;
    });
  }

  async #sendDabs() {
    if (!this.gathered.size) return;
    const touched = this.gathered;
    this.gathered = new Map();
    try {
      await this.#change("dab", { cells: [...touched.keys()], codes: [...touched.values()] });
    } finally {
      this.canvas.settled(touched.keys());
    }
  }

  async #change(name, body) {
    clearTimeout(this.timer);
    let change;
    try {
      change = await readChange(await this.#call(name, { method: "POST", body: JSON.stringify(body) }));
    } catch (error) {
      if (name === "do") await this.#restore();
      throw error;
    }
    this.revision++;
    if (change.cells.length) this.canvas.putCodes(change.cells, change.codes);
    if (change.box) this.canvas.putPatch(change.box, change.rgb);
    if (!change.exact && name !== "dab") this.timer = setTimeout(() => this.settle().catch(() => {}), SETTLE_MS);
    if (name === "settle") this.on.change(); // the others say so once they have recorded it
    return change;
  }

  /** After an operation that was refused, show what is recorded. */
  async #restore() {
    const change = await readChange(await this.#call("settle", { method: "POST", body: "{}" }));
    this.canvas.putCodes(change.cells, change.codes);
    this.canvas.putPatch(change.box, change.rgb);
  }

  async #call(path, options) {
    const headers = options.body ? { "Content-Type": "application/json" } : {};
    const go = () => call(`codes/${this.document.document}/${path}`, { headers, ...options });
    try {
      return await go();
    } catch (error) {
      if (error.status !== 404) throw error;
      const { document } = await this.#rebuilt({
        model: this.model, start: this.document.start, operations: this.operations, source: this.document.source,
      });
      this.document.document = document;
      return go();
    }
  }

  async #rebuilt({ model, start, operations, source }) {
    return (await post("codes/open", { model, start, operations, input: source ?? undefined })).json();
  }

  async #lay(opened) {
    this.document = opened;
    this.laid++;
    this.gathered.clear();
    this.revision++;
    this.canvas.open({ ...opened, codes: int32(opened.codes) });
    await this.settle();
  }

  async #keep() {
    const { start, source } = this.document;
    await keep(KEPT, { model: this.model, start, source, operations: this.operations });
  }
}

export { KEPT };
