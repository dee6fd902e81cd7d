// A WAV file of 16-bit mono samples: RIFF, one `fmt ` chunk, one `data` chunk.

/** Answers a Blob. */
export function wavFile(pcm, rateHz) {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * pcm.length));
  const tag = (at, name) => [...name].forEach((each, i) => bytes.setUint8(at + i, each.charCodeAt(0)));
  tag(0, "RIFF");
  bytes.setUint32(4, bytes.byteLength - 8, true);
  tag(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true); // bytes of `fmt `
  bytes.setUint16(20, 1, true); // PCM
  bytes.setUint16(22, 1, true); // mono
  bytes.setUint32(24, rateHz, true);
  bytes.setUint32(28, 2 * rateHz, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  tag(36, "data");
  bytes.setUint32(40, 2 * pcm.length, true);
  pcm.forEach((sample, i) => bytes.setInt16(44 + 2 * i, sample, true));
  return new Blob([bytes], { type: "audio/wav" });
}
