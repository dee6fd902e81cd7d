// Levels in dBov: 0 is a square wave of full scale, so a level is the RMS value against it.

const FULL_SCALE = 32768;
export const SILENCE_DBOV = -100;
export const TARGET_DBOV = -23; // active speech level of a telephone line

/** RMS level of 16-bit samples. */
export function levelDbov(pcm) {
  let energy = 0;
  for (const sample of pcm) energy += sample * sample;
  return pcm.length ? toDb(energy / pcm.length / FULL_SCALE ** 2) : SILENCE_DBOV;
}

function toDb(power) {
  return power > 0 ? Math.max(SILENCE_DBOV, 10 * Math.log10(power)) : SILENCE_DBOV;
}

// ITU-T P.56 method B: a threshold counts as exceeded while an envelope is over it and 200 ms after; the
// active level is where the level of the counted part lies 15.9 dB over its threshold.
const MARGIN_DB = 15.9;
const ENVELOPE_S = 0.03;
const HANGOVER_S = 0.2;
const THRESHOLDS = Float64Array.from({ length: 15 }, (_, j) => 2 ** (j - 15));

/** Active speech level of a stream, cut anywhere. */
export class ActiveLevel {
  #keep;
  #hangover;
  #first = 0;
  #second = 0;
  #energy = 0;
  #active = new Float64Array(THRESHOLDS.length); // samples counted as active
  #quiet; // samples since the envelope was over each threshold

  constructor(rateHz) {
    this.#keep = Math.exp(-1 / (rateHz * ENVELOPE_S));
    this.#hangover = Math.ceil(rateHz * HANGOVER_S);
    this.#quiet = new Float64Array(THRESHOLDS.length).fill(this.#hangover);
  }

  push(pcm) {
    for (const sample of pcm) this.#observe(sample / FULL_SCALE);
  }

  /** In dBov; SILENCE_DBOV while nothing is active. */
  get dbov() {
    const levels = this.#active.map((count) => (count ? toDb(this.#energy / count) : SILENCE_DBOV));
    const over = levels.map((level, j) => level - 20 * Math.log10(THRESHOLDS[j]) - MARGIN_DB);
    const j = over.findIndex((each) => each <= 0);
    if (j <= 0) return SILENCE_DBOV;
    if (!this.#active[j]) return levels[j - 1];
    const part = over[j - 1] / (over[j - 1] - over[j]);
    return levels[j - 1] + part * (levels[j] - levels[j - 1]);
  }

  #observe(value) {
    this.#energy += value * value;
    this.#first = Math.abs(value) + (this.#first - Math.abs(value)) * this.#keep;
    this.#second = this.#first + (this.#second - this.#first) * this.#keep;
    for (let j = 0; j < THRESHOLDS.length; j += 1) {
      if (this.#second >= THRESHOLDS[j]) this.#quiet[j] = 0;
      else if (this.#quiet[j] < this.#hangover) this.#quiet[j] += 1;
      else continue;
      this.#active[j] += 1;
    }
  }
}
