// What is shown for an address that no page has.

import { html } from "../vendor/preact-htm.js";
import { Empty, PageHead } from "../lib/components.js";
import { t } from "../lib/i18n.js";

export default function Missing({ path }) {
  return html`<${PageHead} title=${t("missing.title")} />
    <${Empty} icon="search"><p>${t("missing.text", { path })}</p><p><a href="#/">${t("missing.home")}</a></p><//>`;
}
