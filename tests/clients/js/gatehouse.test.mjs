// The client for Node.js: what it repeats, keeps and shares, and what a 401 makes it do. tests/clients/test_js.py runs this.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { inspect } from "node:util";

import { LambdaClient } from "@aws-sdk/client-lambda";

import * as client from "../../../clients/js/gatehouse.mjs";

const NOW = 1_800_000_000;
const SECRET = "an-access-token-of-the-tests";
const HANGS_UP = "hangs up";
const URL_OF_LINK = "https://connect.example.com/authorize/r.a-ticket-secret";
const LINK = { connection_id: "shop-1", request_id: "r", authorize_url: URL_OF_LINK, expires_at: 1 };
const ACTIVE = { connection_id: "shop-1", status: "active", version: 1 };

const token = (version, fields = {}) => ({
  connection_id: "shop-1", provider: "ultracart", access_token: `${SECRET}-${version}`, token_type: "Bearer",
  expires_at: NOW + 3600, scope: null, version, subject: "DEMO", metadata: {}, ...fields,
});
const failure = (error, facts = {}) => ({ error, error_description: `It is ${error}.`, retryable: true, ...facts });

const lambda = { answers: [], calls: [], heads: [], held: undefined };
const api = { takes: 1, refuses: 0, seen: [] };
const elsewhere = { seen: [] };
let lambdaClient;
let servers;

async function read(request) {
  let body = "";
  for await (const part of request) body += part;
  return body;
}

async function serve(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return [server, `http://127.0.0.1:${server.address().port}`];
}

async function invoked(request, response) {
  const name = /gatehouse-(\w+)%3Alive|\/(\w+)$/.exec(request.url);
  lambda.calls.push([name[1] ?? name[2], JSON.parse(await read(request))]);
  lambda.heads.push([request.url, request.headers.authorization]);
  const answer = lambda.answers.length > 1 ? lambda.answers.shift() : lambda.answers[0];
  await lambda.held;
  if (answer === HANGS_UP) return request.socket.destroy();
  response.writeHead(answer.http ?? 200, { "content-type": "application/json", ...answer.headers });
  return response.end(JSON.stringify(answer.http ? answer.body : answer));
}

async function answered(request, response) {
  const { authorization } = request.headers;
  api.seen.push({ method: request.method, path: request.url.split("?")[0], authorization, body: await read(request) });
  const location = request.url.split("?")[1];
  if (location) return response.writeHead(302, { location }).end();
  if (api.refuses-- > 0) return response.writeHead(401).end("{}");
  return response.writeHead(authorization === `Bearer ${SECRET}-${api.takes}` ? 200 : 401).end("{}");
}

before(async () => {
  const foreign = (request, response) => {
    elsewhere.seen.push(request.headers.authorization);
    response.writeHead(401).end();
  };
  servers = [await serve(invoked), await serve(answered), await serve(foreign)];
  [lambda.url, api.url, elsewhere.url] = servers.map(([, url]) => url);
  const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
  // As the client makes its own, but for where it calls, and as whom.
  lambdaClient = new LambdaClient({ endpoint: lambda.url, region: "us-east-1", credentials, maxAttempts: 1 });
});

after(() => {
  lambdaClient.destroy();
  for (const [server] of servers) server.close().closeAllConnections();
});

beforeEach(() => {
  Object.assign(lambda, { answers: [], calls: [], heads: [], held: undefined });
  Object.assign(api, { takes: 2, refuses: 0, seen: [] });
  elsewhere.seen = [];
});

function made(options = {}) {
  const pauses = [];
  const clock = {
    passed: 0,
    now: () => NOW * 1000 + clock.passed,
    monotonic: () => clock.passed,
    sleep: async (milliseconds) => {
      pauses.push(milliseconds);
      clock.passed += milliseconds;
    },
  };
  return { gatehouse: new client.Gatehouse({ client: lambdaClient, clock, ...options }), clock, pauses };
}

const functions = () => lambda.calls.map(([name]) => name);

