// Who is signed in, and what they may do. The server decides; the page hides what it would refuse.

import * as api from "./api.js";

// In the order of what they may do: each may what the one before may.
export const ROLES = ["viewer", "operator", "approver", "admin"];

/** user: {id, email, role}, account: {id, settings}; both null while nobody is signed in. */
export const session = { user: null, account: null };

const listeners = new Set();
// What waits for the user whose session has ended to sign in again: {userId, promise, resolve}.
let waiting = null;
let token = null;

/** Be told when somebody has signed in or out; gives what ends that. */
export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether the role of who is signed in reaches `role`. Users without a role are admins. */
export const may = (role) => session.user !== null && ROLES.indexOf(session.user.role ?? "admin") >= ROLES.indexOf(role);

function adopt(body) {
  session.user = body?.user ?? null;
  session.account = body?.account ?? null;
  token = body?.csrf_token ?? null;
  api.useSession({ token });
  for (const listener of [...listeners]) listener();
}

/** Whether something waits for who was signed in to sign in again. */
export const isExpired = () => waiting !== null;

/** Ask the server who is signed in; null is nobody. Rejects with an ApiError if it cannot be asked. */
export async function load() {
  try {
    adopt((await api.get("session", {}, { renew: false })).body);
  } catch (error) {
    if (error.status !== 401 && error.status !== 404) throw error;
    adopt(null);
  }
  return session.user;
}

/**
 * Sign in; what waits for that goes on if it is the same user's. Rejects with an ApiError: 401 for a wrong password, 429
 * for too many of them.
 */
export async function signIn(email, password) {
  adopt((await api.post("session", { email, password }, { renew: false })).body);
  waiting?.resolve(waiting.userId === session.user.id);
  waiting = null;
}

export async function signOut() {
  await api.remove("session", undefined, { renew: false }).catch((error) => {
    if (error.status !== 401) throw error;
  });
  // What was being written is for nobody else who uses this tab.
  sessionStorage.clear();
  adopt(null);
}

/**
 * The server knows the session no more: the sign-in form comes, and this resolves when somebody has signed in, to
 * whether that is the same user.
 */
function renewed() {
  // The answer to what was asked before somebody signed out.
  if (waiting === null && session.user === null) return false;
  if (waiting === null) {
    waiting = { userId: session.user.id };
    waiting.promise = new Promise((resolve) => (waiting.resolve = resolve));
    adopt(null);
  }
  return waiting.promise;
}

/** Whether the server now tells another CSRF token than before, to the same user. */
async function refreshed() {
  const { body } = await api.get("session", {}, { renew: false }).catch(() => ({ body: null }));
  if (!body || body.csrf_token === token) return false;
  const isSame = body.user.id === session.user?.id;
  adopt(body);
  return isSame;
}

api.useSession({ renewed, refreshed });
