// An application on Hono. It logs its users in, and makes their tokens for Rollcall.
import { type Context, Hono } from "hono";
import { deleteCookie, getSignedCookie, setSignedCookie } from "hono/cookie";
import { serveStatic } from "hono/deno";
import { sign } from "hono/jwt";

const jwtSecret = Deno.env.get("JWT_SECRET");
if (!jwtSecret) {
  throw new Error("Set JWT_SECRET to the value that Rollcall has");
}
const cookieSecret = crypto.randomUUID();

// In place of your users table.
const userIds = new Map([["ada", 1], ["bob", 2], ["chen", 3]]);

const app = new Hono();
app.get("/", serveStatic({ path: "../page/index.html" }));

// In place of your login, which asks for a password.
app.post("/login", async (context) => {
  const { user } = await context.req.parseBody();
  if (typeof user !== "string" || !userIds.has(user)) {
    return context.text("unknown user", 403);
  }
  const options = { httpOnly: true, sameSite: "Lax" } as const;
  await setSignedCookie(context, "user", user, cookieSecret, options);
  return context.redirect("/", 303);
});

app.post("/logout", (context) => {
  deleteCookie(context, "user");
  return context.redirect("/", 303);
});

// A token for the user of the session, and for nobody else. It expires soon; the page asks again.
app.post("/rollcall-token", async (context) => {
  const user = await loggedIn(context);
  const id = userIds.get(user);
  if (id === undefined) return context.text("log in first", 401);
  const exp = Math.floor(Date.now() / 1000) + 600;
  const token = await sign({ sub: String(id), name: user, exp }, jwtSecret);
  return context.text(token, 200, { "cache-control": "no-store" });
});

async function loggedIn(context: Context): Promise<string> {
  return await getSignedCookie(context, cookieSecret, "user") || "";
}

Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT") ?? 3000) },
  app.fetch,
);
