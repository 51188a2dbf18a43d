// What a task wrote, as it is written: follows, searches, and goes to where a search finds something.
// Absent: reading files; the API does. Text is only ever set as text.

const view = document.getElementById("log");
const state = document.getElementById("log-state");
const follow = document.getElementById("log-follow");
const field = document.getElementById("log-search");
const found = document.getElementById("log-found");
const { task, stream } = view.dataset;

// More than a reader reads, and as much as a page can hold: the rest is in the download.
const SHOWN_CHARS_MAX = 2_000_000;
let source = null;
let ended = false;
let length = 0;

const say = (text) => { state.textContent = text; };
const atEnd = () => { if (follow.checked) view.scrollTop = view.scrollHeight; };

function append(text) {
  view.append(document.createTextNode(text));
  length += text.length;
  while (length > SHOWN_CHARS_MAX && view.firstChild !== view.lastChild) {
    length -= view.firstChild.length;
    view.firstChild.remove();
    say("Only the end is shown: download it to read all.");
  }
  atEnd();
}

// What is left where the agent cannot be asked.
async function rest() {
  const answer = await fetch(`/api/v1/tasks/${encodeURIComponent(task)}/logs?stream=${stream}`);
  const said = await answer.json();
  if (!answer.ok) return say(said.detail);
  if (!length) append(said.data);
  return say(said.note ? `The end of the output, as it came with the last status: ${said.note}` : "The task has ended.");
}

function read() {
  source = new EventSource(`/api/v1/tasks/${encodeURIComponent(task)}/logs?stream=${stream}&follow=true`);
  source.addEventListener("open", () => say("Following what is written…"));
  source.addEventListener("log", (event) => append(JSON.parse(event.data)));
  source.addEventListener("rotated", () => append("\n--- the file was begun anew ---\n"));
  source.addEventListener("end", () => {
    ended = true;
    source.close();
    say(length ? "The task has ended." : "The task has ended and wrote nothing here.");
  });
  source.addEventListener("problem", () => {
    ended = true;
    source.close();
    rest();
  });
  source.addEventListener("error", () => {
    if (ended) return;
    if (source.readyState === EventSource.CLOSED) rest();
    else say("Interrupted: trying again…");
  });
}

follow.addEventListener("change", atEnd);
// Who scrolls up wants to read.
view.addEventListener("wheel", (event) => { if (event.deltaY < 0) follow.checked = false; }, { passive: true });

// --- search ---

let hits = [];
let at = -1;

function positions(text, wanted) {
  const list = [];
  const [low, part] = [text.toLowerCase(), wanted.toLowerCase()];
  for (let i = low.indexOf(part); i >= 0 && list.length < 10_000; i = low.indexOf(part, i + part.length)) list.push(i);
  return list;
}

function range(start, length) {
  const chosen = document.createRange();
  let before = 0;
  let begun = false;
  for (const node of view.childNodes) {
    const end = before + node.length;
    if (!begun && start < end) { chosen.setStart(node, start - before); begun = true; }
    if (begun && start + length <= end) { chosen.setEnd(node, start + length - before); return chosen; }
    before = end;
  }
  return null;
}

function mark() {
  if (!CSS.highlights) return;
  CSS.highlights.clear();
  const all = hits.slice(0, 2000).map((start) => range(start, field.value.length)).filter(Boolean);
  CSS.highlights.set("hit", new Highlight(...all));
  const here = at >= 0 ? range(hits[at], field.value.length) : null;
  if (!here) return;
  CSS.highlights.set("here", new Highlight(here));
  const box = here.getBoundingClientRect();
  const frame = view.getBoundingClientRect();
  view.scrollTop += box.top - frame.top - frame.height / 2;
}

function go(step) {
  if (!hits.length) return;
  follow.checked = false;
  at = (at + step + hits.length) % hits.length;
  found.textContent = `${at + 1} of ${hits.length}`;
  mark();
}

field.addEventListener("input", () => {
  hits = field.value ? positions(view.textContent, field.value) : [];
  at = -1;
  found.textContent = field.value ? `${hits.length} found` : "";
  mark();
  if (hits.length) go(1);
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  go(event.shiftKey ? -1 : 1);
});
document.getElementById("log-next").addEventListener("click", () => go(1));
document.getElementById("log-previous").addEventListener("click", () => go(-1));
document.getElementById("log-wrap").addEventListener("change", (event) => view.classList.toggle("wrap", event.target.checked));

read();
