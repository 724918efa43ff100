/**
 * The judges of a run: one for each client, over the same knowledge of who sees whom.
 *
 * @module
 */
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { MemoryDatabase } from "../support/memory_database.ts";
import type {
  Judge,
  Jury,
  Scope,
  SimSubscription,
} from "../support/sim_client.ts";
import type { SimNodeOptions } from "../support/sim_node.ts";
import { V1Judge } from "./v1_judge.ts";
import { V2Judge } from "./v2_judge.ts";
import { type Past, Visibility } from "./visibility.ts";

export class Judges implements Jury {
  readonly #database: MemoryDatabase;
  readonly #options: SimNodeOptions;
  readonly #visibility: Visibility;
  /** Every name that a user ever had. */
  readonly #names = new Map<UserId, Set<string>>();

  constructor(database: MemoryDatabase, options: SimNodeOptions) {
    this.#database = database;
    this.#options = options;
    this.#visibility = new Visibility(
      () => database.history,
      database.compareIds,
    );
    for (const [id, { username }] of database.users.rows) {
      this.#names.set(id, new Set([username]));
    }
    database.observers.add((tx) => {
      for (const [id, row] of tx.changed(database.users)) {
        if (row === undefined) continue;
        const names = this.#names.get(id);
        if (names !== undefined) names.add(row.username);
        else this.#names.set(id, new Set([row.username]));
      }
    });
  }

  /** Takes the rows that are new. To be called before another database takes over, and after it. */
  read(): Past {
    return this.#visibility.present;
  }

  judgeOf(
    userId: UserId,
    { version, watch, known }: SimSubscription,
    openedSeq: number,
  ): Judge {
    const [database, options] = [this.#database, this.#options];
    const deps = {
      visibility: this.#visibility,
      compareIds: database.compareIds,
      isWhole: () => database.epoch === 0 && options.feedRows >= 1_000,
    };
    if (version === 1) return new V1Judge(userId, openedSeq, deps);
    const since = Math.min(known?.seq ?? openedSeq, openedSeq);
    return new V2Judge(userId, { since, scope: watch }, {
      ...deps,
      keepsAll: options.ringCapacity >= 1_000,
      stateUsersMax: options.stateUsersMax,
      wasName: (id, name) => this.#names.get(id)?.has(name) ?? false,
    });
  }

  /** The users whom a viewer sees as of a `seq`, of those that it watches. */
  viewOf(viewer: UserId, seq: number, scope: Scope): UserId[] {
    return this.read().visibleTo(viewer, seq)
      .filter((id) => scope === "*" || scope.has(id));
  }

  /** The `seq` that many rows ago. */
  seqBefore(rows: number): number {
    const { feed } = this.read();
    const { seq } = this.#database;
    return feed.at(-rows - 1)?.seq ?? seq;
  }
}
