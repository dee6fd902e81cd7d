// The page: text from the form, spoken down one call, played as it arrives. Everything meets here.

import { Connection } from "./connection.js";
import { LINES } from "./lines.js";
import { Player } from "./player.js";
import { Take } from "./take.js";
import { streamUrl, terminalLines } from "./terminal.js";
import { View, seconds } from "./view.js";
import { wavFile } from "./wav.js";

const EXAMPLES = {
  appointment:
    "Hi Ms. Alvarez, this is Lakeside Dental. Your cleaning is on Tuesday, March 3rd, at 2:30 pm. " +
    "Press 1 to confirm, or stay on the line to change it.",
  balance:
    "Your balance is $1,284.07. A payment of $49.99 is due on April 15th. " +
    "Shall I take it from the account ending in 4417?",
  number: "You can reach our night desk at (415) 555-0132, extension 204. Once more: that is 415-555-0132.",
};

const form = document.getElementById("speech");
const { text, voice } = form.elements;

const view = new View();
const connection = new Connection(streamUrl());
const player = new Player(onPlayback);
const writeLines = terminalLines(document);

let take = null; // the one shown
let live = false; // and whether it is still being spoken or played
let drawing = false;

// Speaking and stopping

async function speak(askedAt) {
  if (!text.value.trim()) return;
  stop();
  take = new Take(selectedLine(), askedAt);
  take.text = text.value;
  live = true;
  view.begin();
  view.phase("waiting", "");
  keepDrawing();
  const mine = take;
  try {
    await Promise.all([connection.open(setup()), player.prepare()]);
  } catch (error) {
    if (take === mine && live) fail(error);
    return;
  }
  if (take === mine && live) send(mine);
}

function send(mine) {
  player.begin(mine);
  mine.sentAt = performance.now();
  mine.utterance = connection.say(mine.text);
}

/** Barge-in: silence first, then tell the server how far the listener got. */
function stop() {
  if (!live) return;
  const heard = player.stop();
  take.stoppedAt = take.sentAt === null ? 0 : heard;
  take.ended = true;
  const playedMs = (1000 * take.stoppedAt) / take.rateHz;
  if (take.utterance !== null) connection.clear(take.utterance, playedMs);
  else view.transcript({ text_spoken: "", text_not_spoken: take.text });
  end("stopped", `Stopped at ${seconds(playedMs / 1000)}`);
}

function fail(error) {
  player.stop();
  take.ended = true;
  end("failed", "");
  view.error(error);
}

function end(phase, words) {
  live = false;
  view.phase(phase, words);
  keepDrawing();
  if (document.hidden) rest();
}

function onPlayback() {
  if (!live) return;
  if (player.playing) {
    if (player.played && document.body.dataset.phase === "waiting") view.phase("speaking", "Speaking");
    return;
  }
  end("finished", take.samples ? `Spoken, ${seconds(take.durationS)}` : "There is nothing to speak in this text.");
  prepareLine(); // with another voice or line, if they were chosen meanwhile
}

function keepDrawing() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
}

function heardSamples() {
  if (take === null || take.sentAt === null) return 0; // the player still has the one before
  return take.stoppedAt ?? player.heardSamples;
}

function draw() {
  const moving = view.moment(take, heardSamples(), { live });
  drawing = live || moving;
  if (drawing) requestAnimationFrame(draw);
}

// What the server says

connection.addEventListener("state", ({ detail }) => view.connection(detail));
connection.addEventListener("ready", () => !live && view.error(null));
connection.addEventListener("utterance_started", ({ detail }) => live && view.started(detail));
connection.addEventListener("audio", ({ detail }) => {
  if (!live) return;
  take.push(detail.bytes, performance.now());
  player.feed();
});
connection.addEventListener("utterance_ended", () => {
  if (!live) return;
  take.ended = true;
  player.feed();
});
connection.addEventListener("cleared", ({ detail }) => {
  if (live) return;
  view.transcript(detail);
  prepareLine();
});
connection.addEventListener("error", ({ detail }) => {
  if (detail.fatal) return; // the connection is lost next, and says so
  if (live && detail.field === "text") fail(detail);
  else view.error(detail);
});
connection.addEventListener("lost", ({ detail }) => {
  if (live && take.utterance !== null && !take.ended) fail(detail);
  else if (detail.code === "invalid_start") view.error(detail);
});

// What the person does

function selectedLine() {
  return LINES[form.elements.line.value];
}

function setup() {
  const { encoding, rateHz } = selectedLine();
  return { voice: voice.value, encoding, sample_rate: rateHz };
}

/** Have a call ready before it is wanted: TTFA should not pay for a handshake. */
function prepareLine() {
  if (!live) connection.open(setup()).catch(() => {}); // its state says what is wrong
}

function rest() {
  connection.rest();
  player.rest();
}

function openLoudspeaker() {
  player.prepare().catch(() => {}); // Speak says what is wrong
}

function describe() {
  const count = [...text.value].length;
  document.getElementById("count").textContent = `${count} character${count === 1 ? "" : "s"}`;
  document.getElementById("speak").disabled = !text.value.trim();
  view.voice({ name: voice.value, description: voice.selectedOptions[0].dataset.description ?? "" });
  writeLines(text.value, voice.value);
}

function download() {
  const heard = take.slice(0, heardSamples());
  const link = document.createElement("a");
  link.href = URL.createObjectURL(wavFile(heard, take.rateHz));
  link.download = `talkspurt-${take.line.encoding}-${take.rateHz}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function listVoices() {
  const { voices } = await (await fetch("/v1/voices")).json();
  const options = voices.map(({ name, description }) => {
    const option = new Option(`${name}: ${description}`, name);
    option.dataset.description = description;
    return option;
  });
  if (options.length) voice.replaceChildren(...options);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  speak(event.timeStamp);
});
form.addEventListener("click", (event) => {
  const example = EXAMPLES[event.target.dataset.example];
  if (!example) return;
  text.value = example;
  describe();
  speak(event.timeStamp);
});
form.addEventListener("change", () => {
  describe();
  prepareLine();
});
text.addEventListener("input", describe);
document.getElementById("stop").addEventListener("click", stop);
document.getElementById("download").addEventListener("click", download);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) speak(event.timeStamp);
});
// The first press anywhere opens the loudspeaker, so that Speak finds it open. A finger's counts when it lifts.
document.addEventListener("pointerdown", ({ pointerType }) => pointerType === "mouse" && openLoudspeaker());
for (const kind of ["pointerup", "keydown"]) document.addEventListener(kind, openLoudspeaker);
document.addEventListener("visibilitychange", () => {
  if (live) return;
  if (document.hidden) rest();
  else prepareLine();
});
addEventListener("resize", keepDrawing);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", keepDrawing);

describe();
keepDrawing();
await listVoices().catch(() => {}); // the connection's state says that the server is away
describe();
prepareLine();
