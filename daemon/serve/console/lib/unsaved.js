// Asks before a page with unsaved changes is left.

import { useEffect, useRef } from "../vendor/preact-htm.js";
import { confirmed } from "./components.js";
import { t } from "./i18n.js";

let discard = null; // of the page with unsaved changes

/** Whether the router may show the address of a hashchange event. With unsaved changes the old address stays until the
 * user has decided to discard them. */
export async function mayLeave({ oldURL, newURL }) {
  if (!discard) return true;
  history.replaceState(null, "", oldURL);
  if (await confirmed({ title: t("unsaved.title"), text: t("unsaved.text"), action: t("unsaved.discard") })) {
    discard?.();
    discard = null;
    location.href = newURL;
  }
  return false;
}

/** Hook: while `unsaved`, the browser asks before the tab is closed, and the console before another page is shown.
 * `onDiscard` is called if the user leaves without saving. */
export function useUnsaved(unsaved, onDiscard) {
  const latest = useRef(null);
  latest.current = onDiscard;
  useEffect(() => {
    if (!unsaved) return;
    const ask = (event) => event.preventDefault();
    discard = () => latest.current?.();
    addEventListener("beforeunload", ask);
    return () => {
      discard = null;
      removeEventListener("beforeunload", ask);
    };
  }, [unsaved]);
}
