/** Rollcall on a store in memory, for the comparison with servers that have no database. */
import { systemClock } from "../../src/base/clock.ts";
import { rateLimited } from "../../src/base/log.ts";
import { readConfig } from "../../src/config/config.ts";
import { listen } from "../../src/listening.ts";
import { startNode } from "../../src/node.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { createLog } from "../../src/telemetry/log_writer.ts";
import { MemoryDatabase } from "../support/memory_database.ts";
import { MemoryStore } from "../support/memory_store.ts";

const USERS = 20_000;

const environment = { ...Deno.env.toObject(), DATABASE_URL: "postgres://none" };
const config = readConfig(environment, () => "", false);
const ids = Array.from({ length: USERS }, (_, index) => index + 1);
const database = new MemoryDatabase(ids, systemClock);
const store = Object.assign(new MemoryStore(database), {
  provision: () => Promise.resolve({ outcome: "there" } as const),
  findUsers: (users: readonly UserId[]) =>
    Promise.resolve(users.map((id) => ({ id, groups: undefined }))),
  setTokenGroups: () => Promise.resolve(),
  groupsReadable: undefined,
  overview: {
    nodes: () => Promise.resolve([]),
    user: () => Promise.resolve(undefined),
    database: () => Promise.resolve({ copiesDue: 0, snapshots: [] }),
    report: () => ({ connections: 0, isCordoned: false }),
  },
});
const log = rateLimited(createLog(config.log.level, config.log.format));
const listening = await listen(config, log);
await startNode(config, listening, store, log);
const line = `listening ${new URL(listening.url).port}\n`;
Deno.stdout.writeSync(new TextEncoder().encode(line));
