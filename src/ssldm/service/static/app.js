// The beginning of the page: it asks for the domains, puts the parts together and listens.

import * as api from "./api.js";
import { byId, el } from "./dom.js";
import { loadLanguage, t, translateDocument } from "./i18n.js";
import { startKeys } from "./keys.js";
import { readLink } from "./link.js";
import { listen } from "./live.js";
import { RainMap } from "./map.js";
import { Page } from "./page.js";
import { close, startPanel } from "./panel.js";
import { showConnection, tell } from "./status.js";
import { isDark, startTheme } from "./theme.js";

const RETRY = 5e3;
const AGE = 10e3;

/** The domains, as soon as the server tells them. */
async function firstAnswer() {
  for (;;) {
    try {
      const about = await api.domains();
      if (about.domains.length) return about;
      tell(t("The server has no domains yet."));
    } catch (error) {
      if (error.lost) showConnection(false);
      else tell(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

function offerDomains(page) {
  const { domains } = page.about;
  const list = byId("domain");
  list.replaceChildren(...domains.map(({ name, title }) => el("option", { value: name }, title || name)));
  list.hidden = domains.length < 2;
  byId("title-domain").textContent = domains.length < 2 ? domains[0].title || domains[0].name : "";
  list.addEventListener("change", async () => {
    close();
    await page.choose(list.value);
    if (page.domain.bounds) page.map.fit(page.domain.bounds);
  });
}

function listenToButtons(page) {
  byId("show-skill").addEventListener("click", () => page.toggle("skill"));
  byId("show-alarms").addEventListener("click", () => page.toggle("alarms"));
  byId("message-close").addEventListener("click", () => {
    byId("message").hidden = true;
  });
  byId("load").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) page.load(target.files[0]);
    target.value = "";
  });
  startPanel(() => page.closed());
  startKeys(page.timeline);
}

async function start() {
  await loadLanguage();
  translateDocument();
  let map = null;
  startTheme(byId("theme"), (dark) => map?.paint(dark));
  const about = await firstAnswer();
  const link = readLink();
  const first = about.domains.find(({ name }) => name === link.domain) ?? about.domains[0];
  map = new RainMap({ container: "map", dark: isDark(), base: about.base, bounds: first.bounds, view: link.map });
  await map.load((address, whole) => {
    byId("map").dataset.shown = address;
    byId("partial").hidden = whole;
  });
  const page = new Page(about, map);
  offerDomains(page);
  listenToButtons(page);
  await page.choose(first.name, link.show);
  if (link.point) page.askPoint(link.point, false);
  addEventListener("hashchange", () => page.go(readLink()));
  listen(() => page.refresh());
  setInterval(() => page.tick(), AGE);
  document.documentElement.dataset.ready = "true";
}

start();
