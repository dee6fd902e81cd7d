// A take: the audio of one utterance as it arrives, and what is known of it.

import { ActiveLevel, levelDbov } from "./level.js";

export const BIN_MS = 10; // of the waveform's peaks

const FIRST_SAMPLES = 1 << 16;
const METER_MS = 100;

export class Take {
  #pcm = new Int16Array(FIRST_SAMPLES);
  #active;
  #onset;

  /** `line` is one of LINES; `askedAt` the instant of the click, as performance.now() has it. */
  constructor(line, askedAt) {
    this.line = line;
    this.rateHz = line.rateHz;
    this.askedAt = askedAt;
    this.samples = 0;
    this.peaks = []; // largest magnitude of each BIN_MS, 0..1
    this.ended = false;
    this.stoppedAt = null; // in samples, once stopped
    this.utterance = null; // the server's number of it
    this.text = "";
    this.sentAt = null; // when its text went out
    this.lastAudioAt = null;
    this.audibleAt = null; // when its first audible sample was heard
    this.underruns = 0;
    this.#active = new ActiveLevel(line.rateHz);
    this.#onset = new Onset(line.rateHz);
  }

  get durationS() {
    return this.samples / this.rateHz;
  }

  /** Active speech level so far, in dBov. */
  get activeDbov() {
    return this.#active.dbov;
  }

  /** Position of the first audible sample, or null. */
  get onsetSample() {
    return this.#onset.sample;
  }

  /** Seconds of waiting per second of audio, as it arrived here: lower is better. */
  get realTimeFactor() {
    return this.samples ? (this.lastAudioAt - this.sentAt) / 1000 / this.durationS : null;
  }

  push(bytes, now) {
    const pcm = this.line.decode(bytes);
    this.#reserve(this.samples + pcm.length);
    this.#pcm.set(pcm, this.samples);
    this.#notePeaks(pcm);
    this.#active.push(pcm);
    this.#onset.push(pcm);
    this.samples += pcm.length;
    this.lastAudioAt = now;
  }

  /** A copy of samples [first, last). */
  slice(first, last) {
    return this.#pcm.slice(first, Math.min(last, this.samples));
  }

  /** The level heard at a position: of the 100 ms before it. */
  levelAt(sample) {
    const window = (this.rateHz * METER_MS) / 1000;
    return levelDbov(this.#pcm.subarray(Math.max(0, sample - window), Math.min(sample, this.samples)));
  }

  #reserve(samples) {
    if (samples <= this.#pcm.length) return;
    const larger = new Int16Array(Math.max(samples, 2 * this.#pcm.length));
    larger.set(this.#pcm.subarray(0, this.samples));
    this.#pcm = larger;
  }

  #notePeaks(pcm) {
    const binSamples = (this.rateHz * BIN_MS) / 1000;
    for (let i = 0; i < pcm.length; i += 1) {
      const bin = Math.floor((this.samples + i) / binSamples);
      this.peaks[bin] = Math.max(this.peaks[bin] ?? 0, Math.abs(pcm[i]) / 32768);
    }
  }
}

const AUDIBLE_DBOV = -50;
const AUDIBLE = 32768 * 10 ** (AUDIBLE_DBOV / 20);
const WINDOW_MS = 5;

/** The first audible sample: the first one at -50 dBov in the first 5 ms whose level is -50 dBov. */
class Onset {
  sample = null;
  #window;
  #energy = 0; // a sum of integers: exact, however long it runs
  #heard = 0;

  constructor(rateHz) {
    this.#window = new Int16Array((rateHz * WINDOW_MS) / 1000);
  }

  push(pcm) {
    for (let i = 0; i < pcm.length && this.sample === null; i += 1) this.#observe(pcm[i]);
  }

  #observe(value) {
    const size = this.#window.length;
    const slot = this.#heard % size;
    this.#energy += value ** 2 - this.#window[slot] ** 2;
    this.#window[slot] = value;
    this.#heard += 1;
    if (this.#heard >= size && this.#energy >= size * AUDIBLE ** 2) this.sample = this.#firstLoud();
  }

  #firstLoud() {
    const size = this.#window.length;
    const first = this.#heard - size;
    for (let i = first; ; i += 1) if (Math.abs(this.#window[i % size]) >= AUDIBLE) return i;
  }
}