const CALLS = {
  token: [(gatehouse) => gatehouse.token("shop-1"), token(1), true],
  refresh: [(gatehouse) => gatehouse.refresh("shop-1", { ifVersion: 1 }), token(2), true],
  "refresh without a version": [(gatehouse) => gatehouse.refresh("shop-1"), token(2), false],
  "refresh with null": [(gatehouse) => gatehouse.refresh("shop-1", { ifVersion: null }), token(2), false],
  "call of refresh with null": [
    (gatehouse) => gatehouse.call("refresh", { connection_id: "shop-1", if_version: null }), token(2), false,
  ],
  connection: [(gatehouse) => gatehouse.connection("shop-1"), { connection: {} }, true],
  confirm: [(gatehouse) => gatehouse.confirm("shop-1", "c"), ACTIVE, true],
  import: [(gatehouse) => gatehouse.importConnection("p", "shop-1", { refreshToken: "r" }), ACTIVE, true],
  start: [(gatehouse) => gatehouse.start("ultracart", { returnTo: "https://x" }), LINK, false],
  revoke: [(gatehouse) => gatehouse.revoke("shop-1"), { connection_id: "shop-1", status: "revoked" }, false],
  "anything else": [(gatehouse) => gatehouse.call("export", {}), {}, false],
};

for (const [name, [call, answer, twice]] of Object.entries(CALLS)) {
  test(`${name}: what may have run is sent again only if it can run twice`, async () => {
    for (const broken of [HANGS_UP, { http: 503, body: { message: "no" } }]) {
      for (const options of [{}, { url: lambda.url, owner: "acme" }]) {
        lambda.answers = [broken, answer];
        lambda.calls = [];
        const done = call(made(options).gatehouse);
        if (twice) await done;
        else await assert.rejects(done, (error) => error instanceof client.NoAnswer && error.mayHaveRun);
        assert.equal(lambda.calls.length, twice ? 2 : 1);
      }
    }
  });

  test(`${name}: what did not happen is sent again`, async () => {
    for (const before of [{ http: 429, body: { message: "Rate Exceeded." } }, failure("temporarily_unavailable")]) {
      lambda.answers = [before, answer];
      lambda.calls = [];
      await call(made().gatehouse);
      assert.equal(lambda.calls.length, 2);
      assert.deepEqual(lambda.calls[0], lambda.calls[1]);
    }
  });
}

for (const [name, [call, , twice]] of Object.entries(CALLS)) {
  test(`${name}: what the client must not send twice is not retryable`, async () => {
    for (const [http, mayHaveRun] of [[503, true], [429, false]]) {
      lambda.answers = [{ http, body: { message: "no" } }];
      const facts = { code: "no_answer", mayHaveRun, retryable: twice || !mayHaveRun };
      await assert.rejects(call(made({ timeout: 2000 }).gatehouse), facts);
    }
  });
}

test("who waits for another caller's call learns the same", async () => {
  lambda.answers = [token(2)];
  let release;
  lambda.held = new Promise((resolve) => {
    release = resolve;
  });
  const { gatehouse } = made();
  const first = gatehouse.refresh("shop-1");
  const facts = { code: "no_answer", retryable: false, mayHaveRun: true, connectionId: "shop-1" };
  await assert.rejects(gatehouse.within(0).refresh("shop-1"), facts);
  release();
  assert.equal((await first).version, 2);
});

test("fields have the contract's names", async () => {
  lambda.answers = [LINK];
  await made().gatehouse.start("ultracart", { connectionId: "shop-1", allowNewSubject: true, tags: { planName: "x" } });
  const request = { provider: "ultracart", connection_id: "shop-1", allow_new_subject: true, tags: { planName: "x" } };
  assert.deepEqual(lambda.calls, [["start", request]]);
});

test("what is null was left out", async () => {
  const nothing = { keep: null, timeout: null, stack: null, url: null, owner: null, connection: null, region: null };
  const { gatehouse } = made(nothing);
  lambda.answers = [token(1), token(2), LINK, ACTIVE, ACTIVE, { connections: [] }];

  await gatehouse.token("shop-1", { minTtl: null });
  await gatehouse.token("shop-1");
  assert.equal((await gatehouse.refresh("shop-1", { ifVersion: null })).version, 2, "a kept token is no new one");
  await gatehouse.start("ultracart", { connectionId: "shop-1", owner: null, confirm: false });
  await gatehouse.confirm("shop-1", "c", { owner: null });
  await gatehouse.importConnection("ultracart", "shop-1", { refreshToken: "r", expiresAt: null });
  for await (const _ of gatehouse.connections({ owner: null, needs: null })) assert.fail();

  const connection_id = "shop-1";
  assert.deepEqual(lambda.calls, [
    ["token", { connection_id }],
    ["refresh", { connection_id }],
    ["start", { provider: "ultracart", connection_id, confirm: false }],
    ["confirm", { connection_id, confirmation: "c" }],
    ["import_connection", { provider: "ultracart", connection_id, refresh_token: "r" }],
    ["connections", {}],
  ]);
});

