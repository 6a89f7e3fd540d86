// One camera, large.

import { html } from "../vendor/preact-htm.js";
import { PageHead } from "../lib/components.js";
import { useStatus } from "../lib/store.js";

export default function Camera({ name }) {
  const { data } = useStatus();
  const camera = data?.cameras.find((one) => one.name === name);
  return html`<${PageHead} title=${camera?.title ?? name} back="#/" />`;
}
