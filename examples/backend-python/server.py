"""An application on Flask. It logs its users in, and makes their tokens for Rollcall."""

import os
import secrets
import time

import jwt
from flask import Flask, abort, redirect, request, send_file, session

JWT_SECRET = os.environ["JWT_SECRET"]  # the value that Rollcall has

# In place of your users table.
USER_IDS = {"ada": 1, "bob": 2, "chen": 3}

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"


@app.get("/")
def page():
    return send_file("../page/index.html")


@app.post("/login")
def login():
    """In place of your login, which asks for a password."""
    if request.form.get("user") not in USER_IDS:
        abort(403)
    session["user"] = request.form["user"]
    return redirect("/", 303)


@app.post("/logout")
def logout():
    session.clear()
    return redirect("/", 303)


@app.post("/rollcall-token")
def rollcall_token():
    """A token for the user of the session, and for nobody else. It expires soon; the page asks again."""
    user = session.get("user")
    if user not in USER_IDS:
        abort(401)
    claims = {"sub": str(USER_IDS[user]), "name": user, "exp": int(time.time()) + 600}
    token = jwt.encode(claims, JWT_SECRET, algorithm="HS256")
    return token, {"content-type": "text/plain", "cache-control": "no-store"}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "3000")))
