// From what is chosen and written in the list of people to the filters of the API, and the people that fit.

import * as api from "../../lib/api.js";
import { conditions } from "../parts/contact_search.js";

// The API takes so many values of one filter.
const MAX_CONTACTS = 1000;

/** More contacts have the value that is looked for than a filter takes. */
export class TooMany extends Error {
  constructor(count) {
    super(`${count} contacts`);
    this.count = count;
    this.errors = {};
    this.hints = {};
  }
}

/**
 * The filters `q` of participations for a choice {outcome, reason, field, value}, of which the latter two are a search;
 * FIELDS are the paths in the contacts' metadata. Rejects with TooMany.
 */
export async function filtersOf(calloutId, { outcome, reason, field, value }, fields) {
  const q = { outcome };
  if (reason) q.outcome_reason = reason;
  const wanted = conditions({ field, value }, fields);
  if (!wanted.metadata) return { ...q, ...wanted };
  const { body, total } = await api.get(`api/callouts/${calloutId}/contacts`, { q: wanted, per_page: MAX_CONTACTS });
  if (total > MAX_CONTACTS) throw new TooMany(total);
  return { ...q, contact_id: body.length ? body.map(({ id }) => id).join() : "0" };
}

/** One page of people: {rows, total, at}; a row is a participation, with its `contact`. */
export async function findPeople(calloutId, q, page, perPage) {
  const { body, total } = await api.get(`api/callouts/${calloutId}/callout_participations`, { q, page, per_page: perPage });
  const contacts = await contactsOf(body);
  const rows = body.map((person) => ({ ...person, contact: contacts.get(person.contact_id) }));
  return { rows, total, at: new Date().toISOString() };
}

async function contactsOf(people) {
  if (people.length === 0) return new Map();
  // Who was erased has none.
  const ids = people.flatMap((person) => person.contact_id ?? []).join() || "0";
  const { body } = await api.get("api/contacts", { q: { id: ids }, per_page: people.length });
  return new Map(body.map((contact) => [contact.id, contact]));
}
