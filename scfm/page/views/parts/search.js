// A search whose fields stand in the address, so that it can be linked to and gone back to.

import { html, useEffect, useState, Button, Form } from "../../lib/ui.js";
import { replaceQuery } from "../../lib/router.js";
import { t } from "../../lib/text.js";

/**
 * What is written in the fields, which begin with those of the address, `query`: {wanted, change, search, clear}.
 * `change(name)` takes a field's value; `search` and `clear` put what is wanted, or nothing, into the address.
 */
export function useSearch(query) {
  const [wanted, setWanted] = useState(query);
  // A link may lead to another search.
  useEffect(() => setWanted(query), [JSON.stringify(query)]);
  return {
    wanted,
    change: (name) => (value) => setWanted({ ...wanted, [name]: value }),
    search: () => replaceQuery({ ...wanted, page: undefined }),
    clear: () => {
      setWanted({});
      replaceQuery({});
    },
  };
}

/** The fields, which are `children`, and the buttons; without `clear` only that which searches. */
export const SearchForm = ({ search, clear, children }) => html`<${Form} class="search" role="search" onSubmit=${search}>
  ${children}
  <div class="actions">
    <${Button} type="submit" kind="primary">${t("contacts.search")}<//>
    ${clear && html`<${Button} onClick=${clear}>${t("contacts.show_all")}<//>`}
  </div>
<//>`;
