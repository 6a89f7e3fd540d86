// Asks before a page with unsaved changes is left.

import { useEffect, useRef } from "../vendor/preact-htm.js";
import { confirmed } from "./components.js";
import { t } from "./i18n.js";

/** Hook: while `unsaved`, the browser asks before the tab is closed, and the console before another page is shown;
 * `onDiscard` is called if the user leaves without saving. */
export function useUnsaved(unsaved, onDiscard) {
  const latest = useRef(null);
  latest.current = onDiscard;
  useEffect(() => {
    if (!unsaved) return;
    const control = new AbortController();
    const ask = async (event) => {
      event.stopImmediatePropagation(); // the router, which listens without `capture`, stays where it is
      history.replaceState(null, "", event.oldURL);
      const answer = await confirmed({ title: t("unsaved.title"), text: t("unsaved.text"), action: t("unsaved.discard") });
      if (!answer) return;
      control.abort();
      latest.current?.();
      location.href = event.newURL;
    };
    addEventListener("hashchange", ask, { capture: true, signal: control.signal });
    addEventListener("beforeunload", (event) => event.preventDefault(), { signal: control.signal });
    return () => control.abort();
  }, [unsaved]);
}
