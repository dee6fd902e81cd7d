// The WebSocket `/v1/stream` as the page uses it: one call at a time, in `fast` pacing, reopened when it is lost.
//
// Dispatches `state` (detail: {state, message}) and each message of the server by its type; of `audio`, detail has
// `bytes`. States: connecting, ready, full, shutting_down, offline, resting.

const RETRY_S = [1, 2, 4, 8, 15];

/** The server's `error` message, or a closed connection in the same form. */
export class ServerError extends Error {
  constructor({ code, message, field = null }) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

export class Connection extends EventTarget {
  #url;
  #socket = null;
  #setup = null;
  #opening = null; // the promise of `ready`, while it is under way
  #settle = null; // and its two ends
  #fatal = null; // the error that came before the close
  #retries = 0;
  #retryTimer = null;
  #utterances = 0; // begun in this call
  #clearing = 0; // clears not answered yet: what arrives before the answers is of the past
  state = "resting";

  constructor(url) {
    super();
    this.#url = url;
  }

  /** Resolves once a call with this voice and encoding is ready. Rejects with ServerError. */
  open(setup) {
    const same = JSON.stringify(setup) === JSON.stringify(this.#setup);
    if (same && this.state === "ready") return Promise.resolve();
    if (same && this.#opening) return this.#opening;
    this.#setup = setup;
    this.#drop();
    this.#connect();
    return this.#opening;
  }

  /** One utterance, whole. Answers its number. */
  say(text) {
    this.#send({ type: "text", text });
    this.#send({ type: "flush" });
    this.#utterances += 1;
    return this.#utterances;
  }

  /** Barge-in: what of this utterance was played is only known here. */
  clear(utterance, playedMs) {
    if (this.state !== "ready") return; // the call it was spoken in is gone
    this.#clearing += 1;
    this.#send({ type: "clear", utterance, played_ms: playedMs });
  }

  /** Give the place back. */
  rest() {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send({ type: "close" });
    this.#drop();
    this.#become("resting");
  }

  #connect() {
    this.#become("connecting");
    this.#fatal = null;
    this.#utterances = this.#clearing = 0;
    this.#opening = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.#opening.catch(() => {}); // whoever waits for it hears of it; a retry has nobody waiting
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#send({ type: "start", pacing: "fast", ...this.#setup });
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
  }

  /** Forget the socket; its last events are nobody's. */
  #drop() {
    clearTimeout(this.#retryTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#settle?.reject(new ServerError({ code: "replaced", message: "another call was opened" }));
    this.#settle = this.#opening = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }

  #receive(data) {
    const message = data instanceof ArrayBuffer ? { type: "audio", bytes: data } : JSON.parse(data);
    if (message.type === "cleared") this.#clearing -= 1;
    else if (this.#clearing && message.type !== "error") return;
    if (message.type === "ready") this.#onReady();
    if (message.type === "error") this.#onError(message);
    this.#tell(message.type, message);
  }

  #onError(error) {
    if (error.fatal) this.#fatal = error;
    else if (error.field === "text") this.#utterances -= 1; // that text was not taken
  }

  #onReady() {
    this.#retries = 0;
    this.#settle.resolve();
    this.#settle = this.#opening = null;
    this.#become("ready");
  }

  #lost(code, reason) {
    const error = this.#fatal ?? { code: `closed ${code}`, message: reason || "The connection was lost." };
    this.#socket = null;
    this.#settle?.reject(new ServerError(error));
    this.#settle = this.#opening = null;
    const state = ["full", "shutting_down"].includes(error.code) ? error.code : "offline";
    this.#become(state, error.message);
    this.#tell("lost", new ServerError(error));
    if (error.code !== "invalid_start") this.#retryLater(); // that one would only fail again
  }

  #retryLater() {
    const seconds = RETRY_S[Math.min(this.#retries, RETRY_S.length - 1)];
    this.#retries += 1;
    this.#retryTimer = setTimeout(() => this.#connect(), seconds * 1000);
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #become(state, message = "") {
    this.state = state;
    this.#tell("state", { state, message });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
