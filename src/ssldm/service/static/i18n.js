// The words of the page. English stands in the code; i18n/<language>.json holds the others by their English.

const FILES = ["de", "nl", "fr"];
let words = {};
let chosen = "en";

/** The language of the page as the browser names it, such as "de-AT". */
export const language = () => chosen;

/**
 * Take the first of the browser's languages that the page has; English if none.
 * @returns {Promise<void>}
 */
export async function loadLanguage() {
  const short = (each) => each.slice(0, 2).toLowerCase();
  chosen = navigator.languages.find((each) => short(each) === "en" || FILES.includes(short(each))) ?? "en";
  if (short(chosen) !== "en") {
    try {
      const answer = await fetch(new URL(`i18n/${short(chosen)}.json`, import.meta.url));
      if (!answer.ok) throw new Error(answer.statusText);
      words = await answer.json();
    } catch {
      chosen = "en";
    }
  }
  document.documentElement.lang = chosen;
}

/**
 * A text in the language of the page.
 * @param {string} text in English; `{name}` stands for a value
 * @param {Object<string, string|number>} values
 * @returns {string}
 */
export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Translate the elements of the document: `data-i18n` their text, `data-i18n-label` their label and tip. */
export function translateDocument() {
  document.title = t(document.title);
  for (const node of document.querySelectorAll("[data-i18n]")) node.textContent = t(node.textContent.trim());
  for (const node of document.querySelectorAll("[data-i18n-label]")) {
    const label = t(node.getAttribute("aria-label"));
    node.setAttribute("aria-label", label);
    if (node.hasAttribute("title")) node.title = label;
  }
}

/**
 * A number in the language of the page.
 * @param {number|null|undefined} value; a dash if unknown
 * @param {number} digits behind the point at most
 * @returns {string}
 */
export function number(value, digits = 1) {
  if (value === null || value === undefined) return "–";
  return new Intl.NumberFormat(chosen, { maximumFractionDigits: digits }).format(value);
}

/**
 * A share as percent.
 * @param {number|null|undefined} value 0 to 1
 * @returns {string}
 */
export function percent(value) {
  if (value === null || value === undefined) return "–";
  return new Intl.NumberFormat(chosen, { style: "percent", maximumFractionDigits: 0 }).format(value);
}
