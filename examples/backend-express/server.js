// An application on Express. It logs its users in, and makes their tokens for Rollcall.
import { randomBytes } from "node:crypto";
import session from "cookie-session";
import express from "express";
import { SignJWT } from "jose";

const { JWT_SECRET, PORT = "3000" } = process.env;
if (!JWT_SECRET) {
  throw new Error("Set JWT_SECRET to the value that Rollcall has");
}
const secret = new TextEncoder().encode(JWT_SECRET);

// In place of your users table.
const userIds = new Map([["ada", 1], ["bob", 2], ["chen", 3]]);

const app = express();
app.use(session({ secret: randomBytes(32).toString("hex"), sameSite: "lax" }));
app.use(express.static("../page"));

// In place of your login, which asks for a password.
app.post("/login", express.urlencoded(), (request, response) => {
  if (!userIds.has(request.body.user)) return response.sendStatus(403);
  request.session.user = request.body.user;
  response.redirect(303, "/");
});

app.post("/logout", (request, response) => {
  request.session = null;
  response.redirect(303, "/");
});

// A token for the user of the session, and for nobody else. It expires soon; the page asks again.
app.post("/rollcall-token", async (request, response) => {
  const { user } = request.session;
  if (!userIds.has(user)) return response.sendStatus(401);
  const token = await new SignJWT({ name: user })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(String(userIds.get(user)))
    .setExpirationTime("10m")
    .sign(secret);
  response.set("cache-control", "no-store").type("text").send(token);
});

app.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`Open http://127.0.0.1:${PORT}/`);
});
