// Access tokens for your customers' accounts, from Gatehouse in your own AWS account. Copy this file, and its types
// beside it. It needs Node.js 20 and @aws-sdk/client-lambda. README.md begins with an example.

import { createHash, createHmac } from "node:crypto";

import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";

const USER_AGENT = "gatehouse-client-js";
const CONNECT = 5_000;
const INVOKE = 40_000; // Gatehouse answers within 29 s, and a cold start takes 10 s at the most.
const HTTP = 35_000; // API Gateway gives up after 30 s.
const RESERVE = 1_000; // What is left of a Lambda function's time, to answer its own caller.
const MIN_TTL = 60; // Seconds, as at Gatehouse itself.
const JUST_OBTAINED = 10_000; // Gatehouse does not refresh a token set that is younger.
const REFRESH_DOES_NOT_HELP = 300_000; // After a new token got a 401, too.
// What neither ends nor replaces a token. For all else, also for what this client does not know, the kept one goes.
const LEAVES_TOKENS = new Set(["token", "connections", "start"]);

/** Gatehouse said no, or did not answer. No error holds a token, a secret or a confirmation. */
export class GatehouseError extends Error {
  static code = "server_error";
  static retryable = false;

  constructor(description, { retryAfter, connectionId, providerError, askedAt } = {}) {
    super(description);
    this.name = new.target.name;
    this.code = new.target.code;
    this.description = description;
    this.retryable = new.target.retryable;
    this.retryAfter = retryAfter;
    this.connectionId = connectionId;
    this.providerError = providerError;
    this.askedAt = askedAt;
  }
}

export class InvalidRequest extends GatehouseError { static code = "invalid_request"; }
export class UnknownProvider extends GatehouseError { static code = "unknown_provider"; }
/** There is no grant: call `start`, and send the customer to its link. It stands for the three codes below. */
export class NotConnected extends GatehouseError {}
export class ConnectionNotFound extends NotConnected { static code = "connection_not_found"; }
export class ReauthorizationRequired extends NotConnected { static code = "reauthorization_required"; }
export class ConnectionRevoked extends NotConnected { static code = "connection_revoked"; }
export class ConfirmationRequired extends GatehouseError {
  static code = "confirmation_required";
  static retryable = true;
}
export class ConfirmationInvalid extends GatehouseError { static code = "confirmation_invalid"; }
export class ConfirmationExpired extends GatehouseError { static code = "confirmation_expired"; }
export class ProviderMisconfigured extends GatehouseError { static code = "provider_misconfigured"; }
export class ProviderThrottled extends GatehouseError {
  static code = "provider_throttled";
  static retryable = true;
}
export class ProviderUnavailable extends GatehouseError {
  static code = "provider_unavailable";
  static retryable = true;
}
export class TemporarilyUnavailable extends GatehouseError {
  static code = "temporarily_unavailable";
  static retryable = true;
}
export class ServerError extends GatehouseError {}
/**
 * No answer came. If `mayHaveRun` is false, Gatehouse has not got the call. If it is true, and `retryable` is not, a repeat
 * could do harm: look at the connection before you make the call again.
 */
export class NoAnswer extends GatehouseError {
  static code = "no_answer";
  static retryable = true;

  constructor(description, { mayHaveRun = true, ...facts } = {}) {
    super(description, facts);
    this.mayHaveRun = mayHaveRun;
  }
}
/** AWS refuses the call: IAM does not let these credentials make it. */
export class NotAllowed extends GatehouseError { static code = "not_allowed"; }
/** There is no such function, or no such path. */
export class NotDeployed extends GatehouseError { static code = "not_deployed"; }

/** The codes of Gatehouse's contract, each with its class. */
export const BY_CODE = new Map([
  InvalidRequest, UnknownProvider, ConnectionNotFound, ConfirmationRequired, ConfirmationInvalid, ConfirmationExpired,
  ReauthorizationRequired, ConnectionRevoked, ProviderMisconfigured, ProviderThrottled, ProviderUnavailable,
  TemporarilyUnavailable, ServerError,
].map((kind) => [kind.code, kind]));

