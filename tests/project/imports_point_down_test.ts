import { deepEqual, equal } from "node:assert/strict";
import plugin, { faultOf } from "./imports_point_down.ts";

Deno.test("an import of a higher floor is reported, one of the same or a lower is not", () => {
  equal(
    faultOf("src/core/presence/presence.ts", "../connections/hub.ts"),
    undefined,
  );
  equal(
    faultOf("src/postgres/postgres_store.ts", "../core/store/store.ts"),
    undefined,
  );
  equal(faultOf("main.ts", "./src/server.ts"), undefined);
  equal(
    faultOf("src/core/presence/presence.ts", "../../http/app.ts"),
    "src/core/presence/presence.ts imports src/http/app.ts, which is not below it: expected imports to point down",
  );
});

Deno.test("the core imports no package, and every file has a floor", () => {
  equal(
    faultOf("src/core/feed/feed.ts", "pg")?.includes("expected no import"),
    true,
  );
  equal(faultOf("src/access/token/verifier.ts", "jose"), undefined);
  equal(
    faultOf("src/new/thing.ts", "../connections/hub.ts")?.includes(
      "is on no floor",
    ),
    true,
  );
});

Deno.test("the rules find what they are for in real source", () => {
  const source = `
    import { serve } from "../../server.ts";
    export * from "../../http/app.ts";
    const lazy = () => import("../../postgres/postgres_store.ts");
    const now = Date.now();
    setTimeout(() => lazy, now);
  `;
  const found = Deno.lint.runPlugin(
    plugin,
    "src/core/connections/hub.ts",
    source,
  ).map((
    { id },
  ) => id);
  deepEqual(found, [
    "rollcall/imports-point-down",
    "rollcall/imports-point-down",
    "rollcall/imports-point-down",
    "rollcall/core-has-no-clock",
    "rollcall/core-has-no-clock",
  ]);
});
