// The maps that a forecast can be shown as, by their names in the API.

import { number, percent, t } from "./i18n.js";

/**
 * @typedef {object} Product
 * @property {string} name in the API, such as amount-60min-quantile-0.9
 * @property {string} group products that differ in one number only
 * @property {number|null} value that number
 * @property {string|null} period of an amount, such as 60min
 * @property {"rate"|"amount"|"probability"} scale of its colours
 */

const PATTERN = /^(?:(amount)-([^-]+)-)?(mean|member|quantile|probability)(?:-(.+))?$/;

/**
 * A product by its name; null if the page does not know its kind.
 * @param {string} name
 * @returns {Product|null}
 */
export function productOf(name) {
  const found = PATTERN.exec(name);
  if (!found) return null;
  const [, amount, period, kind, value] = found;
  return {
    name,
    group: amount ? `amount-${period}-${kind}` : kind,
    value: value === undefined ? null : Number(value),
    period: period ?? null,
    scale: kind === "probability" ? "probability" : amount ? "amount" : "rate",
  };
}

/**
 * Products of a domain in the order in which they are offered, members no more than a cycle has.
 * @param {string[]} names
 * @param {number} members of the cycle
 * @returns {Map<string, Product[]>} by group
 */
export function groupsOf(names, members) {
  const groups = new Map();
  for (const product of names.map(productOf).filter(Boolean)) {
    groups.set(product.group, [...(groups.get(product.group) ?? []), product]);
  }
  for (const [group, products] of groups) {
    products.sort((a, b) => a.value - b.value);
    if (group === "member") groups.set(group, products.slice(0, Math.max(1, members)));
  }
  return groups;
}

/** A period such as 60min or 2h with a space before its unit. */
export const periodText = (period) => period.replace(/^([\d.]+)\s*([a-z]+)$/i, "$1 $2");

/** What all products of a group show. */
export function groupTitle({ group, period }) {
  if (group === "mean") return t("Mean of the members");
  if (group === "member") return t("One member");
  if (group === "quantile") return t("Quantile of the rate");
  if (group === "probability") return t("Probability of rain");
  const values = { period: periodText(period) };
  return group.endsWith("probability") ? t("Probability of an amount in {period}", values) : t("Amount in {period}", values);
}

/** What tells a product from the others of its group. */
export function valueTitle({ group, value, scale, period }) {
  if (group === "member") return t("Member {number}", { number: value });
  if (scale === "probability") return `≥ ${number(value, 2)} ${period ? "mm" : "mm/h"}`;
  if (value === null) return "";
  return value === 0.5 ? t("Median") : t("{share} quantile", { share: percent(value) });
}

/** Both in one line. */
export function productTitle(product) {
  return [groupTitle(product), valueTitle(product)].filter(Boolean).join(", ");
}
