// A runtime client for Node.js: AWS's own needs a compiler to install. Its first lines are all that it costs.
import { request } from "node:http";
import { pathToFileURL } from "node:url";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const base = "/2018-06-01/runtime/invocation";

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, method, path, headers: body ? { "Content-Length": Buffer.byteLength(body) } : {} });
    outgoing.on("response", (incoming) => {
      const parts = [];
      incoming.on("data", (part) => parts.push(part));
      incoming.on("end", () => resolve({ headers: incoming.headers, body: Buffer.concat(parts).toString() }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const { handler } = await import(pathToFileURL(process.argv[2]));
for (;;) {
  const next = await call("GET", `${base}/next`);
  const id = next.headers["lambda-runtime-aws-request-id"];
  try {
    await call("POST", `${base}/${id}/response`, JSON.stringify(await handler(JSON.parse(next.body))));
  } catch (error) {
    await call("POST", `${base}/${id}/error`, JSON.stringify({ errorMessage: String(error?.stack) }));
  }
}
