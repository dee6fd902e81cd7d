// Three lines to try from a terminal, with the text and voice of the page, each with its copy button.

/** Wires the `[data-line]` elements under `root`; answers update(text, voice). */
export function terminalLines(root) {
  const lines = [...root.querySelectorAll("[data-line]")];
  for (const line of lines) {
    const code = line.querySelector("code");
    line.querySelector("button").addEventListener("click", (event) => copy(code, event.currentTarget));
  }
  return (text, voice) => {
    const written = { http: httpLine(text, voice), say: sayLine(text, voice), stream: streamUrl() };
    for (const line of lines) line.querySelector("code").textContent = written[line.dataset.line];
  };
}

export function streamUrl() {
  const url = new URL("/v1/stream", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

function httpLine(text, voice) {
  const body = JSON.stringify({ input: text, voice, encoding: "mulaw", response_format: "wav" });
  const url = new URL("/v1/audio/speech", location.href);
  return `curl -s ${url} -H 'content-type: application/json' -d ${quoted(body)} -o hello.wav`;
}

function sayLine(text, voice) {
  const end = text.startsWith("-") ? "-- " : "";
  return `talkspurt say --voice ${quoted(voice)} --format mulaw --out hello.wav ${end}${quoted(text)}`;
}

/** As a POSIX shell takes it, word for word. */
function quoted(text) {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // No clipboard on a plain http:// page: select the line, so that Ctrl+C has it.
    getSelection().selectAllChildren(code);
    return;
  }
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), 1500);
}
