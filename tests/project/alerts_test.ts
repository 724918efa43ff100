/** The alerts fire in the incidents that they are for, and no rule or panel has a fault of syntax. */
import { deepEqual } from "node:assert/strict";
import { readDocument } from "../support/documents.ts";
import { ROOT } from "../support/server.ts";

const PROMTOOL = "/usr/bin/promtool";

async function hasPromtool(): Promise<boolean> {
  return await Deno.stat(PROMTOOL).then(() => true, () => false);
}

/** Fails with the output of the tool. */
async function promtool(...args: string[]): Promise<void> {
  const cwd = `${ROOT}tests/project`;
  const command = new Deno.Command(PROMTOOL, { args, cwd });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  deepEqual(code, 0, output);
}

const ignore = !await hasPromtool();

Deno.test({
  name:
    "each alert fires in the incident that it is for, and none on a normal day",
  ignore,
  fn: () => promtool("test", "rules", "alerts.test.yml"),
});

Deno.test({
  name: "the queries of the dashboard are valid",
  ignore,
  fn: async () => {
    const { panels } = JSON.parse(await readDocument("docs/grafana.json"));
    const rules = panels.flatMap(({ id, targets }: {
      readonly id: number;
      readonly targets: readonly { refId: string; expr: string }[];
    }) =>
      targets.map(({ refId, expr }) => ({
        record: `panel_${id}_${refId}`,
        expr,
      }))
    );
    const file = await Deno.makeTempFile({ suffix: ".yml" });
    try {
      // JSON is YAML.
      const groups = [{ name: "dashboard", rules }];
      await Deno.writeTextFile(file, JSON.stringify({ groups }));
      await promtool("check", "rules", file);
    } finally {
      await Deno.remove(file);
    }
  },
});
