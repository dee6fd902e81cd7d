// The waveform of a take: bars as they arrive, what has been heard in colour, a playhead between.

import { BIN_MS } from "./take.js";

const BAR_PX = 2;
const GAP_PX = 2;
const FIRST_SPAN_S = 4; // shown while less than this has arrived
const EASE = 0.12; // of the way to the span wanted, each frame
const LOUDNESS = 0.7; // exponent: soft speech stays visible
const AXIS_PX = 20;

export class Waveform {
  #canvas;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #spanS = FIRST_SPAN_S;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** A new take: the scale starts over. */
  restart() {
    this.#spanS = FIRST_SPAN_S;
  }

  /** Draw a take (or null: the quiet line) with `heard` samples of it heard. Answers true while it moves. */
  draw(take, heard) {
    const wantedS = spanFor(take);
    const apartS = wantedS - this.#spanS;
    const moving = !this.#still.matches && Math.abs(apartS) > 0.01;
    this.#spanS = moving ? this.#spanS + apartS * EASE : wantedS;
    this.#paint(take, heard);
    return moving;
  }

  #paint(take, heard) {
    const context = this.#fittedContext();
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const colours = coloursOf(this.#canvas);
    context.clearRect(0, 0, width, height);
    const heardX = take ? (heard / take.rateHz / this.#spanS) * width : 0;
    const middle = (height - AXIS_PX) / 2;
    for (let x = 0; x + BAR_PX <= width; x += BAR_PX + GAP_PX) {
      const peak = take ? this.#peakAt(take, x / width, (x + BAR_PX + GAP_PX) / width) : null;
      context.fillStyle = barColour(colours, take, peak, x < heardX);
      const half = Math.max(BAR_PX / 2, (peak ?? 0) ** LOUDNESS * (middle - 2));
      context.beginPath();
      context.roundRect(x, middle - half, BAR_PX, 2 * half, BAR_PX / 2);
      context.fill();
    }
    if (!take?.samples) return;
    drawAxis(context, colours, this.#spanS, width, height);
    if (heard) drawPlayhead(context, colours, Math.min(heardX, width - 1), height - AXIS_PX);
  }

  /** The largest peak between two parts of the span; null where nothing has arrived. */
  #peakAt(take, from, to) {
    const bins = (this.#spanS * 1000) / BIN_MS;
    const first = Math.floor(from * bins);
    if (first >= take.peaks.length) return null;
    const last = Math.max(first + 1, Math.floor(to * bins));
    return Math.max(...take.peaks.slice(first, last));
  }

  /** The canvas at the screen's resolution, in CSS pixels. */
  #fittedContext() {
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = devicePixelRatio || 1;
    const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    const context = this.#canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    return context;
  }
}

function spanFor(take) {
  if (!take || (!take.samples && !take.ended)) return FIRST_SPAN_S;
  return take.ended ? Math.max(0.2, take.durationS) : Math.max(FIRST_SPAN_S, take.durationS * 1.05);
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    accent: colour("--accent"),
    arrived: colour("--bar"),
    quiet: colour("--hairline"),
    text: colour("--muted"),
    font: `11px ${style.fontFamily}`,
  };
}

function barColour(colours, take, peak, isHeard) {
  if (peak === null) return colours.quiet;
  if (isHeard) return colours.accent;
  return take.stoppedAt === null ? colours.arrived : colours.quiet;
}

function drawPlayhead(context, colours, x, height) {
  context.fillStyle = colours.accent;
  context.fillRect(x - 0.75, 0, 1.5, height);
  context.beginPath();
  context.arc(Math.max(4, x), 4, 4, 0, 2 * Math.PI);
  context.fill();
}

/** Seconds along the foot, as close as leaves them room. */
function drawAxis(context, colours, spanS, width, height) {
  const stepS = [1, 2, 5, 10, 20, 30, 60, 120].find((each) => (each / spanS) * width >= 56) ?? 300;
  context.fillStyle = colours.text;
  context.font = colours.font;
  context.textBaseline = "bottom";
  for (let second = 0; second <= spanS; second += stepS) {
    const x = (second / spanS) * width;
    const label = `${second} s`;
    if (x + context.measureText(label).width <= width) context.fillText(label, x, height);
  }
}
