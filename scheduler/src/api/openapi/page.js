// Lists the operations of /openapi.json, each with a form to try it. Absent: anything that is not in
// that document; answers are shown as text, never as markup.
"use strict";

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

const resolve = (api, schema) =>
  schema && schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;

// The smallest body that has every required member.
function example(api, schema) {
  const resolved = resolve(api, schema) || {};
  if (resolved.enum) return resolved.enum[0];
  const kind = Array.isArray(resolved.type) ? resolved.type[0] : resolved.type;
  if (kind === "integer" || kind === "number") return resolved.minimum ?? 1;
  if (kind === "boolean") return false;
  if (kind === "array") return [];
  if (kind !== "object") return "";
  const members = (resolved.required || []).map((name) => [name, example(api, resolved.properties[name])]);
  return Object.fromEntries(members);
}

function field(parameter) {
  const schema = parameter.schema || {};
  const choices = schema.type === "boolean" ? ["true", "false"] : schema.enum;
  const input = choices
    ? make("select", {}, make("option", { value: "" }), ...choices.map((value) => make("option", { value, textContent: value })))
    : make("input", { type: "text", required: Boolean(parameter.required) });
  input.name = `${parameter.in}:${parameter.name}`;
  const title = parameter.name + (parameter.required ? " *" : "");
  return make("label", {}, title, input, make("span", { textContent: parameter.description || "" }));
}

function request(path, method, form) {
  const query = new URLSearchParams();
  const headers = {};
  let address = path;
  for (const [key, value] of new FormData(form)) {
    const [place, ...rest] = key.split(":");
    const name = rest.join(":");
    if (value === "" && place !== "path") continue;
    if (place === "path") address = address.replace(`{${name}}`, encodeURIComponent(value));
    if (place === "query") query.set(name, value);
    if (place === "header") headers[name] = value;
  }
  const text = form.elements.body ? form.elements.body.value.trim() : "";
  if (text) headers["Content-Type"] = "application/json";
  const search = query.toString();
  return [address + (search ? `?${search}` : ""), { method, headers, body: text || undefined }];
}

async function send(path, method, form, output) {
  const [address, options] = request(path, method, form);
  output.textContent = `${method} ${address}\n…`;
  const stop = new AbortController();
  // A stream of events never ends by itself: what came within some seconds is shown.
  const timer = setTimeout(() => stop.abort(), 8000);
  let shown = "";
  try {
    const answer = await fetch(address, { ...options, signal: stop.signal });
    shown = `${method} ${address}\n${answer.status} ${answer.statusText}\n`;
    for (const name of ["location", "etag", "content-type"]) {
      if (answer.headers.has(name)) shown += `${name}: ${answer.headers.get(name)}\n`;
    }
    shown += "\n";
    let body = "";
    const reader = answer.body ? answer.body.pipeThrough(new TextDecoderStream()).getReader() : null;
    for (let part = reader && (await reader.read()); part && !part.done; part = await reader.read()) {
      body += part.value;
      output.textContent = shown + body;
    }
    try { body = JSON.stringify(JSON.parse(body), null, 2); } catch { /* no JSON: as it came */ }
    output.textContent = shown + body;
  } catch (error) {
    output.textContent += error.name === "AbortError" ? "\n(stopped after 8 s)" : `\n${error}`;
  } finally {
    clearTimeout(timer);
  }
}

function operation(api, path, method, described) {
  const output = make("pre", { hidden: true });
  const form = make("form", {}, ...(described.parameters || []).map(field));
  const body = described.requestBody;
  if (body) {
    const schema = body.content["application/json"].schema;
    const value = body.required ? JSON.stringify(example(api, schema), null, 2) : "";
    form.append(make("label", {}, "body" + (body.required ? " *" : ""), make("textarea", { name: "body", value, spellcheck: false })));
  }
  form.append(make("button", { type: "submit", textContent: "Send" }), output);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    output.hidden = false;
    send(path, method, form, output);
  });
  const summary = make("summary", {}, make("span", { className: `method ${method}`, textContent: method }),
    make("code", { textContent: path }), ` ${described.summary || ""}`);
  const details = make("details", {}, summary, form);
  details.dataset.words = `${method} ${path} ${described.summary} ${described.operationId}`.toLowerCase();
  return details;
}

function show(api) {
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").textContent = api.info.description;
  const byTag = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, described] of Object.entries(methods)) {
      const tag = described.tags[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(operation(api, path, method.toUpperCase(), described));
    }
  }
  const main = document.getElementById("operations");
  for (const [tag, operations] of byTag) {
    main.append(make("section", {}, make("h2", { textContent: tag }), ...operations));
  }
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const details of main.querySelectorAll("details")) {
      details.hidden = !details.dataset.words.includes(wanted);
    }
  });
}

fetch("/openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById("about").textContent = `The document could not be loaded: ${error}`;
});
