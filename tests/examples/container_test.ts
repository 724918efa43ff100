/** The image that the Dockerfile makes, and the container that runs it. */
import { equal, ok } from "node:assert/strict";
import { ROOT } from "../support/server.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import { bytesIn, makeImage } from "./image.ts";

/** Only root can mount a root of its own. */
const ignore = Deno.build.os !== "linux" || Deno.uid() !== 0;

/** The files of Rollcall and its packages, without Deno. */
const APPLICATION_BYTES_MAX = 20_000_000;

Deno.test({
  name:
    "the image of the Dockerfile serves as its user on a read-only root without a network, is healthy, and stops on SIGTERM as process 1",
  ignore,
  fn: async () => {
    await using folder = await scratchFolder();
    const image = await makeImage(folder.path);
    const bytes = await bytesIn(`${image.root}${image.workdir}`);
    ok(bytes < APPLICATION_BYTES_MAX, `the application has ${bytes} bytes`);
    // In a namespace of process ids too, so that nothing is left of a run that failed.
    const script = 'ip link set lo up && exec "$@"';
    const program = `${ROOT}tests/examples/container.ts`;
    const { code, stdout, stderr } = await new Deno.Command("unshare", {
      args: [
        ...[
          "--net",
          "--pid",
          "--mount-proc",
          "--kill-child",
          "sh",
          "-c",
          script,
          "sh",
        ],
        ...[Deno.execPath(), "run", "--allow-all", program],
        JSON.stringify(image),
      ],
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    equal(code, 0, decoder.decode(stderr) + decoder.decode(stdout));
  },
});
