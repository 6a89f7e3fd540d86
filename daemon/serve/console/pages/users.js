// Who has access: tokens with their roles, which are created and revoked here, and how the reader is logged in.

import { html, useState } from "../vendor/preact-htm.js";
import { get, send } from "../lib/api.js";
import { Badge, Button, Card, confirmed, Dialog, ErrorNote, Field, Loading, PageHead, Select, Table, toast, useLoaded } from "../lib/components.js";
import { ago, dateTime, t } from "../lib/i18n.js";
import { session, useStore } from "../lib/store.js";

const PATH = "api/v1/tokens";
const ROLES = ["view", "operate", "admin"];
const TONES = { view: "quiet", operate: "accent", admin: "warn" };

function Role({ role }) {
  return html`<${Badge} tone=${TONES[role]}>${t(`roles.${role}`)}<//>`;
}

/** Asks for name and role; calls `onCreated` with the new token. */
function NewToken({ onCreated, onClose }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("view");
  const [error, setError] = useState(null);
  const create = async (event) => {
    event?.preventDefault();
    setError(null);
    await send("POST", PATH, { name, role }).then(onCreated, setError);
  };
  return html`<${Dialog} title=${t("users.create")} onClose=${onClose} actions=${html`
      <${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" form="new-token">${t("users.create")}<//>`}>
    <form id="new-token" class="stack" onSubmit=${create}>
      <${Field} label=${t("users.name")} hint=${t("users.nameHint")} value=${name} onInput=${setName} required pattern="[a-z0-9][a-z0-9_\\-]{0,62}"
        autocomplete="off" spellcheck="false" />
      <${Select} label=${t("users.role")} hint=${t("users.roleHint")} value=${role} onChange=${setRole}
        options=${ROLES.map((one) => [one, t(`roles.${one}`)])} />
      <${ErrorNote} error=${error} /></form><//>`;
}

/** Shows a new token, this once. */
function Created({ created, onClose }) {
  const copy = async () => {
    await navigator.clipboard.writeText(created.token);
    toast(t("users.copied"), "good");
  };
  return html`<${Dialog} title=${t("users.created", { name: created.name })} onClose=${onClose} actions=${html`
      ${navigator.clipboard && html`<${Button} onClick=${copy}>${t("users.copy")}<//>`}
      <${Button} kind="primary" onClick=${onClose}>${t("common.close")}<//>`}>
    <div class="stack"><${Field} label=${t("users.token")} hint=${t("users.once")} value=${created.token} readonly spellcheck="false"
      onFocus=${(event) => event.target.select()} /></div><//>`;
}

export default function Users() {
  const who = useStore(session);
  const { data, error, reload } = useLoaded((signal) => get(PATH, { signal }), []);
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const created = (token) => {
    setDialog(html`<${Created} created=${token} onClose=${close} />`);
    reload();
  };
  const revoke = async (token) => {
    const question = { title: t("users.revoke"), text: t("users.revokeText", { name: token.name }), action: t("users.revoke") };
    if (!(await confirmed(question))) return;
    await send("DELETE", `${PATH}/${encodeURIComponent(token.name)}`);
    reload();
  };
  const columns = [
    { title: t("users.name"), cell: (one) => one.name },
    { title: t("users.role"), cell: (one) => html`<${Role} role=${one.role} />` },
    { title: t("users.from"), cell: (one) => (one.created ? dateTime(one.created) : t("users.configuration")) },
    { title: t("users.used"), cell: (one) => (one.last_used ? ago(one.last_used) : t("users.unused")) },
    { title: t("users.change"), cell: (one) => one.created && html`<${Button} kind="quiet" icon="trash"
        label=${t("users.revokeOne", { name: one.name })} onClick=${() => revoke(one)} />` },
  ];
  return html`<${PageHead} title=${t("users.title")}>
      ${data && html`<${Button} kind="primary" icon="plus" onClick=${() => setDialog(html`<${NewToken} onCreated=${created} onClose=${close} />`)}>
        ${t("users.create")}<//>`}<//>
    <div class="stack"><p>${t(`users.how.${who.how}`, { name: who.name })} <${Role} role=${who.role} /></p>
    <${ErrorNote} error=${error} retry=${reload} />
    ${!data && !error && html`<${Loading} />`}
    ${data && html`<${Card} title=${t("users.tokens")}><div class="stack"><p class="dim">${t("users.about")}</p>
      <${Table} caption=${t("users.tokens")} columns=${columns} rows=${data} rowKey=${(one) => `${one.source} ${one.name}`} empty=${t("users.none")} /></div><//>`}
    </div>${dialog}`;
}
