// What every page does beside being read: shows itself anew when something happens, and times in the
// reader's zone. Absent: any second way to make a page; it is fetched from the server as it is.
import { morph } from "./morph.js";

const { events, every, zone } = document.body.dataset;

// --- the page, anew ---

const PAUSE_MS_MIN = 1000;
let timer = 0;
let shownAt = 0;
let busy = false;
let pause = PAUSE_MS_MIN;

async function refresh() {
  busy = true;
  const begun = performance.now();
  try {
    const address = new URL(location.href);
    address.searchParams.delete("said");
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.assign(answer.url);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    const present = document.getElementById("main");
    if (!fresh) return undefined;
    // What was said once is read once.
    for (const note of present.querySelectorAll(":scope > .said")) note.remove();
    fresh.querySelector("#interrupted").hidden = document.getElementById("interrupted").hidden;
    morph(present, fresh);
  } catch {
    // The stream says when the server is back.
  } finally {
    busy = false;
    shownAt = performance.now();
    // A page that is costly is shown less often: at most a tenth of the time goes into it.
    pause = Math.max(PAUSE_MS_MIN, 10 * (shownAt - begun));
  }
  return undefined;
}

function wish(delay) {
  if (timer) return;
  timer = setTimeout(() => {
    timer = 0;
    if (document.hidden || busy) return wish(PAUSE_MS_MIN);
    return refresh();
  }, Math.max(delay, shownAt + pause - performance.now()));
}

if (events) {
  const source = new EventSource(events);
  const interrupted = (is) => { document.getElementById("interrupted").hidden = !is; };
  let was = false;
  source.addEventListener("open", () => {
    interrupted(false);
    if (was) wish(0);
    was = true;
  });
  source.addEventListener("error", () => interrupted(true));
  for (const kind of ["run", "task", "reset"]) source.addEventListener(kind, () => wish(150));
  addEventListener("pagehide", () => source.close());
}
if (every) setInterval(() => { if (!document.hidden) wish(0); }, Number(every) * 1000);

// --- the zone ---

const remember = (name) => {
  document.cookie = `shiftwork-zone=${encodeURIComponent(name)}; Path=/; Max-Age=31536000; SameSite=Strict`;
};
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
const chooser = document.getElementById("zone-choice");
if (chooser && own) {
  if (![...chooser.options].some((option) => option.value === own)) {
    chooser.add(new Option(`${own} (yours)`, own));
  }
  chooser.addEventListener("change", () => chooser.form.requestSubmit());
  if (!zone && own !== chooser.value) {
    remember(own);
    chooser.value = own;
    refresh();
  }
}

// --- small things ---

// What was said stands in the address only until it was read.
if (location.search.includes("said=")) {
  const address = new URL(location.href);
  address.searchParams.delete("said");
  history.replaceState(null, "", address);
}

// "/" goes to the search field of the page.
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("main input[type=search]");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
});

// A choice in a filter counts at once.
for (const form of document.querySelectorAll("form.filter")) {
  form.addEventListener("change", (event) => { if (event.target.localName === "select") form.requestSubmit(); });
  // What is not chosen does not stand in the address.
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
}
