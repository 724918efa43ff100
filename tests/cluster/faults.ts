/**
 * The faults of a chaos run.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { query } from "../support/database.ts";
import { pause, until } from "../support/until.ts";
import { type Machine, TIMES } from "./cluster.ts";

const LEASE_MS = Number(TIMES.LEASE_MS);

type Fault = (
  machine: Machine,
  databaseUrl: string,
  directory: string,
) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  "kill -9": async (machine) => {
    await machine.end("SIGKILL");
    await pause(300);
    await machine.start();
  },
  "SIGTERM": async (machine) => {
    equal(await machine.end("SIGTERM"), 0);
    await machine.start();
  },
  "SIGSTOP past the lease": async (machine) => {
    machine.signal("SIGSTOP");
    await pause(LEASE_MS * 1.7);
    machine.signal("SIGCONT");
  },
  "SIGSTOP within the lease": async (machine) => {
    machine.signal("SIGSTOP");
    await pause(LEASE_MS / 3);
    machine.signal("SIGCONT");
  },
  "random backends terminated": async (_machine, url) => {
    await query(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'rollcall' and random() < 0.5`,
    );
  },
  "LISTEN connections terminated": async (_machine, url) => {
    await query(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'rollcall'
          and (query like 'listen%' or query like 'select seq from rollcall_internal.head%')`,
    );
  },
  "database refused": async (machine) => {
    machine.proxy.set("refusing");
    await pause(LEASE_MS * 0.8);
    machine.proxy.set("open");
  },
  "database silent past the lease": async (machine) => {
    machine.proxy.set("silent");
    await pause(LEASE_MS * 1.7);
    machine.proxy.set("open");
  },
  "Postgres killed": async (_machine, url, directory) => {
    const file = await Deno.readTextFile(
      `${directory}/postgres/postmaster.pid`,
    );
    Deno.kill(Number(file.split("\n")[0]), "SIGKILL");
    await until(
      "Postgres is back",
      () => query(url, "select 1").then(() => true, () => false),
      30_000,
    );
  },
  "Postgres stopped and started": async (_machine, url, directory) => {
    const file = await Deno.readTextFile(
      `${directory}/postgres/postmaster.pid`,
    );
    Deno.kill(Number(file.split("\n")[0]), "SIGINT");
    await pause(200);
    await until(
      "Postgres is back",
      () => query(url, "select 1").then(() => true, () => false),
      30_000,
    );
  },
};

/** One fault after another. Every kind has its turn, and chance decides the node. */
export async function causeFaults(
  machines: readonly Machine[],
  databaseUrl: string,
  directory: string,
  random: () => number,
  minutes: number,
  print: (line: string) => void,
): Promise<void> {
  const startedAt = Date.now();
  let names: string[] = [];
  while (Date.now() - startedAt < minutes * 60_000) {
    await pause(500 + random() * 1_500);
    if (names.length === 0) names = shuffled(Object.keys(FAULTS), random);
    const name = names.pop() ?? "";
    const machine = pick(machines, random);
    print(
      `${
        ((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)
      } s  ${machine.name}  ${name}`,
    );
    await FAULTS[name]?.(machine, databaseUrl, directory);
  }
}

export function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)] as T;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items.map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key).map(({ item }) => item);
}
