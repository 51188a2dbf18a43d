// The coming firings of a schedule that is being written, as the server computes them. Absent: any
// knowledge of cron.

const form = document.querySelector("form.document");
const shown = document.getElementById("preview");
const named = (name) => form.elements[name];
let timer = 0;
let latest = 0;

const make = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text, ...properties });

function list(firings) {
  const rows = firings.map(({ utc, local, note }) => {
    const row = make("li", "");
    row.append(make("span", local.slice(0, 19).replace("T", " ")), " ", make("span", `${utc.slice(0, 19).replace("T", " ")} UTC`, { className: "more" }));
    if (note) row.append(" ", make("span", note, { className: "note" }));
    return row;
  });
  const all = make("ol", "");
  all.append(...rows);
  return all;
}

async function show() {
  const mine = ++latest;
  const cron = named("cron").value.trim();
  if (!cron) return shown.replaceChildren(make("p", "Write a cron expression to see when it fires.", { className: "more" }));
  const query = new URLSearchParams({ cron, n: "5" });
  if (named("timeZone").value.trim()) query.set("timeZone", named("timeZone").value.trim());
  let fresh;
  try {
    const answer = await fetch(`/api/v1/schedules/preview?${query}`);
    const said = await answer.json();
    if (!answer.ok) {
      const errors = said.errors?.map((error) => `${error.field} ${error.message}`).join("; ");
      fresh = make("p", errors || said.detail, { className: "wrong" });
    } else fresh = said.items.length ? list(said.items) : make("p", "It never fires again.", { className: "wrong" });
  } catch {
    fresh = make("p", "The server cannot be reached.", { className: "wrong" });
  }
  if (mine === latest) shown.replaceChildren(fresh);
  return undefined;
}

if (form && shown) {
  form.addEventListener("input", (event) => {
    if (!["cron", "timeZone"].includes(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(show, 250);
  });
}

// Only the fields of the chosen kind of work and of schedule are shown.
function choose() {
  for (const part of form.querySelectorAll("[data-when]")) {
    const [name, values] = part.dataset.when.split("=");
    part.hidden = !values.split("|").includes(named(name).value);
    // What is hidden is not sent.
    for (const input of part.querySelectorAll("input, select, textarea")) input.disabled = part.hidden;
  }
}
if (form && form.querySelector("[data-when]")) {
  form.addEventListener("change", choose);
  choose();
}

// Names are offered while they are written.
if (form && document.getElementById("apps")) named("appName").setAttribute("list", "apps");
