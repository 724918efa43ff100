import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import {
  PresenceProvider,
  useIsOnline,
  usePresence,
  useRollcall,
} from "@rollcall/client/react";

const COLLEAGUES = [{ id: 1, name: "ada" }, { id: 2, name: "bob" }, {
  id: 3,
  name: "chen",
}];

function App() {
  const [isLoggedIn, setLoggedIn] = useState(true);

  // Called for each connection, and again before a token expires.
  async function getToken() {
    const response = await fetch("/rollcall-token", { method: "POST" });
    if (response.status === 401) setLoggedIn(false);
    if (!response.ok) throw new Error(`no token: ${response.status}`);
    return await response.text();
  }

  if (!isLoggedIn) return <Login />;
  return (
    <PresenceProvider url="ws://127.0.0.1:8000/ws" token={getToken}>
      <WhoIsOnline />
      <ul>
        {COLLEAGUES.map(({ id, name }) => (
          <Colleague key={id} id={id} name={name} />
        ))}
      </ul>
      <Logout />
    </PresenceProvider>
  );
}

function WhoIsOnline() {
  const { users, count, connection } = usePresence();
  return (
    <>
      <h1>{count} online</h1>
      <p>{connection.state}</p>
      <ul id="online">
        {[...users.values()].map(({ id, username }) => (
          <li key={id}>{username}</li>
        ))}
      </ul>
    </>
  );
}

// Renders only when this one user comes or goes.
function Colleague({ id, name }) {
  return <li>{name}: {useIsOnline(id) ? "online" : "offline"}</li>;
}

function Login() {
  return (
    <form id="login" method="post" action="/login">
      <label>
        I am{" "}
        <select name="user">
          {COLLEAGUES.map(({ name }) => <option key={name}>{name}</option>)}
        </select>
      </label>{" "}
      <button>Log in</button>
    </form>
  );
}

// Whoever logs out is offline at once.
function Logout() {
  const rollcall = useRollcall();
  return (
    <form
      id="logout"
      method="post"
      action="/logout"
      onSubmit={() => rollcall?.leave()}
    >
      <button>Log out</button>
    </form>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
