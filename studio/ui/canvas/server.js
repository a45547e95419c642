// Requests to the studio's own routes. Failures become one Error whose message is fit to show.

import { say, told } from "./words.js";

const base = () => new URL("studio/", document.baseURI);

/** fetch a route below studio/; throws an Error with the server's own words. `error.status` is the HTTP status. */
export async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(new URL(path, base()), { credentials: "same-origin", ...options });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new Error(say("The studio does not answer. Is it still running?"), { cause });
  }
  if (response.ok) return response;
  const error = new Error(await explanation(response));
  error.status = response.status;
  throw error;
}

async function explanation(response) {
  try {
    const error = await response.json();
    if (error.message) return told(error);
  } catch {
    // Not one of our own answers: fall through to the plain sentence.
  }
  return `${say("That did not work")} (${response.status}).`;
}

export const getJson = async (path) => (await call(path)).json();

/** POST a JSON body; returns the Response. */
export function post(path, body, options = {}) {
  return call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });
}

/** Hand a picture file to the studio; returns {ref, width, height, notes}. */
export async function putPicture(blob, purpose = "picture") {
  const response = await call(`inputs?purpose=${purpose}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: blob,
  });
  return response.json();
}

/** Fetch a kept picture, with its exact pixels; returns {bitmap, blob}. */
export async function getPicture(ref) {
  const blob = await (await call(`inputs/${ref}`)).blob();
  return { blob, bitmap: await createImageBitmap(blob, { colorSpaceConversion: "none" }) };
}

/** Fetch a kept picture as a mask for a picture of `size` {width, height}; returns its bytes, and what was converted. */
export async function getMask(ref, { width, height }) {
  const response = await call(`inputs/${ref}/mask?width=${width}&height=${height}`);
  const note = decodeURIComponent(response.headers.get("X-Note") ?? "");
  return { data: new Uint8Array(await response.arrayBuffer()), note };
}
