// The permalink: what the page shows, in the hash of its address.

/**
 * @typedef {object} Link
 * @property {string|null} domain
 * @property {string|null} show product
 * @property {{zoom: number, lat: number, lon: number}|null} map
 * @property {{lat: number, lon: number}|null} point
 */

const numbers = (text, count) => {
  const found = (text ?? "").split("/").map(Number);
  return text && found.length === count && found.every(Number.isFinite) ? found : null;
};

/**
 * What the address asks for.
 * @returns {Link}
 */
export function readLink() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const map = numbers(asked.get("map"), 3);
  const point = numbers(asked.get("point"), 2);
  return {
    domain: asked.get("domain"),
    show: asked.get("show"),
    map: map && Math.abs(map[1]) <= 90 ? { zoom: map[0], lat: map[1], lon: map[2] } : null,
    point: point && Math.abs(point[0]) <= 90 ? { lat: point[0], lon: point[1] } : null,
  };
}

/**
 * Put what is shown into the address, without a new step in the browser's history.
 * @param {Link} link
 */
export function writeLink({ domain, show, map, point }) {
  const parts = [];
  if (domain) parts.push(`domain=${encodeURIComponent(domain)}`);
  if (show) parts.push(`show=${encodeURIComponent(show)}`);
  if (map) parts.push(`map=${map.zoom.toFixed(2)}/${map.lat.toFixed(4)}/${map.lon.toFixed(4)}`);
  if (point) parts.push(`point=${point.lat}/${point.lon}`);
  const hash = `#${parts.join("&")}`;
  if (hash !== location.hash) history.replaceState(null, "", hash);
}
