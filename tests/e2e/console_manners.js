// What is wrong with the page as a whole, as a list of sentences. Run in the page by a test.
const wrong = [];
const shown = (element) => element.checkVisibility({ visibilityProperty: true });
const say = (element, text) => wrong.push(`${text}: ${element.outerHTML.slice(0, 160)}`);

if (document.querySelectorAll("h1").length !== 1) wrong.push("there is not exactly one h1");
if (!document.documentElement.lang) wrong.push("the page says no language");
if (!document.querySelector("main")) wrong.push("there is no main");

for (const element of document.querySelectorAll("[style], [onclick], script:not([src]), style")) say(element, "inline");

for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
  const named = field.labels?.length || field.getAttribute("aria-label") || field.getAttribute("aria-labelledby");
  if (!named) say(field, "a field without a label");
}
for (const element of document.querySelectorAll("a, button, summary")) {
  if (!shown(element)) continue;
  const title = element.querySelector("title")?.textContent;
  if (!(element.innerText ?? "").trim() && !element.getAttribute("aria-label") && !title) say(element, "nothing to say what it does");
}
for (const chart of document.querySelectorAll("main svg")) {
  if (!chart.getAttribute("aria-label") && chart.getAttribute("aria-hidden") !== "true") say(chart, "a chart without words");
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) wrong.push(`two elements are #${id}`);

// Contrast as WCAG 2 has it: 4.5, and 3 for large text.
function parsed(colour) {
  const canvas = parsed.canvas ??= Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return { rgb: [r, g, b], alpha: a / 255 };
}
function background(element) {
  let layers = [];
  for (let at = element; at; at = at.parentElement) {
    const layer = parsed(getComputedStyle(at).backgroundColor);
    layers.push(layer);
    if (layer.alpha === 1) break;
  }
  let colour = [255, 255, 255];
  for (const { rgb, alpha } of layers.reverse()) colour = colour.map((under, i) => rgb[i] * alpha + under * (1 - alpha));
  return colour;
}
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const seen = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.nodeValue.trim() || element.closest("svg, option, noscript, script") || !shown(element)) continue;
  const style = getComputedStyle(element);
  const under = background(element);
  const ink = parsed(style.color);
  const over = ink.rgb.map((value, i) => value * ink.alpha + under[i] * (1 - ink.alpha));
  const [light, dark] = [luminance(over), luminance(under)].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && Number(style.fontWeight) >= 700);
  const key = `${style.color} on ${under.map(Math.round)}`;
  if (ratio < (large ? 3 : 4.5) && !seen.has(key)) {
    seen.add(key);
    say(element, `contrast ${ratio.toFixed(2)} (${key})`);
  }
}
return wrong;
