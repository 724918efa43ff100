/**
 * An issuer of tokens on loopback: it signs with a key of its own and serves the key set.
 *
 * @module
 */
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { TEST_SECRET } from "../support/server.ts";

export interface Issuer extends AsyncDisposable {
  /** The variables that make a server accept this issuer, in place of the documented ones. */
  readonly env: Readonly<Record<string, string>>;
  sign(claims: JWTPayload): Promise<string>;
}

/** An application that signs with the shared secret. */
export function secretIssuer(): Issuer {
  const key = new TextEncoder().encode(TEST_SECRET);
  return {
    env: { JWT_SECRET: TEST_SECRET },
    sign: (claims) => signed(claims, "HS256").sign(key),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A service that publishes its keys, with the algorithm that it signs with. */
export async function keySetIssuer(
  alg: "RS256" | "ES256" | "EdDSA",
): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  const key = { ...await exportJWK(publicKey), kid: "1", use: "sig", alg };
  const http = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => Response.json({ keys: [key] }),
  );
  return {
    env: { JWT_JWKS_URL: `http://127.0.0.1:${http.addr.port}/keys` },
    sign: (claims) => signed(claims, alg).sign(privateKey),
    [Symbol.asyncDispose]: () => http.shutdown(),
  };
}

function signed(claims: JWTPayload, alg: string): SignJWT {
  return new SignJWT(claims).setProtectedHeader({ alg, kid: "1" })
    .setIssuedAt().setExpirationTime("1h");
}