/** An access token, and what is known of it. What prints an object does not print the token. */
export class Token {
  #accessToken;

  constructor(answer) {
    this.#accessToken = answer.access_token;
    this.connectionId = answer.connection_id;
    this.provider = answer.provider;
    this.tokenType = answer.token_type;
    this.expiresAt = answer.expires_at;
    this.scope = answer.scope;
    this.version = answer.version;
    this.subject = answer.subject;
    this.metadata = answer.metadata;
  }

  get accessToken() {
    return this.#accessToken;
  }
}

/** Where to send one customer's browser. What prints an object does not print the URL, which is a secret until used. */
export class Link {
  #authorizeUrl;

  constructor(answer) {
    this.#authorizeUrl = answer.authorize_url;
    this.connectionId = answer.connection_id;
    this.requestId = answer.request_id;
    this.expiresAt = answer.expires_at;
  }

  get authorizeUrl() {
    return this.#authorizeUrl;
  }
}

/** The functions of Gatehouse. Make one for your process. Times that you pass are milliseconds. */
export class Gatehouse {
  #core;
  #timeout;
  #limits = [];

  constructor(options = {}) {
    this.#core = options instanceof Core ? options : new Core(options);
    this.#timeout = options.timeout ?? 60_000;
  }

  /**
   * This client with less time: so many milliseconds from now on, or what a Lambda function has left. Without either,
   * as in a handler that runs on your own machine, the time is as before.
   */
  within(limit) {
    if (limit === undefined || limit === null) {
      return this;
    }
    const end = typeof limit === "number" ? this.#core.clock.monotonic() + limit : undefined;
    const left = end === undefined
      ? () => limit.getRemainingTimeInMillis() - RESERVE
      : () => end - this.#core.clock.monotonic();
    const other = new Gatehouse(this.#core);
    other.#timeout = end === undefined ? this.#timeout : limit;
    other.#limits = [...this.#limits, left];
    return other;
  }

  /** An access token that is valid for at least `minTtl` seconds (60, if not named). */
  token(connectionId, { minTtl } = {}) {
    return this.#core.token(connectionId, minTtl, this.#until());
  }

  /** Another token, because an API has rejected the one with this version. Always name the version. */
  refresh(connectionId, { ifVersion } = {}) {
    return this.#core.refresh(connectionId, ifVersion, this.#until());
  }

  /** A `fetch` that puts a token on each request, and after a 401 another one, once. */
  fetchFor(connectionId, { scheme, fetch } = {}) {
    return async (input, given) => {
      const init = given ?? {};
      const send = (token) => {
        const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
        headers.set("authorization", `${scheme ?? "Bearer"} ${token.accessToken}`);
        return (fetch ?? globalThis.fetch)(input, { ...init, headers });
      };
      const token = await this.token(connectionId);
      const first = await send(token);
      if (wentElsewhere(first, input)) return first;
      if (first.status !== 401) {
        this.#core.accept(token);
        return first;
      }
      let another;
      try {
        another = await this.#core.another(token, this.#until());
      } catch (error) {
        await first.body?.cancel();
        throw error;
      }
      if (!another) return first;
      if (!canBeRepeated(first, input, init)) {
        // There is no second answer to wait for.
        if (another.version === token.version) this.#core.refuse(token, another);
        return first;
      }
      await first.body?.cancel();
      const second = await send(another);
      if (wentElsewhere(second, input)) return second;
      if (second.status === 401) this.#core.refuse(token, another);
      else this.#core.accept(another);
      return second;
    };
  }

  /** Opens an authorization request: the link is for one customer's browser. Not repeated if no answer comes. */
  async start(provider, fields = {}) {
    return new Link(await this.call("start", present({ provider, ...snake(fields) })));
  }

  /** Vouches that the customer who came back is the one whom you sent. Take `owner` from their session. */
  async confirm(connectionId, confirmation, { owner } = {}) {
    return camel(await this.call("confirm", present({ connection_id: connectionId, confirmation, owner })));
  }

  /** Ends a connection. Not repeated if no answer comes: look at `connection` then. */
  async revoke(connectionId) {
    return camel(await this.call("revoke", { connection_id: connectionId }));
  }

  /** Takes over a grant that was obtained elsewhere, and proves it by refreshing it once. */
  async importConnection(provider, connectionId, fields = {}) {
    const request = { provider, connection_id: connectionId, ...snake(fields) };
    return camel(await this.call("import_connection", present(request)));
  }

  /** What is known of one connection, as Gatehouse answers it. It never has a token. */
  async connection(connectionId) {
    return (await this.call("connections", { connection_id: connectionId })).connection;
  }

  /** How an attempt to authorize ended, by the `requestId` of its link; null while it has not. */
  async attempt(requestId) {
    return (await this.call("connections", { request_id: requestId })).last_attempt;
  }

  /** All connections that match every field that you name. */
  async *connections(fields = {}) {
    let cursor;
    do {
      const page = await this.call("connections", present({ ...snake(fields), cursor }));
      yield* page.connections;
      cursor = page.cursor;
    } while (cursor);
  }

  /** The answer of any function, as it is. What this client does not know is not sent twice. */
  async call(name, request) {
    try {
      return await this.#core.call(name, request, this.#until());
    } finally {
      // Whatever came of it: without an answer, too, a token may have been ended or replaced.
      if (!LEAVES_TOKENS.has(name)) this.#core.forget(request.connection_id);
    }
  }

  #until() {
    const left = Math.min(this.#timeout, ...this.#limits.map((each) => each()));
    return new Deadline(Math.max(0, left), this.#core.clock);
  }
}

class Deadline {
  #at;
  #clock;

  constructor(milliseconds, clock) {
    this.#clock = clock;
    this.#at = clock.monotonic() + milliseconds;
  }

  get left() {
    return Math.max(0, this.#at - this.#clock.monotonic());
  }
}

const CLOCK = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};

/** The transport, the tokens that are kept, and the calls under way. */
class Core {
  #transport;
  #keep;
  #kept = new Map();
  #forgotten = 0;
  #underWay = new Map();
  #refreshes = new Map();
  // What 401s say of tokens, each by its connection and version, until a time.
  #refused = new Map();
  #replacements = new Map();
  #unchanged = new Map();
  #takenAfterAll = new Map();

  constructor({ stack, url, owner, connection, region, client, keep, clock }) {
    this.clock = clock ?? CLOCK;
    this.#keep = keep ?? 300_000;
    // In the files of many tools a variable that is left out is there, and empty.
    const address = url ?? process.env.GATEHOUSE_API_URL;
    if (address && !/^https?:\/\//.test(address)) {
      throw new TypeError(`url: '${address}' is no URL: pass the stack's output ApiUrl, like https://...`);
    }
    if (stack === "") throw new TypeError("stack: '' is no name: leave it out for GATEHOUSE_STACK, or for gatehouse");
    if (!address && (isThere(owner) || isThere(connection))) {
      throw new TypeError("owner and connection are paths of the HTTP API: pass url, the stack's output ApiUrl");
    }
    const lambda = client ?? new LambdaClient({
      // One attempt: what is sent again is decided below.
      maxAttempts: 1,
      ...(region && { region }),
      customUserAgent: USER_AGENT,
      requestHandler: { connectionTimeout: CONNECT, requestTimeout: INVOKE, throwOnRequestTimeout: true },
    });
    this.#transport = address
      ? byHttp(address.replace(/\/+$/, ""), { owner, connection, region, client: lambda })
      : byInvoke(stack ?? (process.env.GATEHOUSE_STACK || "gatehouse"), lambda);
  }

  async token(connectionId, minTtl, until) {
    const seconds = minTtl ?? MIN_TTL;
    const kept = this.#keptFor(connectionId, seconds);
    if (kept) return kept;
    const rejected = this.#refreshes.get(connectionId);
    if (rejected !== undefined && seconds <= MIN_TTL) return this.refresh(connectionId, rejected, until);
    const request = present({ connection_id: connectionId, min_ttl: minTtl });
    return this.#asked("token", request, () => this.#keptFor(connectionId, seconds), until);
  }

  async refresh(connectionId, ifVersion, until) {
    const request = present({ connection_id: connectionId, if_version: ifVersion });
    if (!isThere(ifVersion)) return this.#asked("refresh", request, () => undefined, until);
    const newer = () => {
      const kept = this.#keptFor(connectionId, MIN_TTL);
      return kept && kept.version > ifVersion ? kept : undefined;
    };
    const found = newer();
    if (found) return found;
    if (this.#kept.get(connectionId)?.token.version === ifVersion) this.#kept.delete(connectionId);
    this.#refreshes.set(connectionId, ifVersion);
    try {
      return await this.#asked("refresh", request, newer, until);
    } finally {
      this.#refreshes.delete(connectionId);
    }
  }

  /**
   * The token for a repeat of a request that an API refused, or undefined if no repeat would help. It is the same token
   * if that has just been obtained: some providers' servers learn of a token late, and Gatehouse refreshes none so young.
   */
  async another(refused, until) {
    if (this.#isNoted(this.#refused, refused)) return undefined;
    if (this.#isNoted(this.#replacements, refused) || this.#isNoted(this.#unchanged, refused)) return refused;
    const token = await this.refresh(refused.connectionId, refused.version, until);
    if (token.accessToken === refused.accessToken) this.#note(this.#unchanged, token, JUST_OBTAINED);
    return token;
  }

  /** Notes that an API answered 401 to a request with the first token, and to its repeat with the second one. */
  refuse(first, second) {
    const isNew = first.version !== second.version || this.#isNoted(this.#replacements, second);
    // Unless another token has been tried, one can be had when this one is old enough.
    this.#note(this.#refused, second, isNew ? REFRESH_DOES_NOT_HELP : JUST_OBTAINED);
  }

  /**
   * Notes that an API took the token: a later 401 to it is about this token, and not about something else. Of a token
   * that was refused it is believed once in five minutes. An API that takes a token for one call and refuses it for
   * another, because a permission is missing, would cause a refresh for each of them otherwise.
   */
  accept(token) {
    const connection = { connectionId: token.connectionId, version: 0 };
    this.#replacements.delete(noteOf(token));
    if (this.#isNoted(this.#refused, token) && !this.#isNoted(this.#takenAfterAll, connection)) {
      this.#note(this.#takenAfterAll, connection, REFRESH_DOES_NOT_HELP);
      this.#refused.delete(noteOf(token));
    }
  }

  #note(notes, token, milliseconds) {
    notes.set(noteOf(token), Math.max(this.clock.monotonic() + milliseconds, notes.get(noteOf(token)) ?? 0));
    if (notes.size > 10_000) notes.delete(notes.keys().next().value);
  }

  #isNoted(notes, token) {
    return notes.get(noteOf(token)) > this.clock.monotonic();
  }

  forget(connectionId) {
    this.#forgotten += 1;
    this.#kept.delete(connectionId);
  }

  /** One call, repeated where that may help and cannot harm, until the caller's time is over. */
  async call(name, request, until) {
    for (let repeats = 0; ; repeats += 1) {
      try {
        return await this.#send(name, request, until);
      } catch (error) {
        if (!(error instanceof GatehouseError)) throw error;
        sayOf(error, name, request);
        const pause = pauseAfter(error, repeats);
        if (pause === undefined || pause >= until.left) throw error;
        await this.clock.sleep(pause);
      }
    }
  }

  async #send(name, request, until) {
    const left = until.left;
    if (left <= 0) throw new NoAnswer("The time was over before the call was sent.", { mayHaveRun: false });
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), Math.min(left, 2 ** 31 - 1));
    const late = new Promise((_, reject) => {
      abort.signal.onabort = () => reject(new NoAnswer(`No answer of ${name} came in the time that was left.`));
    });
    try {
      // What waits for credentials does not look at the signal. It sends nothing later.
      return await Promise.race([this.#transport(name, request, abort.signal), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The token of a call that all who ask at once share: its success, and its failure. */
  async #asked(name, request, look, until) {
    const key = JSON.stringify([name, request]);
    for (;;) {
      const found = look();
      if (found) return found;
      const leads = !this.#underWay.has(key);
      if (leads) this.#underWay.set(key, this.#ask(name, request, until).finally(() => this.#underWay.delete(key)));
      try {
        return await beforeEnd(this.#underWay.get(key), until);
      } catch (error) {
        if (!(error instanceof GatehouseError)) throw error;
        sayOf(error, name, request);
        // Whoever has more time than the one who made the call goes on.
        const pause = leads ? undefined : pauseAfter(error, 0);
        if (pause === undefined || pause >= until.left) throw error;
        await this.clock.sleep(pause);
      }
    }
  }

  async #ask(name, request, until) {
    const moment = this.#forgotten;
    const answer = await this.call(name, request, until);
    if (typeof answer.access_token !== "string") throw new ServerError("The answer has no token: is it Gatehouse's?");
    const token = new Token(answer);
    // Before another caller can find it.
    const isNew = name === "refresh" && token.version > (request.if_version ?? 0);
    if (isNew) this.#note(this.#replacements, token, JUST_OBTAINED);
    const kept = this.#kept.get(token.connectionId);
    // What was forgotten meanwhile was revoked or replaced, and an older token never replaces a newer one.
    if (moment === this.#forgotten && !(kept?.token.version > token.version)) {
      this.#kept.delete(token.connectionId);
      this.#kept.set(token.connectionId, { token, at: this.clock.now(), since: this.clock.monotonic() });
      if (this.#kept.size > 10_000) this.#kept.delete(this.#kept.keys().next().value);
    }
    return token;
  }

  #keptFor(connectionId, minTtl) {
    const kept = this.#kept.get(connectionId);
    if (!kept) return undefined;
    const now = this.clock.now();
    // Two clocks: in a frozen Lambda function one of them may stand still, and the other can be set back.
    const age = Math.max(now - kept.at, this.clock.monotonic() - kept.since);
    if (now < kept.at || age >= this.#keep) return undefined;
    const { expiresAt } = kept.token;
    return expiresAt !== null && expiresAt - now / 1000 < minTtl ? undefined : kept.token;
  }
}

function noteOf({ connectionId, version }) {
  return `${connectionId} ${version}`;
}

const REPEATABLE = new Set(["token", "connections", "confirm", "import_connection"]);

/**
 * Lets an error say which connection it is about, and whether the same call may be made again. What this client must not
 * send twice, its caller must not either: whoever repeats what is retryable would do it.
 */
function sayOf(error, name, request) {
  error.connectionId ??= request.connection_id;
  const twice = REPEATABLE.has(name) || (name === "refresh" && isThere(request.if_version));
  if (error instanceof NoAnswer && error.mayHaveRun && !twice) error.retryable = false;
}

/** The milliseconds to wait before the same call is sent again; undefined if it must not be, or would not help. */
function pauseAfter(error, repeats) {
  // A confirmation is what a person brings.
  if (!error.retryable || error instanceof ConfirmationRequired) return undefined;
  const { retryAfter } = error;
  if (retryAfter !== undefined) return 1000 * (retryAfter + Math.random() * Math.min(1, retryAfter / 10));
  return 1000 * Math.min(2 ** repeats, 8) * (0.75 + Math.random() / 2);
}

async function beforeEnd(promise, until) {
  let timer;
  const end = new Promise((_, reject) => {
    const late = () => reject(new NoAnswer("Another caller's call was still under way when the time was over."));
    timer = setTimeout(late, Math.min(until.left + 1000, 2 ** 31 - 1));
  });
  try {
    return await Promise.race([promise, end]);
  } finally {
    clearTimeout(timer);
  }
}

/** By Invoke: who may invoke `token` may have every connection's token. */
function byInvoke(stack, client) {
  return async (name, request, abortSignal) => {
    const FunctionName = `${stack}-${name}:live`;
    let response;
    try {
      const command = new InvokeCommand({ FunctionName, Payload: JSON.stringify(request) });
      response = await client.send(command, { abortSignal });
    } catch (error) {
      throw failureOfInvoke(error, FunctionName);
    }
    const text = Buffer.from(response.Payload ?? []).toString();
    if (!response.FunctionError) return answerOf(text);
    const { errorType = "unknown", errorMessage } = parsed(text) ?? {};
    // Any other text is that of an exception, and nobody knows what is in it.
    const known = errorType === "ServerError" || /^(Sandbox|Runtime)\./.test(errorType);
    throw new ServerError(known ? `${errorMessage}` : `${FunctionName} failed with ${errorType}; its log says more.`);
  };
}

function failureOfInvoke(error, name) {
  const status = error.$metadata?.httpStatusCode;
  if (status === 429) return new NoAnswer(`Lambda throttles ${name}.`, { mayHaveRun: false });
  if (status === 413) return new InvalidRequest("The request is too large for Lambda.");
  if (status === 408 || status === 409) return new NoAnswer(`Lambda is not ready to run ${name}.`, { mayHaveRun: false });
  if (status >= 400 && status < 500) return refused(status, error.message, `the function ${name}`);
  if (status >= 500) return new NoAnswer(`Lambda failed with ${status}.`);
  return failureOfNetwork(error, name);
}

const NOT_SENT = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;
const BROKEN = /^(ECONNRESET|EPIPE|ETIMEDOUT|UND_ERR_(SOCKET|HEADERS_TIMEOUT|BODY_TIMEOUT))$/;

/** What says nothing of a network, like missing credentials, stays what it is. */
function failureOfNetwork(error, name) {
  const code = error.code ?? error.cause?.code;
  if (NOT_SENT.test(code) || /did not establish a connection/.test(error.message)) {
    return new NoAnswer(`${name} cannot be reached: ${code ?? error.name}.`, { mayHaveRun: false });
  }
  if (error.name === "AbortError") return new NoAnswer(`No answer of ${name} came in the time that was left.`);
  if (!BROKEN.test(code) && error.name !== "TimeoutError") return error;
  return new NoAnswer(`No answer of ${name} came: ${code ?? error.name}.`);
}

/** By HTTP, signed with SigV4: an IAM policy can name whose tokens a caller may have. */
function byHttp(url, { owner, connection, region, client }) {
  return async (name, request, signal) => {
    const target = url + pathOf(name, request, owner, connection);
    const body = JSON.stringify(request);
    const credentials = await client.config.credentials();
    const named = region || /\.execute-api\.([a-z0-9-]+)\./.exec(url)?.[1];
    const signer = { credentials, region: named ?? (await client.config.region()) };
    let response;
    let text;
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(HTTP)]);
      const headers = signed(target, body, signer);
      response = await fetch(target, { method: "POST", body, headers, redirect: "manual", signal: limited });
      text = await response.text();
    } catch (error) {
      throw failureOfNetwork(error, target);
    }
    const answer = parsed(text) ?? {};
    if (response.status < 300 || answer.error) return answerOf(text);
    const said = String(answer.message ?? "");
    if (response.status === 429) throw new NoAnswer(`API Gateway throttles ${target}.`, { mayHaveRun: false });
    if (response.status === 413) throw new InvalidRequest("The request is too large for API Gateway.");
    if (response.status < 500) throw refused(response.status, said, target);
    throw new NoAnswer(`API Gateway answered ${response.status}: ${said}`);
  };
}

function pathOf(name, request, owner, connection) {
  if (isThere(owner)) return `/v1/owners/${checked("owner", owner)}/${name}`;
  if (!isThere(connection)) return `/v1/${name}`;
  const id = connection === true ? request.connection_id : connection;
  if (!isThere(id)) throw new InvalidRequest(`This client calls by a connection's path: ${name} has to name one.`);
  return `/v1/connections/${checked("connection_id", id)}/${name}`;
}

function checked(name, value) {
  if (/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,256}$/.test(value)) return value;
  throw new InvalidRequest(`${name}: '${value}' cannot stand in a path, which takes A-Z a-z 0-9 . _ - only.`);
}

