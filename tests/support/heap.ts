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

export interface Heap extends AsyncDisposable {
  /** Collects all garbage, and returns the bytes of the objects and buffers that are left. */
  heldBytes(): Promise<number>;
}

/** Connects to the inspector of a server that was started with `MEASURED_HEAP`. */
export async function openHeap(
  server: Pick<TestServer, "log">,
): Promise<Heap> {
  const url = /ws:\S+/.exec(server.log.join("\n"))?.[0];
  if (url === undefined) throw new Error("The server has no inspector");
  const socket = new WebSocket(url);
  const answers = new Map<number, unknown>();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    answers.set(id, result);
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  const closed = new Promise((resolve) => socket.onclose = resolve);
  let calls = 0;
  const call = async (method: string) => {
    const id = ++calls;
    socket.send(JSON.stringify({ id, method }));
    await until(`${method} is answered`, () => answers.has(id));
    return answers.get(id);
  };
  return {
    heldBytes: async () => {
      // Some objects are freed only after their finalizers have run.
      await call("HeapProfiler.collectGarbage");
      await call("HeapProfiler.collectGarbage");
      const usage = await call("Runtime.getHeapUsage") as Usage;
      return usage.usedSize + usage.backingStorageSize;
    },
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await closed;
    },
  };
}

interface Usage {
  readonly usedSize: number;
  /** Of array buffers, outside of the heap. */
  readonly backingStorageSize: number;
}
