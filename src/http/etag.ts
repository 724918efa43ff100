/**
 * ETags, with which a client asks for a response only if it changed.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** The part of an ETag that changes with the body. 96 bits: no two bodies share it by accident. */
export function shortHash(body: string): string {
  return createHash("sha256").update(body).digest("base64url").slice(0, 16);
}

/** Whether the client has this ETag. RFC 9110, section 13.1.2: tags, each possibly weak, or `*`. */
export function isKnown(etag: string, { headers }: Request): boolean {
  const tags = (headers.get("if-none-match") ?? "").split(",").map((tag) =>
    tag.trim().replace(/^W\//, "")
  );
  return tags.includes(etag) || tags.includes("*");
}
