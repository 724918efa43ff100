/** A chaos run of a minute. */
import { chaos } from "./chaos.ts";

const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

Deno.test(`[C1][C2][C4][C5][C6][P6][U1] three nodes and 120 clients under faults and a hostile application for a minute, seed ${SEED}`, async () => {
  const lines: string[] = [];
  const print = (line: string) => void lines.push(line);
  try {
    await chaos({ minutes: 0.9, seed: SEED, nodes: 3, clients: 120, print });
  } finally {
    Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
  }
});
