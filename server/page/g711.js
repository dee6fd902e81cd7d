// G.711 mu-law to linear, by table: ITU-T G.711 table 2, in the reading of G.191 on 16-bit samples.

const BIAS = 132; // 33 of the standard's 14 bits, in 16

function mulawSample(code) {
  const inverted = ~code & 0x7f; // all bits travel inverted; bit 7 is the sign
  const magnitude = ((((inverted & 0x0f) << 3) + BIAS) << (inverted >> 4)) - BIAS;
  return code & 0x80 ? magnitude : -magnitude;
}

const SAMPLES = Int16Array.from({ length: 256 }, (_, code) => mulawSample(code));

/** Codes (Uint8Array) to as many 16-bit samples; the peak is ±32124. */
export function decodeMulaw(codes) {
  const pcm = new Int16Array(codes.length);
  for (let i = 0; i < codes.length; i += 1) pcm[i] = SAMPLES[codes[i]];
  return pcm;
}
