// Plays takes: feeds the audio thread from the take, and knows what the listener has heard so far.

const AHEAD_S = 2; // fed to the audio thread ahead of playback; the rest waits in the take

export class Player {
  #context = null;
  #node = null;
  #opening = null;
  #onChange;
  #take = null;
  #id = 0;
  #fed = 0; // samples given to the audio thread
  #report = null;
  #heard = 0;
  #endTold = false;

  /** `onChange()` is called when the take's playback has moved on or ended. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Open the loudspeaker; browsers allow it only inside a click or a key press. Throws Error. */
  async prepare() {
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = null;
      throw error;
    });
    await this.#opening;
    await this.#context.resume();
  }

  /** Let the loudspeaker rest. */
  async rest() {
    if (this.#context?.state === "running") await this.#context.suspend();
  }

  get playing() {
    return this.#take !== null;
  }

  /** Source samples rendered on the audio thread, of the take that was begun last. */
  get played() {
    return this.#report?.played ?? 0;
  }

  /** Play a take from its start, now and as it grows; :meth:`feed` it after each change. */
  begin(take) {
    this.#id += 1;
    this.#take = take;
    this.#fed = this.#heard = 0;
    this.#report = null;
    this.#endTold = false;
    this.#node.port.postMessage({ begin: this.#id, rateHz: take.rateHz });
    this.feed();
  }

  feed() {
    const take = this.#take;
    if (take === null) return;
    const last = Math.min(take.samples, this.played + AHEAD_S * take.rateHz);
    if (last > this.#fed) {
      const pcm = take.slice(this.#fed, last);
      this.#fed = last;
      this.#node.port.postMessage({ push: pcm }, [pcm.buffer]);
    }
    if (take.ended && this.#fed === take.samples && !this.#endTold) {
      this.#endTold = true;
      this.#node.port.postMessage({ end: true });
    }
  }

  /** Fall silent now. Answers the samples heard. */
  stop() {
    const heard = this.heardSamples;
    if (this.#take !== null) this.#node.port.postMessage({ stop: true });
    this.#take = null;
    return heard;
  }

  /** Samples of the take that have left the loudspeaker: those rendered less those on their way there. */
  get heardSamples() {
    if (this.#take !== null && this.#report !== null) {
      const aheadS = this.#report.frame / this.#context.sampleRate - this.#outputTime();
      const heard = this.#report.played - Math.max(0, aheadS) * this.#take.rateHz;
      this.#heard = Math.max(this.#heard, Math.round(heard));
    }
    return this.#heard;
  }

  async #open() {
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    if (!this.#context.audioWorklet) {
      throw new Error("This browser plays audio only on https:// pages and on localhost.");
    }
    await this.#context.audioWorklet.addModule("/page/player-worklet.js");
    this.#node = new AudioWorkletNode(this.#context, "take-player", { numberOfInputs: 0 });
    this.#node.port.onmessage = ({ data }) => this.#onReport(data);
    this.#node.connect(this.#context.destination);
  }

  #onReport(report) {
    if (report.id !== this.#id || this.#take === null) return;
    this.#report = report;
    this.#take.underruns = report.underruns;
    this.#noteOnset(this.#take, report);
    this.feed();
    if (report.drained && this.#endTold) {
      this.#heard = this.#take.samples;
      this.#take = null;
    }
    this.#onChange();
  }

  #noteOnset(take, { played, frame }) {
    if (take.audibleAt !== null || take.onsetSample === null || played <= take.onsetSample) return;
    const onsetTime = frame / this.#context.sampleRate - (played - take.onsetSample) / take.rateHz;
    take.audibleAt = performance.now() + (onsetTime - this.#outputTime()) * 1000;
  }

  /** Context time of the sample at the loudspeaker now. */
  #outputTime() {
    const { contextTime, performanceTime } = this.#context.getOutputTimestamp();
    if (performanceTime) return contextTime + (performance.now() - performanceTime) / 1000;
    return this.#context.currentTime - (this.#context.outputLatency || 0);
  }
}
