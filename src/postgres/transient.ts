/**
 * Which faults of a database pass by themselves, so that waiting helps: it starts, is full, fails
 * over, or its network is away. Somebody has to change something after any other one: a password, a
 * right, a database that does not exist.
 *
 * An unknown host and a refused connection count as passing. In a network of containers a name
 * appears with its container, and a typing error cannot be told from a database that is down.
 *
 * @module
 */
import pg from "pg";
import { ReadOnlyError } from "./connect.ts";

/**
 * 08: the connection broke. 25006: the host became a standby. 40: serialization, deadlock. 53: no
 * connections, memory or disk left. 55P03: a lock. 57P0*: starting, stopping, in recovery. 58: its disk.
 */
const TRANSIENT_SQLSTATE = /^(08(?!P01)|25006|40|53|55P03|57P0|58(000|030))/;

/** A pooler has this one code for all of its own faults. */
const POOLER_SQLSTATE = "08P01";

/** What a pooler refuses for good. Everything else it says while it has no connection to give. */
const REFUSED_BY_POOLER =
  /unsupported|no such|authentication|password|required|does not exist/;

/** Faults of `pg` itself, which have no code. */
const NO_ANSWER =
  /^(timeout e|Connection terminated|Query read timeout|Client has encountered a connection error|There was an error establishing)/;

/** Of the system, by their codes. */
const TRANSIENT_OF_SYSTEM: Readonly<Record<string, string>> = {
  EAI_AGAIN: "the host cannot be looked up",
  ECONNREFUSED: "the connection is refused",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "the host is not reachable",
  ENETUNREACH: "the network is not reachable",
  ENOENT: "the socket does not exist",
  ENOTFOUND: "the host does not exist",
  EPIPE: "the connection was reset",
  ETIMEDOUT: "no answer",
};

/**
 * What keeps the database away, without an address. `undefined`: it will not pass by itself.
 *
 * @param fault Also the cause of it is looked at. Of several hosts, one that may come back is enough.
 */
export function transientReason(fault: unknown): string | undefined {
  if (!(fault instanceof Error)) return undefined;
  return reasonOf(fault) ?? transientReason(fault.cause);
}

function reasonOf(fault: Error): string | undefined {
  if (fault instanceof ReadOnlyError) return fault.message;
  if (fault instanceof AggregateError) {
    return fault.errors.map(transientReason).find((one) => one !== undefined);
  }
  const { message } = fault;
  if (fault instanceof pg.DatabaseError) {
    const { code = "" } = fault;
    const isTransient = code === POOLER_SQLSTATE
      ? !REFUSED_BY_POOLER.test(message)
      : TRANSIENT_SQLSTATE.test(code);
    return isTransient ? message : undefined;
  }
  if (NO_ANSWER.test(message)) return "no answer";
  return "code" in fault ? TRANSIENT_OF_SYSTEM[String(fault.code)] : undefined;
}
