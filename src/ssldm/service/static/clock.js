// Times: of the server, which may replay the past, and as text.

import { language } from "./i18n.js";

let ahead = 0;

/**
 * Set the clock to the server's.
 * @param {string} iso the server's time
 */
export function setClock(iso) {
  ahead = Date.parse(iso) - Date.now();
}

/** The server's time in milliseconds. */
export const serverNow = () => Date.now() + ahead;

/**
 * A compact stamp as time.
 * @param {string|null} stamp such as 20100826T033000Z
 * @returns {number|null} milliseconds
 */
export function timeOf(stamp) {
  if (!stamp) return null;
  return Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
}

const formats = new Map();

function format(time, key, options) {
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language(), options));
  return formats.get(key).format(time);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** A time as hours and minutes in UTC, with "UTC". */
export const utc = (time) => `${format(time, "utc", { ...CLOCK, timeZone: "UTC" })} UTC`;

/** A time as hours and minutes on the reader's own clock. */
export const local = (time) => format(time, "local", CLOCK);

/** A time as day and month on the reader's own clock. */
export const day = (time) => format(time, "day", { weekday: "short", day: "numeric", month: "short", year: "numeric" });

/** The short name of the reader's own time zone at a time. */
export function zone(time) {
  const parts = new Intl.DateTimeFormat(language(), { timeZoneName: "short" }).formatToParts(time);
  return parts.find((each) => each.type === "timeZoneName")?.value ?? "";
}
