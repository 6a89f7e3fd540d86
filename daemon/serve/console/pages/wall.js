// All cameras at once.

import { html } from "../vendor/preact-htm.js";
import { ErrorNote, Empty, Loading, PageHead, StateBadge } from "../lib/components.js";
import { t } from "../lib/i18n.js";
import { useStatus } from "../lib/store.js";
import { cameraLink } from "../routes.js";

export default function Wall() {
  const { data, error } = useStatus();
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  return html`<${PageHead} title=${t("live.title")} />
    ${!data.cameras.length && html`<${Empty} icon="camera" title=${t("live.none.title")}>${t("live.none.text")}<//>`}
    <div class="grid">${data.cameras.map((camera) => html`<section class="card" key=${camera.name}>
      <h2><a href=${cameraLink("camera", camera.name)}>${camera.title}</a></h2><${StateBadge} state=${camera.state} reason=${camera.reason} /></section>`)}</div>`;
}
