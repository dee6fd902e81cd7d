// Puts into the page what is known: a take's figures, its waveform and level, what went wrong. Decides nothing.

import { SILENCE_DBOV, TARGET_DBOV } from "./level.js";
import { Waveform } from "./waveform.js";

const METER_FLOOR_DBOV = -60;
const FIGURES_EVERY_MS = 100; // numbers that change faster cannot be read

const CONNECTION_WORDS = {
  connecting: "Connecting",
  ready: "Line open",
  full: "Every line is taken, trying again",
  shutting_down: "Server is stopping",
  offline: "No connection, trying again",
  resting: "Resting",
};

const at = (id) => document.getElementById(id);

export class View {
  #waveform = new Waveform(at("waveform"));
  #figuresAt = 0;

  constructor() {
    const target = (TARGET_DBOV - METER_FLOOR_DBOV) / -METER_FLOOR_DBOV;
    at("meter").parentElement.style.setProperty("--target", target);
  }

  connection({ state, message }) {
    const pill = at("connection");
    pill.dataset.state = state;
    pill.textContent = CONNECTION_WORDS[state];
    pill.title = message;
  }

  voice({ name, description }) {
    at("voice-name").textContent = name;
    at("voice-description").textContent = description;
  }

  /** idle, waiting, speaking, finished, stopped or failed. */
  phase(phase, words) {
    document.body.dataset.phase = phase;
    at("status").textContent = words;
    at("stop").disabled = phase !== "waiting" && phase !== "speaking";
  }

  begin() {
    this.#waveform.restart();
    this.error(null);
    at("transcript").hidden = true;
    for (const id of ["ttfa", "server-ttfa", "engine"]) at(id).textContent = "–";
  }

  started({ ttfa_ms: ttfaMs, engine_ms: engineMs }) {
    at("server-ttfa").textContent = milliseconds(ttfaMs);
    at("engine").textContent = milliseconds(engineMs);
  }

  /** Everything that moves. Answers true while the waveform still does. */
  moment(take, heard, { live }) {
    const now = performance.now();
    this.#level(live ? take.levelAt(heard) : SILENCE_DBOV);
    if (take && (!live || now - this.#figuresAt > FIGURES_EVERY_MS)) {
      this.#figuresAt = now;
      this.#figures(take, heard, live);
    }
    return this.#waveform.draw(take, heard);
  }

  /** As the server says it, with the field and the code it names; null when there is none. */
  error(error) {
    const box = at("error");
    box.hidden = error === null;
    box.replaceChildren();
    for (const id of ["text", "voice"]) at(id).setAttribute("aria-invalid", error?.field === id);
    if (error === null) return;
    const message = document.createElement("p");
    message.textContent = error.message;
    const origin = document.createElement("p");
    origin.className = "caption";
    origin.textContent = [error.field && `field ${error.field}`, error.code].filter(Boolean).join(" · ");
    box.append(message, origin);
    box.scrollIntoView({ block: "nearest" });
  }

  transcript({ text_spoken: spoken, text_not_spoken: notSpoken }) {
    const section = at("transcript");
    section.querySelector(".spoken").textContent = spoken;
    section.querySelector(".not-spoken").textContent = notSpoken;
    section.hidden = false;
  }

  #figures(take, heard, live) {
    const heardS = heard / take.rateHz;
    if (take.samples || !live) at("figures").hidden = !take.samples; // while waiting, those before stay
    if (take.audibleAt !== null) at("ttfa").textContent = milliseconds(take.audibleAt - take.askedAt);
    const factor = take.realTimeFactor;
    at("rtf").textContent = factor === null ? "–" : factor.toFixed(factor < 0.1 ? 3 : 2);
    at("speed").textContent = factor ? `${Math.round(1 / factor)}× as fast as speech` : "waiting ÷ audio";
    at("duration").textContent = seconds(take.durationS);
    at("heard").textContent = `${seconds(heardS)} heard`;
    at("lead").textContent = live ? seconds(Math.max(0, take.durationS - heardS)) : "–";
    at("underruns").textContent = counted(take.underruns, "underrun");
    const level = take.activeDbov;
    at("active-level").textContent = level > SILENCE_DBOV ? signed(level) : "–";
    at("download").disabled = heard === 0;
    const canvas = at("waveform");
    canvas.dataset.heardSamples = heard;
    canvas.setAttribute("aria-label", `Waveform: ${seconds(take.durationS)}, ${seconds(heardS)} of it heard`);
  }

  #level(dbov) {
    const shown = Math.min(0, Math.max(METER_FLOOR_DBOV, dbov));
    at("meter").style.setProperty("--level", 1 - shown / METER_FLOOR_DBOV);
    at("meter").setAttribute("aria-valuenow", Math.round(shown));
  }
}

function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

export function seconds(value) {
  return `${value.toFixed(2)} s`;
}

function signed(value) {
  return value.toFixed(1).replace("-", "−");
}

function counted(count, word) {
  return `${count || "no"} ${word}${count === 1 ? "" : "s"}`;
}
