// The Twilio part of `emulate` on a free port of the loopback, with one account and one number of its own.
//
// Takes the account as JSON, {sid, auth_token, phone_number, voice_url}; prints the port once it listens, and runs until
// its input ends. It plays what it is told to: each <Play> of an answer is fetched, as Twilio does, and printed as a line of
// JSON, {url, status, type, content}, the last in base64.

import net from "node:net";
import { createEmulator } from "emulate";

// `emulate` would listen on every address of the machine.
const { listen } = net.Server.prototype;
net.Server.prototype.listen = function (port, host, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest);
};

// `emulate` keeps the TwiML that it gets, and hears nothing of it.
const { fetch } = globalThis;
globalThis.fetch = async (url, options) => {
  const response = await fetch(url, options);
  for (const [, played] of (await response.clone().text()).matchAll(/<Play[^>]*>([^<]+)<\/Play>/g)) {
    const sound = await fetch(played);
    const content = Buffer.from(await sound.arrayBuffer()).toString("base64");
    console.log(JSON.stringify({ url: played, status: sound.status, type: sound.headers.get("content-type"), content }));
  }
  return response;
};

const { sid, auth_token, phone_number, voice_url } = JSON.parse(process.argv[2]);
const port = await freePort();
const emulator = await createEmulator({
  service: "twilio",
  port,
  seed: {
    twilio: {
      account: { sid, auth_token },
      phone_numbers: [{ phone_number, voice_url, status_callback: voice_url }],
    },
  },
});
console.log(port);
process.stdin.on("end", () => emulator.close().then(() => process.exit(0))).resume();

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, undefined, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
