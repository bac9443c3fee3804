// What the page asks of the server.

import { t } from "./i18n.js";

/** The address that the server's routes begin with, whatever prefix a proxy put before it. */
export const ROOT = new URL("../", import.meta.url).href;

/** A question without an answer: `message` is a sentence for the reader, `lost` that nobody answered. */
class ApiError extends Error {
  constructor(message, lost = false) {
    super(message);
    this.lost = lost;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(ROOT + path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(t("The server does not answer."), true);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  if (typeof said.detail === "string") throw new ApiError(said.detail);
  // A proxy answers for a server that does not.
  const lost = answer.status >= 502 && answer.status <= 504;
  throw new ApiError(t("The server answered with error {status}.", { status: answer.status }), lost);
}

const json = async (path, options) => (await ask(path, options)).json();
const of = (domain) => `api/domains/${encodeURIComponent(domain)}`;
const posted = (geojson, signal) => ({
  method: "POST",
  headers: { "Content-Type": "application/geo+json" },
  body: JSON.stringify(geojson),
  signal,
});

/** All domains, colours and the server's time. */
export const domains = () => json("api/domains");

/** Observed frames and cycles of the last hours of a domain. */
export const times = (domain, hours = 3) => json(`${of(domain)}/times?hours=${hours}`);

/** The forecast at a point. */
export const point = (domain, cycle, lat, lon, signal) => json(pointPath(domain, cycle, lat, lon), { signal });

/** Address of the forecast at a point as CSV. */
export const pointCsv = (domain, cycle, lat, lon) => `${ROOT}${pointPath(domain, cycle, lat, lon)}&format=csv`;

const pointPath = (domain, cycle, lat, lon) => `${of(domain)}/cycles/${cycle}/point?lat=${lat}&lon=${lon}`;

/** The forecast over the areas of a GeoJSON object. */
export const area = (domain, cycle, geojson, signal) =>
  json(`${of(domain)}/cycles/${cycle}/area`, posted(geojson, signal));

/** The same as CSV, as a blob. */
export const areaCsv = async (domain, cycle, geojson) =>
  (await ask(`${of(domain)}/cycles/${cycle}/area?format=csv`, posted(geojson))).blob();

/** How the forecasts of the last hours did. */
export const skill = (domain) => json(`${of(domain)}/skill`);

/** Rules, alarms and what became of them. */
export const alarms = (domain) => json(`${of(domain)}/alarms`);

/** Address of the NetCDF file of a cycle. */
export const netcdf = (domain, cycle) => `${ROOT}${of(domain)}/cycles/${cycle}/nowcast.nc`;

/**
 * Address of the map tiles of a frame, with {z}, {x} and {y}.
 * @param {string} domain
 * @param {import("./frames.js").Frame} frame
 * @param {string} product of a forecast frame
 * @returns {string}
 */
export function tiles(domain, frame, product) {
  const what = frame.kind === "observed" ? `observed/${frame.stamp}` : `${frame.cycle}/${product}/${frame.lead}`;
  return `${ROOT}tiles/${encodeURIComponent(domain)}/${what}/{z}/{x}/{y}.png`;
}
