// The two ways to listen: what to ask the server for, and how its bytes become 16-bit samples.

import { decodeMulaw } from "./g711.js";

/** PCM16 as the wire has it: little-endian, whole frames in each message. Answers (samples). */
function decodePcm16(bytes) {
  const view = new DataView(bytes);
  return Int16Array.from({ length: bytes.byteLength / 2 }, (_, i) => view.getInt16(2 * i, true));
}

export const LINES = {
  studio: { encoding: "pcm16", rateHz: 24000, decode: decodePcm16 },
  telephone: { encoding: "mulaw", rateHz: 8000, decode: (bytes) => decodeMulaw(new Uint8Array(bytes)) },
};
