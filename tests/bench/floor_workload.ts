/**
 * A storm of version 2, and then the same bytes from the peer `floor`: what Rollcall adds to the
 * cost of accepting, upgrading and writing on the same socket engine.
 *
 * @module
 */
import { type Contender, floor, start } from "./contenders.ts";
import { Load, type Recording } from "./load.ts";
import { range, type Result, type Stage, storm } from "./workloads.ts";

/** Runs the storm on Rollcall, and then on the floor of its engine. */
export async function stormAndFloor(
  contender: Contender,
  stage: Stage,
  users: number,
): Promise<Result> {
  let recording: Recording = [];
  const { metrics, faults } = await storm(contender, stage, users, (each) => {
    recording = each;
  });
  const least = await replay(floor(contender.engine), recording);
  const [messages, bytes] = [messagesIn(recording), bytesIn(recording)];
  return {
    metrics: {
      cpuSeconds: metrics["cpuSeconds"] ?? NaN,
      floorCpuSeconds: least.cpuSeconds,
      toFloor: (metrics["cpuSeconds"] ?? NaN) / least.cpuSeconds,
      memoryPerConnectionKiB: metrics["memoryPerConnectionKiB"] ?? NaN,
      messagesPerConnection: messages / recording.length,
      kibPerConnection: bytes / recording.length / 1_024,
    },
    faults: least.bytes === bytes
      ? faults
      : [...faults, `the floor wrote ${least.bytes} bytes instead of ${bytes}`],
  };
}

/** The CPU that the floor takes, and the bytes that it writes. As many users connect, in the same way. */
async function replay(
  contender: Contender,
  recording: Recording,
): Promise<{ cpuSeconds: number; bytes: number }> {
  const file = await Deno.makeTempFile({ prefix: "rollcall-bench-" });
  await Deno.writeTextFile(file, JSON.stringify(recording));
  try {
    await using server = await start(contender, { RECORDING: file });
    using load = new Load(0);
    const before = server.cpuSeconds();
    await load.connect(server, range(1, recording.length - 1));
    await load.connect(server, [recording.length]);
    const bytes = await load.awaitMessages(messagesIn(recording));
    return { cpuSeconds: server.cpuSeconds() - before, bytes };
  } finally {
    await Deno.remove(file);
  }
}

function messagesIn(recording: Recording): number {
  return recording.reduce((sum, steps) => sum + steps.length / 2, 0);
}

function bytesIn(recording: Recording): number {
  return recording.flat().reduce(
    (sum, value, index) => sum + (index % 2 === 1 ? value : 0),
    0,
  );
}
