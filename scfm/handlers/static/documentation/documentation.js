"use strict";
// Shows the OpenAPI document of this server in Swagger UI. Requests go to where the document came from, without cookies:
// what they may do is what the token may that is entered under Authorize.

const DOCUMENT = document.getElementById("document").href;
const ROOT = DOCUMENT.slice(0, -"/api/openapi.json".length);

/** The document, as this page can use it: for the server that it came from, and without signing in by cookie. */
function asTried(api) {
  const schemes = Object.entries(api.components.securitySchemes).filter(([, scheme]) => scheme.in !== "cookie");
  const known = Object.fromEntries(schemes);
  const usable = (security) => security.filter((one) => Object.keys(one).every((name) => name in known));
  for (const operation of Object.values(api.paths).flatMap(Object.values)) {
    if (operation.security) operation.security = usable(operation.security);
  }
  const components = { ...api.components, securitySchemes: known };
  return { ...api, servers: [{ url: ROOT || "/" }], security: usable(api.security), components };
}

/** The fields of a value in the query, as the API reads them: `q[metadata][name]=Alice`. Swagger UI has JSON in their place. */
function* fieldsOf(name, value) {
  if (value === null || typeof value !== "object") {
    yield [name, value === null ? "" : String(value)];
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    yield* fieldsOf(Array.isArray(value) ? `${name}[]` : `${name}[${key}]`, inner);
  }
}

/** The request without cookies, and with the objects in its query written with brackets. */
function asSent(request) {
  const url = new URL(request.url, ROOT);
  const fields = [...url.searchParams].flatMap(([name, value]) => {
    if (!name.endsWith("]") || !/^[{[]/.test(value)) return [[name, value]];
    try {
      return [...fieldsOf(name, JSON.parse(value))];
    } catch {
      return [[name, value]];
    }
  });
  url.search = new URLSearchParams(fields).toString();
  return { ...request, url: url.href, credentials: "omit" };
}

async function show() {
  const answer = await fetch(DOCUMENT, { credentials: "omit" });
  if (!answer.ok) throw new Error(`${DOCUMENT} was answered with ${answer.status}`);
  window.ui = SwaggerUIBundle({
    spec: asTried(await answer.json()),
    domNode: document.getElementById("browser"),
    deepLinking: true,
    docExpansion: "list",
    filter: true,
    displayRequestDuration: true,
    validatorUrl: null,
    requestInterceptor: asSent,
  });
}

show().catch((error) => {
  document.getElementById("browser").textContent = `The document cannot be shown: ${error.message}. Load the page again.`;
});
