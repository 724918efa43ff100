/**
 * The types of what a node is built from. `node.ts` builds it.
 *
 * @module
 */
import type { Admission } from "./access/admission.ts";
import type { GroupWriter, SetTokenGroups } from "./access/group_writer.ts";
import type { Provision, Provisioning } from "./access/provision.ts";
import type { Verify, VerifyCached } from "./access/token/verifier.ts";
import type { Clock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { UserIds } from "./client/protocol/user_id.ts";
import type { Config } from "./config/config.ts";
import type { Store } from "./core/store/store.ts";
import type { Drain } from "./drain.ts";
import type { FindUsers } from "./http/known_users.ts";
import type { Listening } from "./listening.ts";
import type { Overview } from "./postgres/overview.ts";
import type { PrometheusMetrics } from "./telemetry/prometheus.ts";

/** A store with database connections of its own, that can also write rows of users. */
export interface NodeStore extends Store {
  readonly provision: Provision;
  readonly setTokenGroups: SetTokenGroups;
  readonly findUsers: FindUsers;
  /** Whether the last read of groups succeeded. `undefined` without groups. */
  readonly groupsReadable: boolean | undefined;
  readonly overview: Pick<
    Overview,
    "nodes" | "user" | "database" | "report"
  >;
  close(): Promise<void>;
}

/** What exists before the first part is built. */
export interface Base {
  readonly config: Config;
  readonly store: NodeStore;
  /** Of the store. `undefined` without groups. */
  readonly groupsReadable: () => boolean | undefined;
  readonly log: Log;
  readonly ids: UserIds;
  readonly clock: Clock;
  readonly metrics: PrometheusMetrics;
  readonly listening: Listening;
  /** `undefined` if the operator does not want users to be written. */
  readonly provisioning: Provisioning | undefined;
  /** Registers how to stop a part. Parts stop in the reverse order of their registration. */
  readonly onStop: (
    part: string,
    stop: () => Promise<void>,
    ms?: number,
  ) => void;
}

/** What decides whether a socket may open. */
export interface Access {
  readonly admission: Admission;
  readonly verify: Verify;
  readonly known: VerifyCached["known"];
  readonly groupWriter: GroupWriter;
  readonly drain: Drain;
}
