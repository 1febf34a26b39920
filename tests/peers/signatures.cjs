// Signs and checks as the `twilio` library does. One JSON list a line comes in, one answer a line goes out:
// ["sign", token, url, parameters] or ["valid", token, signature, url, parameters].

const { createInterface } = require("node:readline");
const { getExpectedTwilioSignature, validateRequest } = require("twilio");

const asked = {
  sign: (token, url, parameters) => getExpectedTwilioSignature(token, url, parameters),
  valid: (token, signature, url, parameters) => validateRequest(token, signature, url, parameters),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const [what, ...rest] = JSON.parse(line);
  console.log(JSON.stringify(asked[what](...rest)));
});
