// Making and finding elements.

const SVG = "http://www.w3.org/2000/svg";

/**
 * The element with an id, which has to be there.
 * @param {string} id
 * @returns {HTMLElement}
 */
export const byId = (id) => document.getElementById(id);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((each) => each !== null && each !== undefined));
  return node;
}

/**
 * A new HTML element.
 * @param {string} name of the tag
 * @param {Object<string, any>} attributes; a function listens to the event of its name, null is left out
 * @param {...(Node|string|null|Array)} children
 * @returns {HTMLElement}
 */
export const el = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);

/**
 * A new SVG element, as `el`.
 * @returns {SVGElement}
 */
export const svg = (name, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, name), attributes, children);

/**
 * A table that can be folded out, with the numbers of a chart.
 * @param {string} title
 * @param {string[]} heads of the columns; the first column holds the heads of the rows
 * @param {string[][]} rows
 * @returns {HTMLElement}
 */
export function foldedTable(title, heads, rows) {
  return el(
    "details",
    { class: "numbers" },
    el("summary", {}, title),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      el(
        "table",
        {},
        el("caption", { class: "hidden-text" }, title),
        el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
        el(
          "tbody",
          {},
          rows.map(([head, ...cells]) =>
            el("tr", {}, el("th", { scope: "row" }, head), cells.map((cell) => el("td", {}, cell))),
          ),
        ),
      ),
    ),
  );
}
