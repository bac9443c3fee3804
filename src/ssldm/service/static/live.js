// News from the server: by its events, and by asking where these do not come.

import { ROOT } from "./api.js";

const POLL = 30e3;
const QUIET = 60e3;

/**
 * Call back on each new frame or cycle, and from time to time without any.
 *
 * While events come, the server is asked only after a quiet minute; while they do not, each 30 seconds.
 * @param {() => void} onNews
 */
export function listen(onNews) {
  let source = null;
  let broken = false;
  let latest = Date.now();

  const news = () => {
    latest = Date.now();
    onNews();
  };

  const changed = (nowBroken) => {
    if (nowBroken !== broken) news();
    broken = nowBroken;
  };

  const open = () => {
    source = new EventSource(`${ROOT}api/events`);
    source.addEventListener("open", () => changed(false));
    source.addEventListener("frame", news);
    source.addEventListener("cycle", news);
    source.addEventListener("error", () => {
      changed(true);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, POLL);
    });
  };

  open();
  setInterval(() => {
    if (broken || Date.now() - latest >= QUIET) news();
  }, POLL);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) news();
  });
  addEventListener("online", news);
}
