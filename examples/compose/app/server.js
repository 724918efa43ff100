// An application with its users in Postgres. It logs them in, and makes their tokens for Rollcall.
import { randomBytes } from "node:crypto";
import session from "cookie-session";
import express from "express";
import { SignJWT } from "jose";
import pg from "pg";

const { DATABASE_URL, HOST = "127.0.0.1", JWT_SECRET, PORT = "3000" } =
  process.env;
if (!JWT_SECRET) {
  throw new Error("Set JWT_SECRET to the value that Rollcall has");
}
const secret = new TextEncoder().encode(JWT_SECRET);
const database = new pg.Pool({ connectionString: DATABASE_URL });

const app = express();
app.use(session({ secret: randomBytes(32).toString("hex"), sameSite: "lax" }));
app.use(express.static("../../page"));

// In place of your login, which asks for a password.
app.post("/login", express.urlencoded(), async (request, response) => {
  const { rows: [user] } = await database.query(
    "select id, name from users where name = $1",
    [request.body.user],
  );
  if (user === undefined) return response.sendStatus(403);
  request.session.user = user;
  response.redirect(303, "/");
});

app.post("/logout", (request, response) => {
  request.session = null;
  response.redirect(303, "/");
});

// A token for the user of the session, and for nobody else. It expires soon; the page asks again.
app.post("/rollcall-token", async (request, response) => {
  const { user } = request.session;
  if (user === undefined) return response.sendStatus(401);
  const token = await new SignJWT()
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user.id)
    .setExpirationTime("10m")
    .sign(secret);
  response.set("cache-control", "no-store").type("text").send(token);
});

app.listen(Number(PORT), HOST, () => {
  console.log(`Open http://127.0.0.1:${PORT}/`);
});
