// The two lists that choose what the map shows of a forecast.

import { byId, el } from "./dom.js";
import { groupsOf, groupTitle, productOf, valueTitle } from "./products.js";

/** The lists of products: what kind, and which one of it. */
export class Chooser {
  #groups = new Map();
  #last = new Map();
  #product = null;
  #onChange;

  /** @param {(product: import("./products.js").Product) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    byId("group").addEventListener("change", ({ target }) => this.#choose(this.#ofGroup(target.value)));
    byId("value").addEventListener("change", ({ target }) => this.#choose(productOf(target.value)));
  }

  /** What is chosen; null if there is nothing to choose. */
  get product() {
    return this.#product;
  }

  /**
   * Offer products.
   * @param {string[]} names in the API
   * @param {number} members of the cycle
   * @param {string|null} wanted product, else the one chosen before, else the first
   */
  offer(names, members, wanted) {
    this.#groups = groupsOf(names, members);
    const all = [...this.#groups.values()].flat();
    const find = (name) => all.find((each) => each.name === name);
    this.#product = find(wanted) ?? find(this.#product?.name) ?? find("mean") ?? all[0] ?? null;
    this.#draw();
  }

  #ofGroup(group) {
    const products = this.#groups.get(group);
    const before = this.#last.get(group);
    return products.find(({ name }) => name === before) ?? products.find(({ value }) => value === 0.5) ?? products[0];
  }

  #choose(product) {
    this.#product = product;
    this.#last.set(product.group, product.name);
    this.#draw();
    this.#onChange(product);
  }

  #draw() {
    const chosen = this.#product;
    byId("products").hidden = !chosen;
    if (!chosen) return;
    const option = (value, text, selected) => el("option", { value, selected }, text);
    byId("group").replaceChildren(
      ...[...this.#groups].map(([group, [first]]) => option(group, groupTitle(first), group === chosen.group)),
    );
    const products = this.#groups.get(chosen.group);
    byId("value").replaceChildren(
      ...products.map((each) => option(each.name, valueTitle(each), each.name === chosen.name)),
    );
    byId("value").hidden = products.length < 2;
  }
}
