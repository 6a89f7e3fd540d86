// The query of the address as state of a page: a link to the page shows the same again.

import { useEffect, useState } from "../vendor/preact-htm.js";
import { queryOf, replaceQuery } from "../routes.js";

/** Hook: `[query, change]`; `change({name: value})` sets values, and removes those that are empty. */
export function useQuery() {
  const [query, set] = useState(queryOf);
  useEffect(() => {
    const changed = () => set(queryOf());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const change = (values) => {
    replaceQuery({ ...queryOf(), ...values });
    set(queryOf());
  };
  return [query, change];
}
