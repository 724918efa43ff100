/**
 * The list cache keeps the body and the ETag of whole lists, one for each set of groups that is
 * asked for. All readers with the same groups share it until what they see changes.
 *
 * It does not know who may read a list.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { EVERYBODY } from "../core/roster/groups.ts";
import type { View } from "../core/roster/view.ts";
import type { OnlineUsers } from "../client/protocol/messages.ts";
import { shortHash } from "./etag.ts";
import {
  LIST_ENTRY_BYTES,
  LIST_WHOLE_BYTES_MAX,
  LISTS_KEPT_BYTES_MAX,
} from "./limits.ts";

export interface List {
  /** Bytes, if it is sent in pieces: its readers share them. */
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly bytes: number;
  readonly etag: string;
}

/** What a list is made from. */
export type ListedView = Pick<View, "groups" | "users" | "version">;

interface Kept {
  readonly list: List;
  readonly version: View["version"];
}

export class ListCache {
  readonly #bytesMax: number;
  /** By the key of the groups, the one that was made longest ago first. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(bytesMax = LISTS_KEPT_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /**
   * The list of all users that the view shows.
   *
   * @param seq The roster's.
   */
  whole(view: ListedView, seq: number): List {
    const { groups: { key }, version } = view;
    const kept = this.#kept.get(key);
    if (kept?.version === version) return kept.list;
    const list = makeList(view, seq);
    this.#drop(key);
    this.#kept.set(key, { list, version });
    this.#bytes += costOf(key, list);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === key) break;
      this.#drop(oldest);
    }
    return list;
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    if (kept !== undefined) this.#bytes -= costOf(key, kept.list);
    this.#kept.delete(key);
  }
}

/** Bytes of an entry. Those of many small lists are mostly in their keys. */
function costOf(key: string, { bytes }: List): number {
  return bytes + key.length + LIST_ENTRY_BYTES;
}

/**
 * Makes the list of some users, or of all.
 *
 * The hash alone is a correct ETag. Without groups the seq stands before it, for people who compare
 * two. With groups it does not: it changes with users whom the reader does not see. The seq alone
 * would be wrong, because a rename does not change it, and another database uses the same numbers.
 */
export function makeList(
  view: ListedView,
  seq: number,
  ids?: Parameters<View["users"]>[0],
): List {
  const users: OnlineUsers = { online_users: view.users(ids) };
  const body = JSON.stringify(users);
  const bytes = Buffer.byteLength(body);
  const isLong = bytes > LIST_WHOLE_BYTES_MAX;
  const hash = shortHash(body);
  return {
    body: isLong ? new TextEncoder().encode(body) : body,
    ...{
      bytes,
      etag: view.groups === EVERYBODY ? `"${seq}-${hash}"` : `"${hash}"`,
    },
  };
}
