import { deepEqual, equal } from "node:assert/strict";
import plugin, { faultOf } from "./imports_point_down.ts";

Deno.test("an import of a higher floor is reported, one of the same or a lower is not", () => {
  equal(faultOf("src/presence.ts", "./hub.ts"), undefined);
  equal(faultOf("src/store/postgres.ts", "./store.ts"), undefined);
  equal(faultOf("main.ts", "./src/server.ts"), undefined);
  equal(
    faultOf("src/presence.ts", "./http/app.ts"),
    "src/presence.ts imports src/http/app.ts, which is above it: expected imports to point down",
  );
});

Deno.test("the core imports no package, and every file has a floor", () => {
  equal(faultOf("src/feed.ts", "pg")?.includes("expected no import"), true);
  equal(faultOf("src/auth.ts", "jose"), undefined);
  equal(
    faultOf("src/new_thing.ts", "./hub.ts")?.includes("stands on no floor"),
    true,
  );
});

Deno.test("the rules find what they are for in real source", () => {
  const source = `
    import { serve } from "./server.ts";
    export * from "./http/app.ts";
    const lazy = () => import("./store/postgres.ts");
    const now = Date.now();
    setTimeout(() => lazy, now);
  `;
  const found = Deno.lint.runPlugin(plugin, "src/hub.ts", source).map((
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
