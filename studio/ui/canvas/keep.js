// What is being worked on, kept in this browser (IndexedDB) so that a reload loses nothing. What is plain JSON goes to
// the server as well (page/drafts.js), for private windows and browsers that clear their storage; pictures are there
// already, under their content hash. Where neither is to be had, `keep` returns false.

const NAME = "tessera-studio";

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("work");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function transact(mode, action) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const request = action(database.transaction("work", mode).objectStore("work"));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } finally {
    database.close();
  }
}

const isPlain = (it) =>
  it === null || typeof it !== "object"
  || (Array.isArray(it) ? it.every(isPlain) : Object.getPrototypeOf(it) === Object.prototype && Object.values(it).every(isPlain));

const onServer = (key) => `work-${key}`;

export async function keep(key, value) {
  const drafts = window.tessera?.drafts;
  if (drafts && isPlain(value)) drafts.put(onServer(key), value);
  try {
    await transact("readwrite", (store) => store.put(value, key));
    return true;
  } catch {
    return false;
  }
}

export async function kept(key) {
  let here = null;
  try {
    here = await transact("readonly", (store) => store.get(key));
  } catch {
    // The browser keeps nothing: the server may.
  }
  return here ?? (await window.tessera?.drafts?.find(onServer(key))) ?? null;
}

export async function forget(key) {
  try {
    await transact("readwrite", (store) => store.delete(key));
  } catch {
    // Nothing was kept, so there is nothing to forget.
  }
}

/** Small settings under `key`, across reloads; {} where there are none. */
export function remembered(key) {
  try {
    return JSON.parse(localStorage.getItem(`${NAME}-${key}`) ?? "{}");
  } catch {
    return {}; // storage is refused or holds something else: begin with the defaults
  }
}

export function remember(key, settings) {
  try {
    localStorage.setItem(`${NAME}-${key}`, JSON.stringify(settings));
  } catch {
    // Storage is refused: the settings last as long as the page.
  }
}
