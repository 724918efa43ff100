/**
 * The origins of `ALLOWED_ORIGINS`, as browsers and apps send them in the `Origin` header.
 *
 * Beside web pages, the pages of apps and extensions have origins: `capacitor://localhost`,
 * `tauri://localhost`, `chrome-extension://<id>`. They are compared as they are written. Who
 * compares them is not known here.
 *
 * @module
 */
import { z } from "zod";

/** `*`, or a list of origins without a path. */
export const origins = z.string().transform((value) =>
  value.split(",").map((origin) => origin.trim())
)
  .refine((list) => list.length === 1 || !list.includes("*"), {
    error: "expected * alone, which allows every origin, or a list without it",
    abort: true,
  })
  .refine((list) => list[0] === "*" || !list.some((one) => one.includes("*")), {
    error:
      "expected no * inside of an origin: write each origin out, such as https://app.example,https://admin.example",
    abort: true,
  })
  .refine(
    (list) => list[0] === "*" || list.every(isOrigin),
    "expected * or a comma-separated list of origins such as https://app.example or capacitor://localhost, without a path or a / at the end",
  )
  .transform((list) => list[0] === "*" ? "*" as const : list)
  .default("*");

/**
 * Whether a text can be the value of an `Origin` header. For the schemes of the web the URL
 * standard has exactly one form of it; for other schemes it has none ("null"), while the apps send
 * scheme and host. Chromium sends `file://` when a page from a file opens a WebSocket.
 */
function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  if (url === null) return false;
  if (url.origin !== "null") return url.origin === text;
  return text === "file://" || /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@\\]+$/.test(text);
}
