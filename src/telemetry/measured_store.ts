/**
 * A store whose calls are measured: how long writes and renewals take, and which of them fail.
 *
 * It does not know the database, and changes no answer.
 *
 * @module
 */
import type { Metrics } from "../base/metrics.ts";
import { FencedError, type Store } from "../core/store/store.ts";

/** @param now Milliseconds. */
export function measured(
  store: Store,
  metrics: Metrics,
  now = () => performance.now(),
): Store {
  let hasSubscribed = false;
  return {
    join: async (nodeId, leaseMs, predecessor, heartbeatMs) => {
      const transitions = await store.join(
        ...[nodeId, leaseMs, predecessor, heartbeatMs] as const,
      );
      if (predecessor !== undefined) metrics.leaseLost();
      return transitions;
    },
    heartbeat: async (nodeId, leaseMs) => {
      const sentAt = now();
      await store.heartbeat(nodeId, leaseMs);
      metrics.leaseRenewed(now() - sentAt);
    },
    apply: async (nodeId, arriving, leaving) => {
      const sentAt = now();
      try {
        const applied = await store.apply(nodeId, arriving, leaving);
        const users = arriving.length + leaving.length;
        const ms = now() - sentAt;
        metrics.applied(users, applied.transitions.length, ms);
        return applied;
      } catch (err) {
        // A node that is fenced writes the same users again under its new id.
        if (!(err instanceof FencedError)) metrics.writeFailed();
        throw err;
      }
    },
    subscribe: async (notifications) => {
      const subscription = await store.subscribe(notifications);
      if (hasSubscribed) metrics.notificationsReconnected();
      hasSubscribed = true;
      return subscription;
    },
    sweep: (nodeId, pauseMs) => store.sweep(nodeId, pauseMs),
    regroup: (nodeId) => store.regroup(nodeId),
    leave: (nodeId, handoverMs) => store.leave(nodeId, handoverMs),
    readFeed: (after, limit) => store.readFeed(after, limit),
    snapshot: () => store.snapshot(),
    claimedBy: (nodeId) => store.claimedBy(nodeId),
    skipTo: (seq) => store.skipTo(seq),
    revoke: (revocation) => store.revoke(revocation),
    readRevocations: (after, limit) => store.readRevocations(after, limit),
    close: () => store.close(),
  };
}
