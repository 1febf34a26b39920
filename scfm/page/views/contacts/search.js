// The search for contacts, which stands in the address.

import { html, useEffect, useState } from "../../lib/ui.js";
import { t } from "../../lib/text.js";
import { SearchFields } from "../parts/contact_search.js";
import { SearchForm } from "../parts/search.js";

export function ContactSearch({ query: { field, value }, fields, onSearch }) {
  const [search, setSearch] = useState({ field, value });
  // A link may lead to another search.
  useEffect(() => setSearch({ field, value }), [field, value]);
  const clear = () => {
    setSearch({});
    onSearch({});
  };
  const submit = () => onSearch({ field: search.field, value: search.value?.trim() });
  return html`<${SearchForm} search=${submit} clear=${value && clear}>
    <${SearchFields} search=${search} fields=${fields} label=${t("contacts.search_for")} list="contact-values" onChange=${(part) => setSearch({ ...search, ...part })} />
  <//>`;
}
