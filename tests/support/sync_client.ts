/**
 * A client of version 2 that keeps the presence it received, and fails where the protocol was
 * broken.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import type {
  ClientMessage,
  ServerMessage,
} from "../../src/client/protocol/messages.ts";
import {
  formatIdList,
  INTEGER_IDS,
  type UserId,
} from "../../src/client/protocol/user_id.ts";
import { socketUrl, tokenFor } from "./client.ts";
import { until } from "./until.ts";

export interface SyncOptions {
  readonly since?: number;
  readonly watch?: readonly UserId[];
  readonly token?: string;
  /** The users who were online as of `since`. */
  readonly known?: Iterable<UserId>;
}

/** Applies messages to the users who are online. Throws where a message breaks the protocol. */
export class SyncModel {
  readonly online: Set<UserId>;
  seq: number;
  #count = 0;

  constructor(known: Iterable<UserId> = [], seq = -1) {
    this.online = new Set(known);
    this.seq = seq;
  }

  take(message: ServerMessage): void {
    this.#count += 1;
    if (message.type === "presence_state") {
      this.online.clear();
      for (const { id } of message.users) this.online.add(id);
      this.seq = message.seq;
    } else if (message.type === "presence_diff") {
      const isResumed = this.#count === 1 && this.seq >= 0;
      ok(isResumed || this.#count > 1, "[S1] the first message is a diff");
      ok(message.seq > this.seq || isResumed, "[S1] seq did not grow");
      this.seq = message.seq;
      for (const { id } of message.online) {
        ok(!this.online.has(id), `[S1] ${id} came online twice`);
        this.online.add(id);
      }
      for (const id of message.offline) {
        ok(this.online.delete(id), `[S1] ${id} went offline twice`);
      }
    }
  }

  get ids(): UserId[] {
    return [...this.online].sort(INTEGER_IDS.compare);
  }
}

export interface SyncClient extends AsyncDisposable {
  readonly messages: readonly ServerMessage[];
  readonly model: SyncModel;
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  send(message: ClientMessage | Record<string, unknown>): void;
  /** Waits until exactly these are online for this client. */
  holds(ids: readonly UserId[]): Promise<void>;
  /** Waits for the nth message of a type, counted from 0. */
  receives<Type extends ServerMessage["type"]>(
    type: Type,
    nth?: number,
  ): Promise<Extract<ServerMessage, { type: Type }>>;
}

/** Opens a socket for a user. A refusal shows in `closed`. */
export async function connectSync(
  serverUrl: string,
  userId: UserId,
  options: SyncOptions = {},
): Promise<SyncClient> {
  const { since, watch, token = await tokenFor(userId), known } = options;
  const url = new URL(socketUrl(serverUrl));
  url.search = [
    ...since === undefined ? [] : [`since=${since}`],
    ...watch === undefined ? [] : [`watch=${formatIdList(watch)}`],
  ].join("&");
  const socket = new WebSocket(url, ["rollcall.v2", `bearer.${token}`]);
  const messages: ServerMessage[] = [];
  const model = new SyncModel(known, since);
  let fault: unknown;
  socket.onmessage = ({ data }) => {
    const message: ServerMessage = JSON.parse(data);
    messages.push(message);
    try {
      model.take(message);
    } catch (err) {
      fault ??= err;
    }
  };
  socket.onerror = () => {};
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
  return {
    ...{ messages, model, socket, closed },
    send: (message) => socket.send(JSON.stringify(message)),
    holds: async (ids) => {
      await until(`${userId} holds ${ids.join() || "nobody"}`, () => {
        if (fault !== undefined) throw fault;
        const wanted = [...ids].sort(INTEGER_IDS.compare);
        return messages.length > 0 && model.ids.join() === wanted.join();
      });
    },
    receives: async <Type extends ServerMessage["type"]>(
      type: Type,
      nth = 0,
    ) => {
      const found = await until(`${userId} receives ${type} ${nth}`, () => {
        if (fault !== undefined) throw fault;
        return messages.filter((message) => message.type === type)[nth];
      });
      return found as Extract<ServerMessage, { type: Type }>;
    },
    [Symbol.asyncDispose]: async () => {
      if (socket.readyState < WebSocket.CLOSING) socket.close();
      await closed;
      if (fault !== undefined) throw fault;
    },
  };
}
