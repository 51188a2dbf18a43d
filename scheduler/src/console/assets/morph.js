// Makes one tree of elements like another, changing only what differs: focus, scroll positions, open
// details and text being selected stay. Absent: where the other tree comes from.

const kept = (element) => element.hasAttribute("data-keep");

function attributes(from, to) {
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    // Whether it is open is its reader's business.
    if (!to.hasAttribute(name) && !(name === "open" && from.localName === "details")) from.removeAttribute(name);
  }
}

const alike = (a, b) =>
  a.nodeType === b.nodeType && (a.nodeType !== Node.ELEMENT_NODE || (a.localName === b.localName && a.id === b.id));

export function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (kept(from) || from.isEqualNode(to)) return;
  attributes(from, to);
  // What is being typed is not overwritten.
  if (["input", "select", "textarea"].includes(from.localName)) return;
  const old = [...from.childNodes];
  const fresh = [...to.childNodes];
  fresh.forEach((node, place) => {
    const present = old[place];
    if (!present) from.append(document.importNode(node, true));
    else if (alike(present, node)) morph(present, node);
    else present.replaceWith(document.importNode(node, true));
  });
  for (const node of old.slice(fresh.length)) node.remove();
}
