/**
 * What a status means to a person: what is wrong, and the numbers with their limits.
 *
 * The bounds are those of `docs/alerts.yml`.
 *
 * @module
 */

const NEAR = 0.9;
const SNAPSHOT_SECONDS = 900;
const FEED_LAG = 1_000;
const LOOP_LAG_SECONDS = 1;

/** A sentence for each fault, worst first. */
export function findProblems({ node, nodes, databaseError, metrics: m }) {
  const problems = Object.entries(node.checks)
    .filter(([, result]) => result !== "ok")
    .map(([check, result]) => `${check}: ${result}`);
  const add = (isWrong, sentence) => {
    if (isWrong) problems.push(sentence);
  };
  add(
    databaseError,
    `the database does not tell of the nodes: ${databaseError}`,
  );
  for (const { host, pid, state, leaseSeconds } of nodes ?? []) {
    add(
      state === "expired",
      `the lease of ${host}, process ${pid}, ended ${
        duration(-leaseSeconds)
      } ago`,
    );
  }
  const value = (name) => m[`rollcall_${name}`] ?? 0;
  const isNear = (used, max) => max > 0 && used >= NEAR * max;
  add(
    isNear(value("slots_in_use"), value("connections_max")),
    `${value("slots_in_use")} of ${value("connections_max")} slots are in use`,
  );
  const memory = m.process_resident_memory_bytes;
  add(
    isNear(memory, m.rollcall_memory_max_bytes),
    `the process holds ${megabytes(memory)} of ${
      megabytes(m.rollcall_memory_max_bytes)
    }`,
  );
  add(
    isNear(m.process_open_fds, m.process_max_fds),
    `${m.process_open_fds} of ${m.process_max_fds} descriptors are open`,
  );
  add(
    value("event_loop_lag_seconds") >= LOOP_LAG_SECONDS,
    `the event loop was blocked for ${
      value("event_loop_lag_seconds").toFixed(1)
    } s`,
  );
  add(
    value("feed_lag_transitions") > FEED_LAG,
    `${value("feed_lag_transitions")} transitions are not read yet`,
  );
  add(
    value("database_snapshot_seconds") >= SNAPSHOT_SECONDS,
    `a snapshot in the database is held for ${
      duration(value("database_snapshot_seconds"))
    }: writes get slower until it ends`,
  );
  return problems;
}

/** Names and values of this node. */
export function numbersOf({ node, metrics: m }) {
  const value = (name) => m[`rollcall_${name}`];
  const known = (name, without, show = String) =>
    value(name) === undefined ? without : show(value(name));
  return [
    ["Takes newcomers", newcomers(node)],
    ["Slots in use", `${value("slots_in_use")} of ${value("connections_max")}`],
    ["Connections, version 1", value("v1_connections")],
    ["Connections, version 2", value("v2_connections")],
    ["Lost sockets", value("sockets_lost")],
    ["Users connected here", value("users_local")],
    ["Users online in the cluster", value("users_online")],
    ["Users that wait to be written", value("users_unwritten")],
    ["Writes that failed", value("apply_failures_total")],
    ["Leases lost", value("leases_lost_total")],
    ["Feed position", value("seq")],
    ["Transitions not read yet", value("feed_lag_transitions")],
    ["Slowest connection, transitions behind", value("fanout_lag_transitions")],
    ["Slow consumers closed", value("slow_consumers_total")],
    ["Copies due", known("copies_due", "not known")],
    ["Age of the key set", known("key_set_age_seconds", "none", duration)],
    [
      "Memory",
      `${megabytes(m.process_resident_memory_bytes)} of ${
        megabytes(m.rollcall_memory_max_bytes)
      }`,
    ],
    [
      "Event loop blocked, longest of 10 s",
      `${Math.round(value("event_loop_lag_seconds") * 1_000)} ms`,
    ],
    [
      "Running for",
      duration(Date.now() / 1_000 - m.process_start_time_seconds),
    ],
  ];
}

function newcomers({ isReady, isCordoned, closesPerMinute }) {
  if (!isCordoned) return isReady ? "yes" : "no, it is not ready";
  return closesPerMinute === 0
    ? "no, it is cordoned"
    : `no, and ${closesPerMinute} connections are closed each minute`;
}

function megabytes(bytes) {
  return bytes === undefined ? "?" : `${Math.round(bytes / 1_048_576)} MiB`;
}

export function duration(seconds) {
  const whole = Math.round(seconds);
  if (Math.abs(whole) < 120) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (Math.abs(minutes) < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return Math.abs(hours) < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}