test("an owner, a connection and a region that are null or empty change no path and no signature", async () => {
  lambda.answers = [token(1)];
  for (const options of [{ owner: null, connection: null, region: null }, { region: "" }]) {
    await made({ url: lambda.url, ...options }).gatehouse.token("shop-1");
  }
  for (const [path, authorization] of lambda.heads) {
    assert.equal(path, "/v1/token");
    assert.match(authorization, /\/us-east-1\/execute-api\//);
  }
  assert.equal(lambda.heads.length, 2);
  assert.throws(() => made({ url: "a1b2c3.execute-api.us-east-1.amazonaws.com" }), /is no URL/);
  assert.throws(() => made({ stack: "" }), /is no name/);
});

test("a fetch takes null for what was left out", async () => {
  lambda.answers = [token(2)];
  const send = made().gatehouse.fetchFor("shop-1", { scheme: null, fetch: null });
  assert.equal((await send(`${api.url}/data`, null)).status, 200);
});

test("it waits as long as Gatehouse says, within the caller's time", async () => {
  lambda.answers = [failure("provider_throttled", { retry_after: 7 }), failure("temporarily_unavailable"), token(1)];
  const { gatehouse, pauses } = made();
  await gatehouse.token("shop-1");
  assert.ok(pauses[0] >= 7000 && pauses[0] <= 8000 && pauses[1] >= 1500 && pauses[1] <= 2500, pauses);

  lambda.answers = [failure("provider_unavailable", { retry_after: 8 })];
  lambda.calls = [];
  const context = { getRemainingTimeInMillis: () => 8500 };
  await assert.rejects(made().gatehouse.within(context).token("shop-1"), client.ProviderUnavailable);
  assert.equal(lambda.calls.length, 1);
});

test("a time that nobody can wait for is none", async () => {
  for (const odd of [null, 0, -5, "7", true, [1]]) {
    const { gatehouse, pauses } = made();
    lambda.answers = [failure("temporarily_unavailable", { retry_after: odd }), token(1)];

    assert.equal((await gatehouse.token("shop-1")).version, 1);

    assert.equal(pauses.length, 1);
    assert.ok(pauses[0] >= 750 && pauses[0] <= 1250, `${odd}: ${pauses}`);
  }
});

test("less time is less time, within more of it, too", async () => {
  const { gatehouse, pauses } = made();
  lambda.answers = [failure("temporarily_unavailable", { retry_after: 10 })];

  await assert.rejects(gatehouse.within(5000).within(60_000).token("shop-1"), client.TemporarilyUnavailable);

  assert.deepEqual(pauses, []);
});

test("a handler that runs without Lambda has the client's own time", async () => {
  for (const context of [undefined, null]) {
    const { gatehouse, pauses } = made();
    lambda.answers = [failure("temporarily_unavailable", { retry_after: 10 }), token(1)];

    assert.equal((await gatehouse.within(context).token("shop-1")).version, 1);

    assert.equal(pauses.length, 1);
  }
});

test("what call may end or replace is forgotten, too", async () => {
  for (const name of ["confirm", "import_connection", "refresh", "revoke", "of_tomorrow"]) {
    const { gatehouse } = made();
    Object.assign(lambda, { answers: [token(1)], calls: [] });
    await gatehouse.token("shop-1");

    await gatehouse.call("connections", { connection_id: "shop-1" });
    await gatehouse.token("shop-1");
    await gatehouse.call(name, { connection_id: "shop-1" });
    await gatehouse.token("shop-1");

    assert.deepEqual(functions(), ["token", "connections", name, "token"]);
  }
});

test("a function that is being changed has not run, and a stack's name that is empty is none", async () => {
  process.env.GATEHOUSE_STACK = "";
  lambda.answers = [{ http: 409, body: { message: "An update is in progress." } }, LINK];

  await made().gatehouse.start("ultracart");

  delete process.env.GATEHOUSE_STACK;
  assert.deepEqual(functions(), ["start", "start"]);
});

test("a call is over when the time is", async () => {
  lambda.answers = [LINK];
  let release;
  lambda.held = new Promise((resolve) => {
    release = resolve;
  });
  const { gatehouse } = made();
  await assert.rejects(gatehouse.within(200).start("ultracart"), (error) => error.code === "no_answer" && error.mayHaveRun);
  release();
  assert.deepEqual(functions(), ["start"]);
});

test("a call is over when the time is, also while credentials come, and is not sent later", { timeout: 5000 }, async () => {
  let come;
  const credentials = new Promise((resolve) => {
    come = resolve;
  });
  const waiting = { config: { credentials: () => credentials, region: async () => "us-east-1" } };
  lambda.answers = [{}, { connection: {} }];
  const { gatehouse } = made({ url: lambda.url, client: waiting });

  await assert.rejects(gatehouse.within(50).revoke("shop-1"), { code: "no_answer", mayHaveRun: true });
  come({ accessKeyId: "key", secretAccessKey: "secret" });
  await gatehouse.connection("shop-1");

  assert.deepEqual(functions(), ["connections"]);
});

test("a service that is not there has not got the call", async () => {
  const [gone, url] = await serve(() => {});
  await new Promise((resolve) => gone.close(resolve));
  const { gatehouse, pauses } = made({ url, timeout: 10_000 });
  await assert.rejects(gatehouse.start("ultracart"), (error) => error.code === "no_answer" && !error.mayHaveRun);
  assert.ok(pauses.length >= 2);
});

test("every code has an error of its own, with its facts", async () => {
  for (const code of JSON.parse(process.env.CODES ?? '["invalid_request"]')) {
    const said = { error: "invalid_grant", error_description: null, status: 400 };
    const facts = { retry_after: 9, connection_id: "shop-1", provider_error: said, asked_at: 1767225600 };
    lambda.answers = [failure(code, { retryable: false, ...facts })];
    await assert.rejects(made().gatehouse.token("shop-1"), (error) => {
      assert.equal(error.constructor, client.BY_CODE.get(code));
      assert.deepEqual([error.code, error.description, error.retryable], [code, `It is ${code}.`, false]);
      assert.deepEqual([error.retryAfter, error.connectionId, error.providerError], [9, "shop-1", said]);
      assert.equal(error.askedAt, 1767225600);
      return true;
    });
  }
  lambda.answers = [failure("code_of_tomorrow", { retryable: false })];
  await assert.rejects(made().gatehouse.token("shop-1"), { code: "code_of_tomorrow" });
});

test("what is no answer of Gatehouse's says what it is, and no secret", async () => {
  const broken = { "x-amz-function-error": "Unhandled" };
  const cases = [
    [{ http: 403, body: { Message: "User: x is not authorized" } }, client.NotAllowed],
    [{ http: 404, body: { Message: "Function not found" } }, client.NotDeployed],
    [{ http: 200, body: { errorType: "KeyError", errorMessage: SECRET }, headers: broken }, client.ServerError],
    [{ http: 200, body: { connection_id: "shop-1" } }, client.ServerError],
  ];
  for (const [answer, kind] of cases) {
    lambda.answers = [answer];
    await assert.rejects(made().gatehouse.token("shop-1"), (error) => {
      assert.ok(error instanceof kind, inspect(error));
      assert.ok(!inspect(error).includes(SECRET));
      return true;
    });
  }
  lambda.answers = [{ http: 413, body: { message: "Request Too Long" } }];
  await assert.rejects(made({ url: lambda.url }).gatehouse.token("shop-1"), client.InvalidRequest);
});

test("nothing that is printed has a token or a link in it", async () => {
  lambda.answers = [token(1)];
  const { gatehouse } = made();
  const vended = await gatehouse.token("shop-1");
  lambda.answers = [LINK];
  const link = await gatehouse.start("ultracart");
  const printed = inspect([vended, link, gatehouse], { depth: 9, showHidden: true }) + JSON.stringify([vended, link]);
  assert.equal(vended.accessToken, `${SECRET}-1`);
  assert.equal(link.authorizeUrl, URL_OF_LINK);
  assert.ok(!printed.includes(SECRET) && !printed.includes("ticket-secret"));
});

test("a token is kept for five minutes, and never longer than it is needed", async () => {
  lambda.answers = [token(1, { expires_at: NOW + 400 }), token(2), token(3)];
  const { gatehouse, clock } = made();
  const versions = [];
  for (const [passed, minTtl] of [[0], [299_000], [299_000, 102], [599_000]]) {
    clock.passed = passed;
    versions.push((await gatehouse.token("shop-1", { minTtl })).version);
  }
  assert.deepEqual(versions, [1, 1, 2, 3]);
  lambda.answers = [failure("server_error", { retryable: false })];
  await assert.rejects(gatehouse.revoke("shop-1"));
  await assert.rejects(gatehouse.token("shop-1"));
});

test("those who ask at once share a call, and its failure", async () => {
  lambda.answers = [token(1)];
  const { gatehouse } = made();
  const tokens = await Promise.all(Array.from({ length: 64 }, () => gatehouse.token("shop-1")));
  assert.deepEqual([new Set(tokens).size, functions()], [1, ["token"]]);

  lambda.answers = [failure("temporarily_unavailable", { retry_after: 90 })];
  lambda.calls = [];
  const failing = made().gatehouse;
  const ended = await Promise.allSettled(Array.from({ length: 64 }, () => failing.token("shop-1")));
  assert.ok(ended.every(({ reason }) => reason instanceof client.TemporarilyUnavailable));
  assert.deepEqual(functions(), ["token"]);
});

test("after a 401 the request goes out once more, with another token", async () => {
  lambda.answers = [token(1), token(2)];
  const send = made().gatehouse.fetchFor("shop-1");
  const response = await send(`${api.url}/data`, { method: "POST", body: "an order", headers: { "x-a": "b" } });
  assert.equal(response.status, 200);
  assert.deepEqual(api.seen.map(({ authorization, body }) => [authorization, body]), [
    [`Bearer ${SECRET}-1`, "an order"],
    [`Bearer ${SECRET}-2`, "an order"],
  ]);
  assert.deepEqual(lambda.calls[1], ["refresh", { connection_id: "shop-1", if_version: 1 }]);
});

test("a server that answers 401 to everything causes one refresh, and no loop", async () => {
  api.takes = undefined;
  lambda.answers = [token(1), token(2)];
  const { gatehouse, clock } = made();
  const send = gatehouse.fetchFor("shop-1");
  for (let times = 0; times < 5; times += 1) assert.equal((await send(`${api.url}/data`)).status, 401);
  assert.equal(api.seen.length, 6);
  assert.deepEqual(functions(), ["token", "refresh"]);
  clock.passed += 300_000;
  lambda.answers = [token(2), token(3)];
  await send(`${api.url}/data`);
  assert.deepEqual(functions().slice(2), ["token", "refresh"]);
});

test("a token that an API has taken is replaced whenever it is refused", async () => {
  lambda.answers = [token(1), token(2), token(3), token(4)];
  const { gatehouse, clock } = made();
  const send = gatehouse.fetchFor("shop-1");
  for (const version of [2, 3, 4]) {
    api.takes = version;
    for (let times = 0; times < 2; times += 1) assert.equal((await send(`${api.url}/data`)).status, 200);
    clock.passed += 2000;
  }
  assert.deepEqual(functions(), ["token", "refresh", "refresh", "refresh"]);
});

test("a new token that was refused and is taken later is replaced, too", async () => {
  lambda.answers = [token(1), token(2), token(3)];
  const send = made().gatehouse.fetchFor("shop-1");
  const statuses = [];
  for (const takes of [undefined, 2, 3]) {
    api.takes = takes;
    statuses.push((await send(`${api.url}/data`)).status);
  }
  assert.deepEqual(statuses, [401, 200, 200]);
  assert.deepEqual(functions(), ["token", "refresh", "refresh"]);
});

test("an API that refuses one call and takes another causes two refreshes in five minutes", async () => {
  lambda.answers = Array.from({ length: 30 }, (_, index) => token(index + 1));
  const { gatehouse, clock } = made();
  const send = gatehouse.fetchFor("shop-1");
  for (let times = 0; times < 10; times += 1) {
    clock.passed += 20_000;
    api.takes = undefined;
    assert.equal((await send(`${api.url}/data`)).status, 401);
    api.takes = (await gatehouse.token("shop-1")).version;
    assert.equal((await send(`${api.url}/data`)).status, 200);
  }
  assert.deepEqual(functions(), ["token", "refresh", "refresh"]);
});

test("a token that has just been obtained goes out once more, and no more than that", async () => {
  lambda.answers = [token(1)];
  const { gatehouse, clock } = made();
  const send = gatehouse.fetchFor("shop-1");
  for (let times = 0; times < 3; times += 1) assert.equal((await send(`${api.url}/data`)).status, 401);
  assert.equal(api.seen.length, 4);
  assert.deepEqual(functions(), ["token", "refresh"]);
  clock.passed += 10_000;
  lambda.answers = [token(2)];
  assert.equal((await send(`${api.url}/data`)).status, 200);
});

test("an API that learns of a token late takes the repeat", async () => {
  lambda.answers = [token(2)];
  api.refuses = 1;
  assert.equal((await made().gatehouse.fetchFor("shop-1")(`${api.url}/data`)).status, 200);
  assert.equal(api.seen.length, 2);
});

test("a token that the caller's own refresh has just obtained goes out once more, too, and nobody is asked", async () => {
  lambda.answers = [token(1), token(2)];
  api.refuses = 1;
  const { gatehouse } = made();
  await gatehouse.token("shop-1");
  await gatehouse.refresh("shop-1", { ifVersion: 1 });
  assert.equal((await gatehouse.fetchFor("shop-1")(`${api.url}/data`)).status, 200);
  assert.equal(api.seen.length, 2);
  assert.deepEqual(functions(), ["token", "refresh"]);
});

test("a new token that is refused for a stream causes no refresh", async () => {
  api.takes = undefined;
  lambda.answers = [token(1), token(2)];
  const { gatehouse, clock } = made();
  const send = gatehouse.fetchFor("shop-1");
  for (let times = 0; times < 4; times += 1) {
    const body = new Blob(["an order"]).stream();
    assert.equal((await send(`${api.url}/data`, { method: "POST", body, duplex: "half" })).status, 401);
    clock.passed += 9000;
  }
  assert.deepEqual(functions(), ["token", "refresh"]);
});

test("requests that are refused at once cause one refresh", async () => {
  lambda.answers = [token(1), token(2)];
  const send = made().gatehouse.fetchFor("shop-1");
  const responses = await Promise.all(Array.from({ length: 16 }, () => send(`${api.url}/data`)));
  assert.ok(responses.every(({ status }) => status === 200));
  assert.deepEqual(functions(), ["token", "refresh"]);
});

test("a stream is sent once, and the next request has the new token", async () => {
  lambda.answers = [token(1), token(2)];
  const send = made().gatehouse.fetchFor("shop-1");
  const stream = () => ({ method: "POST", body: new Blob(["an order"]).stream(), duplex: "half" });
  const statuses = [];
  for (const request of [stream(), stream()]) statuses.push((await send(`${api.url}/data`, request)).status);
  assert.deepEqual(statuses, [401, 200]);
  assert.deepEqual(api.seen.map(({ body }) => body), ["an order", "an order"]);
});

test("after a redirect nobody else gets a token, and nothing is posted twice", async () => {
  lambda.answers = [token(1), token(2)];
  const send = made().gatehouse.fetchFor("shop-1");
  assert.equal((await send(`${api.url}/to?${elsewhere.url}/data`)).status, 401);
  assert.deepEqual([elsewhere.seen, functions()], [[undefined], ["token"]]);
  assert.equal((await send(`${api.url}/to?${api.url}/data`, { method: "POST", body: "an order" })).status, 401);
  assert.deepEqual(api.seen.map(({ method }) => method), ["GET", "POST", "GET"]);
});

test("what Gatehouse says to the refresh reaches the caller", async () => {
  lambda.answers = [token(1), failure("reauthorization_required", { retryable: false })];
  await assert.rejects(made().gatehouse.fetchFor("shop-1")(`${api.url}/data`), client.NotConnected);
});
