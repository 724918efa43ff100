/** A chaos run of a minute, and a shorter one with groups. */
import { chaos, type ChaosOptions } from "./chaos.ts";
import { groupsChaos } from "./groups_chaos.ts";

const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

Deno.test(`[C1][C2][C4][C5][C6][P6][U1] three nodes and 120 clients under faults and a hostile application for a minute, seed ${SEED}`, () =>
  printed(chaos, { minutes: 0.9, nodes: 3, clients: 120 }));

Deno.test(`[V1][V2][V3][V5] three nodes and 80 clients under faults for half a minute, while a fifth of the users change groups, seed ${SEED}`, () =>
  printed(groupsChaos, { minutes: 0.5, nodes: 3, clients: 80 }));

/** Runs it, and prints what happened also if it fails. */
async function printed(
  run: (options: ChaosOptions) => Promise<void>,
  options: Omit<ChaosOptions, "seed" | "print">,
): Promise<void> {
  const lines: string[] = [];
  const print = (line: string) => void lines.push(line);
  try {
    await run({ ...options, seed: SEED, print });
  } finally {
    Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
  }
}
