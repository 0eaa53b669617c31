import type { LambdaClient } from "@aws-sdk/client-lambda";

export interface Facts {
  retryAfter?: number;
  connectionId?: string;
  providerError?: { error: string; error_description: string | null; status: number | null };
  askedAt?: number;
}

export class GatehouseError extends Error {
  constructor(description: string, facts?: Facts);
  readonly code: string;
  readonly description: string;
  /** Whether the same call may succeed later: in `retryAfter` seconds, if that is known. */
  readonly retryable: boolean;
  readonly retryAfter?: number;
  readonly connectionId?: string;
  readonly providerError?: Facts["providerError"];
  /** When the provider was asked last, in Unix seconds. */
  readonly askedAt?: number;
}
export class InvalidRequest extends GatehouseError {}
export class UnknownProvider extends GatehouseError {}
/** Stands for ConnectionNotFound, ReauthorizationRequired and ConnectionRevoked: the customer has to connect. */
export class NotConnected extends GatehouseError {}
export class ConnectionNotFound extends NotConnected {}
export class ReauthorizationRequired extends NotConnected {}
export class ConnectionRevoked extends NotConnected {}
export class ConfirmationRequired extends GatehouseError {}
export class ConfirmationInvalid extends GatehouseError {}
export class ConfirmationExpired extends GatehouseError {}
export class ProviderMisconfigured extends GatehouseError {}
export class ProviderThrottled extends GatehouseError {}
export class ProviderUnavailable extends GatehouseError {}
export class TemporarilyUnavailable extends GatehouseError {}
export class ServerError extends GatehouseError {}
export class NoAnswer extends GatehouseError {
  constructor(description: string, facts?: Facts & { mayHaveRun?: boolean });
  /**
   * If it is false, Gatehouse has not got the call. If it is true, and `retryable` is not, a repeat could do harm: look at
   * the connection before you make the call again.
   */
  readonly mayHaveRun: boolean;
}
export class NotAllowed extends GatehouseError {}
export class NotDeployed extends GatehouseError {}

export const BY_CODE: ReadonlyMap<string, typeof GatehouseError>;

/** Times are Unix seconds. */
export class Token {
  constructor(answer: Record<string, unknown>);
  get accessToken(): string;
  readonly connectionId: string;
  readonly provider: string;
  readonly tokenType: string;
  readonly expiresAt: number | null;
  readonly scope: string | null;
  readonly version: number;
  readonly subject: string | null;
  readonly metadata: Record<string, unknown>;
}

export class Link {
  constructor(answer: Record<string, unknown>);
  get authorizeUrl(): string;
  readonly connectionId: string;
  readonly requestId: string;
  readonly expiresAt: number;
}

/** What is null was left out, here and in all that follows. */
export interface StartFields {
  connectionId?: string | null;
  owner?: string | null;
  scopes?: string[] | null;
  returnTo?: string | null;
  parameters?: Record<string, string> | null;
  authorizationParams?: Record<string, string> | null;
  tags?: Record<string, string> | null;
  confirm?: boolean | null;
  allowNewSubject?: boolean | null;
}

export interface ImportFields {
  refreshToken?: string | null;
  accessToken?: string | null;
  expiresAt?: number | null;
  scope?: string | null;
  owner?: string | null;
  parameters?: Record<string, string> | null;
  tags?: Record<string, string> | null;
  subject?: string | null;
  metadata?: Record<string, unknown> | null;
  prove?: boolean | null;
}

export interface ListFields {
  owner?: string | null;
  needs?: "reauthorization" | "confirmation" | null;
  provider?: string | null;
  status?: "active" | "unconfirmed" | "reauthorization_required" | "revoking" | "revoked" | null;
  tag?: Record<string, string> | null;
  expiringBefore?: number | null;
  limit?: number | null;
}

export interface Attempt {
  request_id: string;
  at: number;
  outcome: string;
  error?: string;
  provider_error?: Facts["providerError"];
}

/** As Gatehouse answers it, with the contract's names. */
export interface Connection {
  connection_id: string;
  provider: string;
  status: string;
  needs: "reauthorization" | "confirmation" | null;
  refreshable: boolean;
  version: number;
  scope: string | null;
  requested_scope: string | null;
  scope_missing: string[];
  token_type: string | null;
  expires_at: number | null;
  refresh_expires_at: number | null;
  subject: string | null;
  client_secret_used: "newest" | "previous" | null;
  owner: string | null;
  metadata: Record<string, unknown>;
  parameters: Record<string, string>;
  tags: Record<string, string>;
  created_at: number;
  updated_at: number;
  refreshed_at: number | null;
  failure: Record<string, unknown> | null;
  /** This and the next two: of one connection, and not in a list. */
  client_id?: string | null;
  left_alone?: { asked_at: number; next_at: number } | null;
  last_attempt?: Attempt | null;
  [field: string]: unknown;
}

export interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

export interface Options {
  /** The name of Gatehouse's stack: else GATEHOUSE_STACK, or `gatehouse`. */
  stack?: string | null;
  /** The output ApiUrl, to call by HTTP and not by Invoke: else GATEHOUSE_API_URL, if it is set. */
  url?: string | null;
  /** With `url`: call by the paths of this owner's connections. */
  owner?: string | null;
  /** With `url`: call by the path of this connection; true: of the one that each call names. */
  connection?: string | true | null;
  region?: string | null;
  /**
   * A client to invoke with: how it repeats and how long it waits is then its own. With `url`, or GATEHOUSE_API_URL: whose
   * credentials sign.
   */
  client?: LambdaClient | null;
  /** Milliseconds that a call may take, its repeats included. Without it: 60 000. */
  timeout?: number | null;
  /** Milliseconds that `token` keeps a token for at most. Without it: 300 000; 0 to ask each time. */
  keep?: number | null;
  /** The clocks, for tests. */
  clock?: { now(): number; monotonic(): number; sleep(milliseconds: number): Promise<void> } | null;
}

export class Gatehouse {
  constructor(options?: Options);
  within(limit?: number | LambdaContext | null): Gatehouse;
  token(connectionId: string, options?: { minTtl?: number | null }): Promise<Token>;
  refresh(connectionId: string, options?: { ifVersion?: number | null }): Promise<Token>;
  fetchFor(connectionId: string, options?: { scheme?: string | null; fetch?: typeof fetch | null }): typeof fetch;
  start(provider: string, fields?: StartFields): Promise<Link>;
  confirm(
    connectionId: string,
    confirmation: string,
    options?: { owner?: string | null },
  ): Promise<{ connectionId: string; status: string; version: number }>;
  revoke(connectionId: string): Promise<{ connectionId: string; status: "revoked" | "revoking"; grant?: string }>;
  importConnection(
    provider: string,
    connectionId: string,
    fields?: ImportFields,
  ): Promise<{ connectionId: string; status: string; version: number }>;
  connection(connectionId: string): Promise<Connection>;
  attempt(requestId: string): Promise<Attempt | null>;
  connections(fields?: ListFields): AsyncGenerator<Connection, void>;
  call(name: string, request: Record<string, unknown>): Promise<Record<string, unknown>>;
}

export function signed(
  url: string,
  body: string,
  signer: {
    credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
    region: string;
  },
  at?: Date,
): Record<string, string>;
