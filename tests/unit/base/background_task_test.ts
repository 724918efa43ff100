import { deepEqual, equal, rejects } from "node:assert/strict";
import { BackgroundTask } from "../../../src/base/background_task.ts";

/** A job whose runs end when the test says so. */
function controlledJob() {
  const ends: PromiseWithResolvers<void>[] = [];
  const job = async () => {
    const end = Promise.withResolvers<void>();
    ends.push(end);
    await end.promise;
  };
  return { ends, task: new BackgroundTask(job) };
}

/** Lets every microtask run. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("many wakes in one turn cause one run", async () => {
  const { ends, task } = controlledJob();
  for (let n = 0; n < 10; n++) task.wake();
  equal(ends.length, 0, "a run starts in a later microtask");
  await turn();
  equal(ends.length, 1);
  ends[0]?.resolve();
  await turn();
  deepEqual([ends.length, task.isRunning], [1, false]);
});

Deno.test("wakes during a run cause one more run, after it", async () => {
  const { ends, task } = controlledJob();
  task.wake();
  await turn();
  for (let n = 0; n < 10; n++) task.wake();
  await turn();
  equal(ends.length, 1, "two runs never overlap");
  ends[0]?.resolve();
  await turn();
  equal(ends.length, 2);
  ends[1]?.resolve();
  await turn();
  equal(ends.length, 2);
});

Deno.test("wakes during the pause before a run cause no further run", async () => {
  let runs = 0;
  const pause = Promise.withResolvers<void>();
  const task = new BackgroundTask(
    () => {
      runs += 1;
      return Promise.resolve();
    },
    () => pause.promise,
  );
  for (let n = 0; n < 10; n++) {
    task.wake();
    await turn();
  }
  equal(runs, 0);
  pause.resolve();
  await turn();
  deepEqual([runs, task.isRunning], [1, false]);
});

Deno.test("a stop during the pause before a run prevents the run", async () => {
  let runs = 0;
  const task = new BackgroundTask(
    () => {
      runs += 1;
      return Promise.resolve();
    },
    (signal) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => resolve())
      ),
  );
  task.wake();
  await turn();
  await task.stop();
  equal(runs, 0);
});

Deno.test("stop aborts the signal, waits for the run and starts no other", async () => {
  const { ends, task } = controlledJob();
  task.wake();
  await turn();
  task.wake();
  let isStopped = false;
  const stopping = task.stop().then(() => isStopped = true);
  await turn();
  deepEqual([task.signal.aborted, isStopped], [true, false]);
  ends[0]?.resolve();
  await stopping;
  task.wake();
  await turn();
  equal(ends.length, 1);
});

Deno.test("a wake after a failed run starts a new one", async () => {
  let runs = 0;
  const task = new BackgroundTask(() => {
    runs += 1;
    return runs === 1 ? Promise.reject(new Error("failed")) : Promise.resolve();
  });
  const reported = Promise.withResolvers<unknown>();
  const report = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reported.resolve(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", report);
  try {
    task.wake();
    await rejects(reported.promise.then((reason) => Promise.reject(reason)), {
      message: "failed",
    });
  } finally {
    globalThis.removeEventListener("unhandledrejection", report);
  }
  task.wake();
  await turn();
  equal(runs, 2);
});
