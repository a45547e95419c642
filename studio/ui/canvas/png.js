// Grey 8-bit PNG files, written byte for byte: browsers that add noise to canvas read-back cannot touch a mask.
// Source: PNG specification, third edition (W3C 2025), sections 5 and 9; zlib streams from CompressionStream.

const CRC = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let c = 0xffffffff;
  for (const b of bytes) c = CRC[(c ^ b) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(type, body) {
  const out = new Uint8Array(12 + body.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(body, 8);
  view.setUint32(8 + body.length, crc32(out.subarray(4, 8 + body.length)));
  return out;
}

/** Return a PNG Blob of `width` x `height` grey bytes. */
export async function encodeGrey(data, width, height) {
  const rows = new Uint8Array((width + 1) * height); // filter type 0 before each row
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits; colour type 0 is grey
  const signature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const body = new Uint8Array(await new Response(packed).arrayBuffer());
  return new Blob([signature, chunk("IHDR", header), chunk("IDAT", body), chunk("IEND", new Uint8Array())], {
    type: "image/png",
  });
}
