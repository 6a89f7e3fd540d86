// Login with a token. What the server offers beside it (OIDC) comes with the answer of /api/v1/me.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Button, ErrorNote, Field } from "../lib/components.js";
import { t } from "../lib/i18n.js";
import { login, session, useStore } from "../lib/store.js";

export default function Login() {
  const who = useStore(session);
  const [token, setToken] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef(null);
  useEffect(() => {
    document.title = `${t("login.title")} · sightd`;
    form.current.querySelector("input").focus();
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
    <${Field} label=${t("login.token")} hint=${t("login.hint")} type="password" name="token" autocomplete="current-password"
      required value=${token} onInput=${setToken} />
    <${ErrorNote} error=${error} />
    <${Button} kind="primary" type="submit" busy=${busy}>${t("login.submit")}<//>
    ${who?.login?.oidc && html`<a class="button" href="api/v1/login/oidc">${t("login.oidc")}</a>`}</form>`;
}
