// The audio thread: one take at a time, resampled to the context's rate. Underruns are counted, never hidden.
//
// In:  {begin: id, rateHz}  {push: Int16Array}  {end: true}  {stop: true}
// Out: {id, played, frame, underruns, drained}: `played` source samples had been rendered at `frame`.

import { Resampler } from "./resampler.js";

const PREBUFFER_S = 0.04; // one speech token: enough to start, since synthesis outruns playback
const REBUFFER_S = 0.2; // after running dry, so that it does not run dry again at once
const FADE_S = 0.005; // a stop must not click
const REPORT_BLOCKS = 4; // a block is 128 samples: a report every 11 ms at 48 kHz

class TakePlayer extends AudioWorkletProcessor {
  #resampler = null;
  #id = 0;
  #rateHz = 0;
  #state = "idle"; // idle, buffering, speaking, ending, fading
  #wantedLead = 0;
  #gain = 1;
  #underruns = 0;
  #blocks = 0;
  #waiting = []; // messages of the next take, while this one fades

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  process(_inputs, outputs) {
    const [left, ...others] = outputs[0];
    this.#render(left);
    for (const other of others) other.set(left);
    return true;
  }

  #take(message) {
    if (this.#state === "fading") this.#waiting.push(message);
    else this.#obey(message);
  }

  #obey(message) {
    if (message.begin !== undefined) this.#begin(message);
    else if (this.#state === "idle") return;
    else if (message.push) this.#resampler.push(message.push);
    else if (message.end) {
      this.#resampler.end();
      this.#state = "ending";
    } else if (message.stop) this.#state = "fading";
  }

  #begin({ begin, rateHz }) {
    this.#id = begin;
    this.#rateHz = rateHz;
    this.#resampler = new Resampler(rateHz, Math.round(sampleRate));
    this.#wantedLead = PREBUFFER_S * rateHz;
    this.#underruns = 0;
    this.#gain = 1;
    this.#state = "buffering";
  }

  #render(target) {
    if (this.#state === "idle") return;
    if (this.#state === "buffering" && this.#resampler.lead >= this.#wantedLead) this.#state = "speaking";
    if (this.#state !== "buffering") this.#play(target);
    this.#blocks += 1;
    if (this.#state === "idle" || this.#blocks % REPORT_BLOCKS === 0) this.#report();
  }

  #play(target) {
    const made = this.#resampler.pull(target);
    if (this.#state === "fading") this.#fade(target);
    else if (this.#resampler.drained) this.#state = "idle";
    else if (made < target.length) this.#runDry();
  }

  #runDry() {
    this.#underruns += 1;
    this.#wantedLead = REBUFFER_S * this.#rateHz;
    this.#state = "buffering";
  }

  #fade(target) {
    for (let i = 0; i < target.length; i += 1) {
      target[i] *= this.#gain;
      this.#gain = Math.max(0, this.#gain - 1 / (FADE_S * sampleRate));
    }
    if (this.#gain > 0) return;
    this.#state = "idle";
    for (const message of this.#waiting.splice(0)) this.#take(message);
  }

  #report() {
    this.port.postMessage({
      id: this.#id,
      played: this.#resampler.position,
      frame: currentFrame + 128,
      underruns: this.#underruns,
      drained: this.#resampler.drained,
    });
  }
}

registerProcessor("take-player", TakePlayer);
