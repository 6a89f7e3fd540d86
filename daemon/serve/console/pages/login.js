// Login with a token, or at an OpenID provider, as the server offers it.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Button, ErrorNote, Field } from "../lib/components.js";
import { hasText, t } from "../lib/i18n.js";
import { login, session, useStore } from "../lib/store.js";
import { queryOf, replaceQuery } from "../routes.js";

/** Why the provider's login failed, as the server says it in the address. */
function problemText(problem) {
  const key = `login.problems.${problem}`;
  return t(hasText(key) ? key : "login.problems.refused");
}

export default function Login() {
  const who = useStore(session);
  const [token, setToken] = useState("");
  const [error, setError] = useState(() => (queryOf().problem ? problemText(queryOf().problem) : null));
  const [busy, setBusy] = useState(false);
  const form = useRef(null);
  const { token: byToken, oidc } = who.login;
  useEffect(() => {
    if (who.role) location.replace("#/");
  }, [who.role]);
  useEffect(() => {
    document.title = `${t("login.title")} · sightd`;
    replaceQuery({});
    form.current.querySelector("input, a")?.focus();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    await login(token).catch(setError);
    setBusy(false);
  };
  return html`<form class="card login" ref=${form} onSubmit=${submit}>
    <img src="console/icon.svg" alt="" width="48" height="48" /><h1>${t("login.title")}</h1>
    <${ErrorNote} error=${error} />
    ${oidc && html`<a class="button ${byToken ? "" : "primary"}" href="api/v1/login/oidc">${t("login.oidc")}</a>`}
    ${byToken && html`<${Field} label=${t("login.token")} hint=${t("login.hint")} type="password" name="token" autocomplete="current-password"
        required value=${token} onInput=${setToken} />
      <${Button} kind="primary" type="submit" busy=${busy}>${t("login.submit")}<//>`}</form>`;
}
