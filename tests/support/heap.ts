/**
 * What a server holds in its heap, without garbage.
 *
 * Resident memory shows also what is not collected yet, and what the allocator keeps for later.
 *
 * @module
 */
import type { TestServer } from "./server.ts";
import { until } from "./until.ts";

/** The permission flags of a server whose heap is measured. */
export const MEASURED_HEAP = "--allow-all --inspect=127.0.0.1:0";

/** Time for the inspector. A busy server leaves some sessions without an answer. */
const ANSWER_MS = 3_000;

/**
 * Collects all garbage of a server that was started with `MEASURED_HEAP`, and returns the bytes of
 * the objects and buffers that are left.
 */
export async function heldBytes(
  server: Pick<TestServer, "log">,
): Promise<number> {
  const url = /ws:\S+/.exec(server.log.join("\n"))?.[0];
  if (url === undefined) throw new Error("The server has no inspector");
  return await until(
    "the inspector answers",
    () => inspect(url).catch(() => undefined),
    60_000,
  );
}

async function inspect(url: string): Promise<number> {
  const socket = new WebSocket(url);
  const ended = new Promise<void>((resolve) =>
    socket.onclose = () => resolve()
  );
  const answers = new Map<number, unknown>();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    answers.set(id, result);
  };
  socket.onerror = () => {};
  try {
    await until(
      "the inspector is open",
      () => socket.readyState === 1,
      ANSWER_MS,
    );
    let calls = 0;
    const call = async (method: string) => {
      const id = ++calls;
      socket.send(JSON.stringify({ id, method }));
      await until(`${method} is answered`, () => answers.has(id), ANSWER_MS);
      return answers.get(id);
    };
    // Some objects are freed only after their finalizers have run.
    await call("HeapProfiler.collectGarbage");
    await call("HeapProfiler.collectGarbage");
    const usage = await call("Runtime.getHeapUsage") as Usage;
    return usage.usedSize + usage.backingStorageSize;
  } finally {
    socket.close();
    await ended;
  }
}

interface Usage {
  readonly usedSize: number;
  /** Of array buffers, outside of the heap. */
  readonly backingStorageSize: number;
}
