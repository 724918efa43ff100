/** A soak run of 75 seconds. */
import { soak } from "./soak.ts";

const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

Deno.test({
  name:
    `[L1] memory and descriptors stay bounded while 2,000 clients connect and disconnect, seed ${SEED}`,
  // Memory and descriptors are read from /proc.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const lines: string[] = [];
    const print = (line: string) => void lines.push(line);
    try {
      await soak({ minutes: 1.25, clients: 2_000, seed: SEED, print });
    } finally {
      Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
    }
  },
});
