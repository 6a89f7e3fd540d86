// The console: navigation, the router over location.hash, and who is logged in.

import { html, render, useEffect, useState } from "./vendor/preact-htm.js";
import { onUnauthorized } from "./lib/api.js";
import { Boundary, Button, Choice, ErrorNote, Icon, Loading, Overlays } from "./lib/components.js";
import { chooseLanguage, language, languages, onLanguage, t, useLanguage } from "./lib/i18n.js";
import { applyTheme, chooseTheme, loadSession, logout, may, session, theme, useStatus, useStore } from "./lib/store.js";
import { mayLeave } from "./lib/unsaved.js";
import { link, navigation, routeOf } from "./routes.js";

/** Hook: the route of the address. */
function useRoute() {
  const [route, set] = useState(routeOf(location.hash));
  useEffect(() => {
    const changed = async (event) => (await mayLeave(event)) && set(routeOf(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

const loaded = new Map();

/** Loads a page's module, once. */
function load(module) {
  if (!loaded.has(module)) loaded.set(module, import(`./pages/${module}.js`));
  return loaded.get(module);
}

function Page({ route }) {
  const [page, set] = useState(null);
  const { module } = route;
  useEffect(() => {
    let current = true;
    load(module).then(
      (found) => current && set({ module, component: found.default }),
      (error) => {
        loaded.delete(module);
        if (current) set({ module, error: new Error(t("errors.page", { reason: error.message })) });
      },
    );
    return () => (current = false);
  }, [module]);
  if (page?.module !== module) return html`<${Loading} />`;
  if (page.error) return html`<${ErrorNote} error=${page.error} />`;
  return html`<${Boundary} key=${route.path}><${page.component} ...${route.parameters} /><//>`;
}

const THEMES = { light: "sun", dark: "moon", auto: "auto" };

function Preferences() {
  const current = useStore(theme);
  return html`<div class="preferences">
    <${Choice} label=${t("shell.theme")} value=${current} onChange=${chooseTheme}
      options=${Object.entries(THEMES).map(([value, icon]) => ({ value, icon, label: t(`shell.themes.${value}`) }))} />
    <label class="hidden" for="language">${t("shell.language")}</label>
    <select id="language" value=${language()} onChange=${(event) => chooseLanguage(event.target.value)}>
      ${Object.entries(languages).map(([value, name]) => html`<option value=${value} lang=${value} selected=${value === language()}>${name}</option>`)}
    </select></div>`;
}

function Daemon() {
  const { data, error } = useStatus();
  const [tone, text] = error ? ["bad", t("shell.unreachable")] : data?.ready ? ["good", t("shell.ready")] : ["warn", t("shell.notReady")];
  if (!data && !error) return null;
  return html`<p class="daemon" title=${error?.message ?? data.reasons.join("\n")}><span class="dot ${tone}"></span>${text}
    ${data && html`<span class="dim">${data.version}</span>`}</p>`;
}

function Person({ who }) {
  if (!who.login.token && !who.login.oidc) return null;
  const name = may("admin", who) ? html`<a href=${link("/settings/users")}>${who.name}</a>` : who.name;
  return html`<div class="person"><span title=${t(`roles.${who.role}`)}>${name}</span>
    ${["session", "oidc"].includes(who.how) && html`<${Button} kind="quiet" icon="logout" label=${t("shell.logout")} onClick=${logout} />`}</div>`;
}

function Navigation({ route, who, open, close }) {
  return html`<nav class="side ${open ? "open" : ""}" id="navigation" aria-label=${t("shell.navigation")}>
    <a class="brand" href="#/" onClick=${close}><img src="console/icon.svg" alt="" width="28" height="28" />sightd</a>
    <ul>${navigation.filter((one) => may(one.role, who)).map((one) => html`<li><a href=${link(one.path)} onClick=${close}
      aria-current=${route.section === one.section ? "page" : undefined}><${Icon} name=${one.icon} />${t(`nav.${one.section}`)}</a></li>`)}</ul>
    <div class="foot"><${Daemon} /><${Preferences} /><${Person} who=${who} /></div></nav>`;
}

function focusMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function Shell({ who }) {
  const route = useRoute();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const escape = (event) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, []);
  return html`<a class="skip" href="#main" onClick=${focusMain}>${t("shell.skip")}</a>
    <header class="top"><${Button} kind="quiet" icon=${open ? "close" : "menu"} label=${t("shell.menu")} aria-expanded=${String(open)}
      aria-controls="navigation" onClick=${() => setOpen(!open)} /><a class="brand" href="#/">sightd</a></header>
    <${Navigation} route=${route} who=${who} open=${open} close=${() => setOpen(false)} />
    ${open && html`<div class="shade" onClick=${() => setOpen(false)}></div>`}
    <main id="main" tabindex="-1"><${Page} route=${route} /></main>`;
}

const LOGIN = routeOf("#/login");

/** Asks who is logged in, and shows the login page to those who are not. */
function Application() {
  const who = useStore(session);
  const [error, setError] = useState(null);
  const [, changed] = useState(0);
  const ask = () => loadSession().then(() => setError(null), setError);
  useEffect(() => {
    ask();
    return onLanguage(() => changed((before) => before + 1));
  }, []);
  useEffect(() => onUnauthorized(() => session.value?.role && session.set({ ...session.value, role: null })), []);
  let shown = html`<${Loading} />`;
  if (who?.role) shown = html`<${Shell} who=${who} />`;
  else if (who) shown = html`<main id="main" class="alone"><${Page} route=${LOGIN} /></main>`;
  else if (error) shown = html`<main class="alone"><${ErrorNote} error=${error} retry=${ask} /></main>`;
  return html`<div class="app" key=${language()}>${shown}<${Overlays} /></div>`;
}

applyTheme();
load(routeOf(location.hash).module).catch(() => {}); // meanwhile; what fails is shown by the page
await useLanguage();
render(html`<${Application} />`, document.getElementById("app"));
