// What is being worked on, kept in this browser (IndexedDB) so that a reload loses nothing.
// Private windows may refuse storage: then work goes on unkept, and `keep` says so once by returning false.

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

export async function keep(key, value) {
  try {
    await transact("readwrite", (store) => store.put(value, key));
    return true;
  } catch {
    return false;
  }
}

export async function kept(key) {
  try {
    return (await transact("readonly", (store) => store.get(key))) ?? null;
  } catch {
    return null;
  }
}

export async function forget(key) {
  try {
    await transact("readwrite", (store) => store.delete(key));
  } catch {
    // Nothing was kept, so there is nothing to forget.
  }
}
