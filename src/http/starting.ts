/**
 * What a node answers before it has started: the process works, and should get no clients yet.
 *
 * @module
 */
import { problem } from "./problem.ts";
import type { RequestHead } from "./request.ts";

export class Starting {
  /** What `/readyz` says. Without an address: the path may be open to strangers. */
  reason = "this node is starting";

  /** 503 for every request but `/healthz`: a restart would not help. */
  answer(request: RequestHead): Response {
    // A host may make the URL invalid.
    const pathname = URL.parse(request.url)?.pathname;
    if (pathname === "/healthz") return Response.json({ status: "ok" });
    if (pathname !== "/readyz") {
      const headers = { "retry-after": "1" };
      const message = "this node is starting, try again";
      return problem(503, "starting", message, headers);
    }
    const checks = { database: this.reason };
    const message = `database: ${this.reason}`;
    const body = { error: { code: "not_ready", message }, checks };
    return Response.json(body, { status: 503 });
  }
}
