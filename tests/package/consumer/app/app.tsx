import { type ReactNode, useEffect } from "react";
import {
  PresenceProvider,
  useIsOnline,
  usePresence,
  useRollcall,
} from "@rollcall/client/react";

/** What the test changes. */
export interface Settings {
  readonly isLoggedIn: boolean;
  readonly watch: readonly number[] | "*";
}

/** How often each part was rendered, and an effect ran: twice in StrictMode. */
export const counts = { effects: 0, dots: 0 };

export function App({ isLoggedIn, watch }: Settings): ReactNode {
  useEffect(() => void (counts.effects += 1), []);
  if (!isLoggedIn) return <p>logged out</p>;
  // The function and the list are new in each rendering.
  const getToken = async () => await (await fetch("/token")).text();
  return (
    <PresenceProvider url="/ws" token={getToken} watch={watch}>
      <List />
      <Dot userId={2} />
      <Dot userId="2" />
      <Logout />
    </PresenceProvider>
  );
}

function List(): ReactNode {
  const { users, connection } = usePresence();
  const names = [...users.values()].map(({ username }) => username);
  return <p id="list">{connection.state}: {names.join(" ")}</p>;
}

function Dot({ userId }: { userId: number | string }): ReactNode {
  counts.dots += 1;
  const isOnline = useIsOnline(userId);
  if (isOnline === undefined) return <b>unknown</b>;
  return <b>{isOnline ? "online" : "offline"}</b>;
}

function Logout(): ReactNode {
  const rollcall = useRollcall();
  return <button type="button" onClick={() => rollcall?.leave()}>Log out</button>;
}