/** The headers of a POST, signed with SigV4 for the service execute-api. Exported for its test. */
export function signed(url, body, { credentials, region }, at = new Date()) {
  const hash = (text) => createHash("sha256").update(text).digest("hex");
  const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
  const { host, pathname } = new URL(url);
  const time = at.toISOString().replace(/[-:]|\.\d{3}/g, "");
  const scope = `${time.slice(0, 8)}/${region}/execute-api/aws4_request`;
  const headers = { "content-type": "application/json", host, "x-amz-date": time };
  if (credentials.sessionToken) headers["x-amz-security-token"] = credentials.sessionToken;
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join("");
  const request = ["POST", pathname, "", lines, names.join(";"), hash(body)].join("\n");
  const key = scope.split("/").reduce((made, part) => hmac(made, part), `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, ["AWS4-HMAC-SHA256", time, scope, hash(request)].join("\n")).toString("hex");
  const { host: _, ...sent } = headers;
  return {
    ...sent,
    "user-agent": USER_AGENT,
    authorization:
      `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, ` +
      `SignedHeaders=${names.join(";")}, Signature=${signature}`,
  };
}

function answerOf(text) {
  const answer = parsed(text);
  if (!answer) throw new ServerError("The answer is not a JSON object.");
  if (answer.error === undefined) return answer;
  const error = new (BY_CODE.get(answer.error) ?? GatehouseError)(String(answer.error_description ?? ""), {
    retryAfter: seconds(answer.retry_after),
    connectionId: answer.connection_id,
    providerError: answer.provider_error,
    askedAt: answer.asked_at,
  });
  throw Object.assign(error, { code: answer.error, retryable: (answer.retryable ?? error.retryable) === true });
}

/** A time that somebody can wait for. Whatever else an answer has there says nothing of when to ask. */
function seconds(value) {
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A 4xx of AWS's own, or a redirect. What follows the first line of its text may have the session token in it. */
function refused(status, text, target) {
  if (status < 400) return new NotDeployed(`${target} answers with a redirect: is that the stack's output ApiUrl?`);
  const said = String(text).split("\n")[0].split(" The Canonical String")[0].slice(0, 300);
  if (status === 404) return new NotDeployed(`${target} does not exist: ${said}`);
  return new NotAllowed(`AWS refused the call of ${target} (${status}): ${said}`);
}

/** A redirect to another origin has taken the token off: its 401 says nothing of the token, and it must not get one. */
function wentElsewhere(response, input) {
  const asked = new URL(input instanceof Request ? input.url : String(input));
  return response.redirected && new URL(response.url).origin !== asked.origin;
}

/** A stream has been read. And after a redirect of a POST, to repeat the request would post again. */
function canBeRepeated(response, input, init) {
  const method = (init.method ?? (input instanceof Request ? input.method : "GET")).toUpperCase();
  if (response.redirected && method !== "GET" && method !== "HEAD") return false;
  if (init.body === undefined || init.body === null) return !(input instanceof Request && input.body);
  if (typeof init.body === "string" || init.body instanceof Blob || isBytes(init.body)) return true;
  return ["FormData", "URLSearchParams"].includes(init.body.constructor?.name);
}

function isBytes(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

/** Whether a caller has said something: null says nothing, as undefined does, and as None does in Python. */
function isThere(value) {
  return value !== undefined && value !== null;
}

/** A request without the fields that the caller left out. */
function present(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => isThere(value)));
}

function camel(answer) {
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [
    name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()), value,
  ]));
}

function snake(fields) {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value,
  ]));
}
