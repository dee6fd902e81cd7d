// Streaming resampler: 16-bit samples at the source's rate in, float samples at the listener's rate out.
//
// A windowed-sinc filter, one set of taps for each phase of the exact ratio of the two rates, over a ring of
// fixed size. Any cutting of the input gives the same output. No clock, no messages.

const HALF_TAPS = 32; // each side, in samples of the slower rate: 4 ms at 8 kHz
const CUTOFF = 0.96; // of the lower Nyquist frequency: flat to 3.5 kHz at 8 kHz, images under -80 dB
const KAISER_BETA = 8;
const FULL_SCALE = 32768;

const RING_SAMPLES = 1 << 17; // 5.4 s at 24 kHz; whoever pushes looks at `room` first

export class Resampler {
  #ring = new Float32Array(RING_SAMPLES);
  #written = 0; // samples pushed, the silence behind the end included
  #position = 0; // the source sample under the middle of the filter
  #phase = 0; // and how far past it, in parts of #phases
  #end = Infinity;
  #step; // of the phase, for each sample made
  #phases;
  #half;
  #taps; // (phases, 2 half)

  constructor(sourceHz, targetHz) {
    const divisor = greatestCommonDivisor(sourceHz, targetHz);
    this.#step = sourceHz / divisor;
    this.#phases = targetHz / divisor;
    const bandwidth = Math.min(1, targetHz / sourceHz);
    this.#half = Math.ceil(HALF_TAPS / bandwidth);
    this.#taps = phaseTaps(this.#phases, this.#half, bandwidth * CUTOFF);
  }

  /** Source samples played so far. */
  get position() {
    return Math.min(this.#position, this.#end);
  }

  /** Source samples waiting to be played. */
  get lead() {
    return Math.max(0, Math.min(this.#written, this.#end) - this.#position);
  }

  get room() {
    return RING_SAMPLES - 2 * this.#half - (this.#written - this.#position);
  }

  get drained() {
    return this.#position >= this.#end;
  }

  /** Take 16-bit samples. Throws RangeError when they are more than `room`. */
  push(pcm) {
    if (pcm.length > this.room) throw new RangeError(`samples: ${pcm.length} are more than ${this.room}`);
    for (const sample of pcm) this.#write(sample / FULL_SCALE);
  }

  /** Nothing follows: the filter runs out over silence. */
  end() {
    if (this.#end !== Infinity) return;
    this.#end = this.#written;
    for (let i = 0; i < this.#half; i += 1) this.#write(0);
  }

  /** Fill `target` from its start; answers how many samples of it could be made. */
  pull(target) {
    const last = this.#written - this.#half;
    let count = 0;
    while (count < target.length && this.#position < last) {
      target[count] = this.#filtered();
      count += 1;
      this.#phase += this.#step;
      const whole = Math.floor(this.#phase / this.#phases);
      this.#position += whole;
      this.#phase -= whole * this.#phases;
    }
    return count;
  }

  #filtered() {
    const first = this.#position - this.#half + 1 + RING_SAMPLES;
    const taps = this.#phase * 2 * this.#half;
    let sum = 0;
    for (let i = 0; i < 2 * this.#half; i += 1) {
      sum += this.#ring[(first + i) & (RING_SAMPLES - 1)] * this.#taps[taps + i];
    }
    return sum;
  }

  #write(value) {
    this.#ring[this.#written & (RING_SAMPLES - 1)] = value;
    this.#written += 1;
  }
}

/** The filter at each fraction of a sample, each scaled to pass a constant unchanged: (phases, 2 half). */
function phaseTaps(phases, half, cutoff) {
  const taps = new Float32Array(phases * 2 * half);
  for (let phase = 0; phase < phases; phase += 1) {
    const row = Float64Array.from({ length: 2 * half }, (_, i) => {
      const distance = i - half + 1 - phase / phases;
      return sinc(cutoff * distance) * kaiser(distance / half);
    });
    const sum = row.reduce((total, value) => total + value, 0);
    taps.set(row.map((value) => value / sum), phase * 2 * half);
  }
  return taps;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel0(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel0(KAISER_BETA);
}

/** The modified Bessel function I0, by its power series. */
function bessel0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b ? greatestCommonDivisor(b, a % b) : a;
}
