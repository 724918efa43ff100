import { rejects } from "node:assert/strict";
import type { HttpServerDeps } from "../../../src/http/http_server.ts";
import { NativeServer } from "../../../src/http/native_server.ts";
import { NodeServer } from "../../../src/http/node_server.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { rememberingLog } from "../../support/fakes.ts";

const engines = {
  native: async (deps: HttpServerDeps) => await new NativeServer(deps).stop(),
  ws: async (deps: HttpServerDeps) =>
    await (await NodeServer.listen(deps)).stop(),
};

for (const [engine, listen] of Object.entries(engines)) {
  Deno.test(`with the engine ${engine} an address that cannot be had is an error that says what to set`, async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const deps: HttpServerDeps = {
      ...{ host: "127.0.0.1", port: taken.addr.port, reusePort: false },
      ...{ clock: new FakeClock(), log: rememberingLog() },
      handle: () => Promise.resolve(new Response()),
    };
    await rejects(
      listen(deps),
      /^StartError: Cannot listen on HOST=127\.0\.0\.1 PORT=\d+: .*; set PORT to another port, or stop the program that has this one$/,
    );
    // An address of the documentation: no machine has it.
    await rejects(
      listen({ ...deps, host: "192.0.2.1", port: 0 }),
      /^StartError: Cannot listen on HOST=192\.0\.2\.1 PORT=0: .*; set HOST to an address of this machine$/,
    );
  });
}
