/**
 * A thread of the load generator: holds clients, and knows what each was told.
 *
 * @module
 */
/// <reference lib="deno.worker" />
import { createHmac } from "node:crypto";
import type { UserId } from "../../src/protocol/user_id.ts";
import { type Dialect, RawClient, Reader, type Told } from "./raw_client.ts";

/** What the driver asks for. Every request is answered with its number. */
export type Request =
  | {
    readonly op: "connect";
    readonly url: string;
    readonly dialect: Dialect;
    readonly secret: string;
    readonly userIds: readonly UserId[];
    /** Handshakes under way at once. */
    readonly atOnce: number;
    /** Largest user id that there will be. */
    readonly users: number;
  }
  | { readonly op: "close"; readonly userIds: readonly UserId[] }
  /** Resolves when every client but the user's own was told this. */
  | { readonly op: "hears"; readonly told: Told }
  /** Resolves when each client of users up to `upTo` was told of so many transitions since the last reset. */
  | { readonly op: "counts"; readonly count: number; readonly upTo: UserId }
  | { readonly op: "reset" }
  | { readonly op: "summary" };

export interface Summary {
  readonly clients: number;
  readonly messages: number;
  readonly told: number;
  /** Transitions that said what was so already. */
  readonly repeated: number;
  /** Clients that the server ended. */
  readonly lost: number;
  /** What each client knows of each user: 1 is online, 0 offline. */
  readonly clientsTold: readonly {
    readonly userId: UserId;
    readonly known: Uint8Array;
    /** Since the last reset. */
    readonly told: number;
  }[];
}

interface Held {
  readonly userId: UserId;
  client: RawClient | undefined;
  readonly known: Uint8Array;
  told: number;
}

const UNKNOWN = 2;
const held = new Map<UserId, Held[]>();
const totals = { messages: 0, told: 0, repeated: 0, lost: 0 };
let waiting:
  | {
    readonly isDone: (entry: Held) => boolean;
    left: Set<Held>;
    done: (at: number[]) => void;
    at: number[];
  }
  | undefined;

function* everybody(): Generator<Held> {
  for (const entries of held.values()) yield* entries;
}

function tell(entry: Held, told: Told): void {
  const { userId, isOnline } = told;
  const value = isOnline ? 1 : 0;
  if (entry.known[userId] === value) totals.repeated += 1;
  entry.known[userId] = value;
  entry.told += 1;
  totals.told += 1;
  if (waiting?.left.has(entry) && waiting.isDone(entry)) {
    waiting.at.push(performance.timeOrigin + performance.now());
    waitNoMoreFor(entry);
  }
}

function waitNoMoreFor(entry: Held): void {
  if (waiting === undefined) return;
  waiting.left.delete(entry);
  if (waiting.left.size > 0) return;
  waiting.done(waiting.at);
  waiting = undefined;
}

/** A client that the server ended is not waited for. It shows in the summary. */
function lose(entry: Held): void {
  const entries = held.get(entry.userId);
  if (entries?.includes(entry) !== true) return;
  held.set(entry.userId, entries.filter((other) => other !== entry));
  totals.lost += 1;
  waitNoMoreFor(entry);
}

function tokenFor(userId: UserId, secret: string): string {
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
  { url, dialect, secret, userIds, atOnce, users }: Extract<
    Request,
    { op: "connect" }
  >,
): Promise<number> {
  const server = new URL(url);
  const reader = new Reader(dialect);
  const queue = [...userIds];
  const onMessage = () => void (totals.messages += 1);
  let openedAt = 0;
  const work = async () => {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      const userId = id;
      const token = tokenFor(userId, secret);
      const known = new Uint8Array(users + 1).fill(UNKNOWN);
      const entry: Held = { userId, known, told: 0, client: undefined };
      const client = entry.client = await RawClient.connect(
        ...[server, dialect, token, reader] as const,
        (told) => tell(entry, told),
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

async function close(userIds: readonly UserId[]): Promise<void> {
  const leaving = userIds.flatMap((id) => held.get(id) ?? []);
  for (const id of userIds) held.delete(id);
  await Promise.all(leaving.map(({ client }) => client?.close()));
}

/** When each client was done, in milliseconds since 1970. */
function waitFor(
  isDone: (entry: Held) => boolean,
  concerns: (entry: Held) => boolean,
): Promise<number[]> {
  const left = new Set(
    [...everybody()].filter((entry) => concerns(entry) && !isDone(entry)),
  );
  if (left.size === 0) return Promise.resolve([]);
  return new Promise((done) => {
    waiting = { isDone, left, done, at: [] };
  });
}

function summary(): Summary {
  const clientsTold = [...everybody()]
    .map(({ userId, known, told }) => ({ userId, known, told }));
  return { ...totals, clients: clientsTold.length, clientsTold };
}

async function answer(request: Request): Promise<unknown> {
  if (request.op === "connect") return await connect(request);
  if (request.op === "close") return await close(request.userIds);
  if (request.op === "hears") {
    const { userId, isOnline } = request.told;
    return await waitFor(
      ({ known }) => known[userId] === (isOnline ? 1 : 0),
      (entry) => entry.userId !== userId,
    );
  }
  if (request.op === "counts") {
    const { count, upTo } = request;
    return await waitFor(
      ({ told }) => told >= count,
      ({ userId }) => userId <= upTo,
    );
  }
  if (request.op === "reset") {
    for (const entry of everybody()) entry.told = 0;
    totals.messages = totals.told = totals.repeated = 0;
    return;
  }
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
