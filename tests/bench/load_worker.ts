/**
 * A thread of the load generator: holds clients, and counts the transitions that each receives.
 *
 * @module
 */
/// <reference lib="deno.worker" />
import { createHmac } from "node:crypto";
import {
  type Dialect,
  RawClient,
  Reader,
  type Transition,
} from "./raw_client.ts";

/** A request of the load generator. The answer carries the request's number. */
export type Request =
  | {
    readonly op: "connect";
    readonly url: string;
    readonly dialect: Dialect;
    readonly secret: string;
    readonly userIds: readonly number[];
    /** Handshakes that run at once. */
    readonly atOnce: number;
    /** The largest user id of the workload. */
    readonly users: number;
    /** Whether the size and time of each message is kept, for `recording`. */
    readonly isRecorded: boolean;
  }
  | { readonly op: "close"; readonly userIds: readonly number[] }
  /** Resolves when each client of each other user knows this status of the user. */
  | { readonly op: "awaitStatus"; readonly status: Transition }
  /** Resolves when each client of users up to `upTo` received `count` transitions since the last reset. */
  | { readonly op: "awaitCount"; readonly count: number; readonly upTo: number }
  | { readonly op: "reset" }
  | { readonly op: "progress" }
  | { readonly op: "summary" }
  | { readonly op: "recording" };

/** What all clients received together. */
export interface Progress {
  readonly messages: number;
  /** Bytes of these messages. */
  readonly bytes: number;
  /** Transitions that clients received, all clients together. */
  readonly received: number;
}

/** The messages of one connection. */
export interface Recorded {
  /** When the 101 arrived, in milliseconds since 1970. */
  readonly openedAt: number;
  /** For each message its time after the 101, in milliseconds, and its bytes. */
  readonly steps: number[];
}

export interface Summary extends Progress {
  readonly clients: number;
  /** Received transitions that changed nothing: the client knew this status already. */
  readonly repeated: number;
  /** Clients whose connection the server ended. */
  readonly lost: number;
  readonly each: readonly {
    readonly userId: number;
    /** The status of each user, by id: 1 is online, 0 offline, 2 not received yet. */
    readonly known: Uint8Array;
    /** Transitions received since the last reset. */
    readonly received: number;
  }[];
}

interface Held {
  readonly userId: number;
  client: RawClient | undefined;
  readonly known: Uint8Array;
  received: number;
  readonly steps: number[];
}

const UNKNOWN = 2;
const held = new Map<number, Held[]>();
const totals = { messages: 0, bytes: 0, received: 0, repeated: 0, lost: 0 };
let waiting:
  | {
    readonly isDone: (entry: Held) => boolean;
    left: Set<Held>;
    done: (at: number[]) => void;
    at: number[];
  }
  | undefined;

function* allHeld(): Generator<Held> {
  for (const entries of held.values()) yield* entries;
}

function receive(entry: Held, { userId, isOnline }: Transition): void {
  const value = isOnline ? 1 : 0;
  if (entry.known[userId] === value) totals.repeated += 1;
  entry.known[userId] = value;
  entry.received += 1;
  totals.received += 1;
  if (waiting?.left.has(entry) && waiting.isDone(entry)) {
    waiting.at.push(performance.timeOrigin + performance.now());
    stopWaitingFor(entry);
  }
}

function stopWaitingFor(entry: Held): void {
  if (waiting === undefined) return;
  waiting.left.delete(entry);
  if (waiting.left.size > 0) return;
  waiting.done(waiting.at);
  waiting = undefined;
}

/** The server ended this client. Nothing waits for it any longer, and the summary counts it. */
function lose(entry: Held): void {
  const entries = held.get(entry.userId);
  if (entries?.includes(entry) !== true) return;
  held.set(entry.userId, entries.filter((other) => other !== entry));
  totals.lost += 1;
  stopWaitingFor(entry);
}

