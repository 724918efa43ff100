/**
 * Fetches an issuer's key set, and says what is wrong with the answer.
 *
 * jose itself reads an answer of any size, and its errors name neither the URL nor the cause. This
 * file does not know when a key set is fetched, or which key a token needs.
 *
 * @module
 */
import type { JSONWebKeySet } from "jose";
import { messageOf } from "../../base/message_of.ts";
import { KEY_SET_ANSWER_MS, KEY_SET_BYTES_MAX } from "./limits.ts";

/** The issuer did not answer, or its answer is not a key set. The message names the URL. */
export class KeySetError extends Error {
  override readonly name = "KeySetError";
}

/**
 * Fetches a key set of at most `KEY_SET_BYTES_MAX`.
 *
 * @throws {KeySetError}
 */
export async function fetchKeySet(
  url: URL,
  options: RequestInit,
): Promise<JSONWebKeySet> {
  let answer: unknown;
  try {
    answer = await fetchJson(url, options);
  } catch (err) {
    throw new KeySetError(
      `cannot fetch the key set ${nameOf(url)}: ${causeOf(err)}`,
    );
  }
  if (isKeySet(answer)) return answer;
  const keysUrl = jwksUriOf(answer);
  throw new KeySetError(
    keysUrl === undefined
      ? `${
        nameOf(url)
      } is not a key set: expected a JSON object with an array "keys"`
      : `${
        nameOf(url)
      } is a discovery document, not a key set: set JWT_JWKS_URL=${keysUrl}`,
  );
}

async function fetchJson(url: URL, options: RequestInit): Promise<unknown> {
  const response = await fetch(url, options);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > KEY_SET_BYTES_MAX) {
      throw new Error(`the answer has more than ${KEY_SET_BYTES_MAX} bytes`);
    }
    chunks.push(chunk);
  }
  const target = response.headers.get("location");
  if (target !== null) {
    const to = URL.parse(target, url);
    throw new Error(
      `the answer is a redirect to ${to === null ? "no URL" : nameOf(to)}`,
    );
  }
  if (response.status !== 200) {
    throw new Error(`the answer has status ${response.status}`);
  }
  return JSON.parse(await new Blob(chunks).text());
}

/** A URL without what may be secret: the user, the password and the query. */
export function nameOf({ origin, pathname }: URL): string {
  return origin + pathname;
}

/** The fault of a request. Deno names the cause in the cause of its error, behind the whole URL. */
function causeOf(err: unknown): string {
  if (err instanceof DOMException && err.name === "TimeoutError") {
    return `no answer within ${KEY_SET_ANSWER_MS} ms`;
  }
  const message = messageOf(err);
  return /client error.*$/s.exec(message)?.[0] ?? message;
}

function isKeySet(answer: unknown): answer is JSONWebKeySet {
  return isObject(answer) && Array.isArray(answer.keys) &&
    answer.keys.every(isObject);
}

/** Where a discovery document says that the keys are: OpenID Connect Discovery 1.0, section 3. */
function jwksUriOf(answer: unknown): string | undefined {
  if (!isObject(answer)) return undefined;
  const { jwks_uri: uri } = answer;
  return typeof uri === "string" && URL.canParse(uri) ? uri : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
