/**
 * The checks of readiness: whether each part of the node can do its work for new clients.
 *
 * `/readyz` and the metrics report them. What follows from a check that fails is not known here.
 *
 * @module
 */
import type { Admission } from "../access/admission.ts";
import type { Feed } from "../core/feed/feed.ts";
import type { Lease } from "../core/presence/lease.ts";

/** Each check is `"ok"`, or says what is wrong. */
export type Checks =
  & Readonly<
    Record<
      | "database"
      | "notifications"
      | "lease"
      | "drain"
      | "cordon"
      | "load"
      | "descriptors",
      string
    >
  >
  // Left out without groups.
  & Readonly<Partial<Record<"groups", string>>>;

/** The parts that are checked. */
export interface Checked {
  readonly lease: Pick<Lease, "held" | "renewing">;
  readonly feed: Pick<Feed, "notificationsUp">;
  /** Whether the last read of groups succeeded. `undefined` without groups. */
  readonly groupsReadable: () => boolean | undefined;
  readonly drain: { readonly isDraining: boolean };
  readonly admission: Pick<
    Admission,
    "isCordoned" | "isFull" | "socketsLost" | "hasLostTooMany"
  >;
}

export function runChecks(
  { lease, feed, groupsReadable, drain, admission }: Checked,
): Checks {
  const areReadable = groupsReadable();
  return {
    database: lease.renewing ? "ok" : "the last heartbeat failed",
    notifications: feed.notificationsUp ? "ok" : "not connected",
    lease: lease.held ? "ok" : "expired",
    drain: drain.isDraining ? "this node is draining" : "ok",
    cordon: admission.isCordoned ? "this node is cordoned" : "ok",
    load: admission.isFull ? "MAX_CONNECTIONS is reached" : "ok",
    descriptors: admission.hasLostTooMany
      ? `${admission.socketsLost} file descriptors are lost`
      : "ok",
    ...areReadable === undefined ? {} : {
      groups: areReadable ? "ok" : "the groups cannot be read",
    },
  };
}