function tokenFor(userId: number, secret: string): string {
  const encode = (value: unknown) =>
    btoa(JSON.stringify(value)).replace(/=+$/, "");
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const body = `${encode({ alg: "HS256" })}.${
    encode({ sub: String(userId), exp })
  }`;
  const signature = createHmac("sha256", secret).update(body)
    .digest("base64url");
  return `${body}.${signature}`;
}

async function connect(
  { url, dialect, secret, userIds, atOnce, users, isRecorded }: Extract<
    Request,
    { op: "connect" }
  >,
): Promise<number> {
  const server = new URL(url);
  const reader = new Reader(dialect);
  const queue = [...userIds];
  let openedAt = 0;
  const work = async () => {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      const userId = id;
      const token = tokenFor(userId, secret);
      const known = new Uint8Array(users + 1).fill(UNKNOWN);
      const steps: number[] = [];
      const entry: Held = {
        ...{ userId, known, steps },
        ...{ received: 0, client: undefined },
      };
      const onMessage = (bytes: number) => {
        totals.messages += 1;
        totals.bytes += bytes;
        if (isRecorded) steps.push(performance.now(), bytes);
      };
      const client = entry.client = await RawClient.connect(
        ...[server, dialect, token, reader] as const,
        (transition) => receive(entry, transition),
        onMessage,
      );
      held.set(userId, [...held.get(userId) ?? [], entry]);
      void client.ended.then(() => lose(entry));
      openedAt = performance.timeOrigin + client.openedAt;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return openedAt;
}

async function close(userIds: readonly number[]): Promise<void> {
  const leaving = userIds.flatMap((id) => held.get(id) ?? []);
  for (const id of userIds) held.delete(id);
  await Promise.all(leaving.map(({ client }) => client?.close()));
}

/** Resolves with the times at which the clients were done, in milliseconds since 1970. */
function waitFor(
  isDone: (entry: Held) => boolean,
  concerns: (entry: Held) => boolean,
): Promise<number[]> {
  const left = new Set(
    [...allHeld()].filter((entry) => concerns(entry) && !isDone(entry)),
  );
  if (left.size === 0) return Promise.resolve([]);
  return new Promise((done) => {
    waiting = { isDone, left, done, at: [] };
  });
}

function summary(): Summary {
  const each = [...allHeld()]
    .map(({ userId, known, received }) => ({ userId, known, received }));
  return { ...totals, clients: each.length, each };
}

function recording(): Recorded[] {
  return [...allHeld()].map(({ client, steps }) => {
    const openedAt = client?.openedAt ?? 0;
    return {
      openedAt: performance.timeOrigin + openedAt,
      steps: steps.map((value, index) =>
        index % 2 === 0 ? Math.max(0, Math.round(value - openedAt)) : value
      ),
    };
  });
}

async function answer(request: Request): Promise<unknown> {
  if (request.op === "connect") return await connect(request);
  if (request.op === "close") return await close(request.userIds);
  if (request.op === "awaitStatus") {
    const { userId, isOnline } = request.status;
    return await waitFor(
      ({ known }) => known[userId] === (isOnline ? 1 : 0),
      (entry) => entry.userId !== userId,
    );
  }
  if (request.op === "awaitCount") {
    const { count, upTo } = request;
    return await waitFor(
      ({ received }) => received >= count,
      ({ userId }) => userId <= upTo,
    );
  }
  if (request.op === "reset") {
    for (const entry of allHeld()) entry.received = 0;
    totals.messages =
      totals.bytes =
      totals.received =
      totals.repeated =
        0;
    return;
  }
  if (request.op === "recording") return recording();
  if (request.op === "progress") return totals;
  return summary();
}

self.onmessage = async (
  { data: [number, request] }: MessageEvent<[number, Request]>,
) => {
  try {
    self.postMessage([number, { value: await answer(request) }]);
  } catch (err) {
    self.postMessage([number, { error: String(err) }]);
  }
};
