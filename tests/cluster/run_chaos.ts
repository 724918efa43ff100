/**
 * A chaos run by hand: `deno task chaos --minutes 10 --seed 7`, or with `--groups` one in which users
 * change groups.
 *
 * The seed decides which client does what. It does not decide how the operating system schedules
 * it, so it may take several runs to see a failure again.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { printLine } from "../support/print_line.ts";
import { chaos } from "./chaos.ts";
import { groupsChaos } from "./groups_chaos.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    nodes: { type: "string", default: "3" },
    clients: { type: "string", default: "120" },
    groups: { type: "boolean", default: false },
  },
});
const run = values.groups ? groupsChaos : chaos;
await run({
  minutes: Number(values.minutes),
  seed: Number(values.seed),
  nodes: Number(values.nodes),
  clients: Number(values.clients),
  print: printLine,
});
Deno.exit(0);
