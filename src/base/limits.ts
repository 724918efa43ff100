/**
 * Every bound of the server that is not an operator's to set, with its unit in its
 * name and its reason beside it. What an operator may set is in `config.ts`.
 *
 * @module
 */

/** Bytes of a message from a client: room for the largest watch set that can be configured. */
export const CLIENT_MESSAGE_BYTES_MAX = 65_536;

/** Messages that a client may send at once, and how many more each second. */
export const CLIENT_MESSAGES_MAX = 20;
export const CLIENT_MESSAGES_PER_SECOND_MAX = 2;

/** What a message that cannot be understood costs of these; a client with a fault is told a few times. */
export const BAD_MESSAGE_COST = 5;

/** Pause before a client that said too much is closed: what it sent already is read meanwhile. */
export const DISMISSAL_MS = 20;

/** Ids watched by all connections of a node together, at about 200 bytes each. */
export const WATCHED_IDS_MAX = 1_000_000;

/** Characters of a username. The rest is not shown, so that names bound no message. */
export const USERNAME_LENGTH_MAX = 128;

/** Who gets counts instead of names is told so often at most: a count is no event. */
export const COUNT_INTERVAL_MS = 1_000;

/**
 * Counts turn into names again below this share of `MAX_STATE_USERS`, so that a number
 * that moves around the limit does not cost a full state each time.
 */
export const STATE_USERS_RETURN_SHARE = 0.9;

/** A version 2 connection that was told nothing for so long gets a sign of life. */
export const KEEPALIVE_MS = 25_000;

/** How often connections are looked at for what is due by time alone. */
export const UPKEEP_MS = 1_000;

/** How often the event loop is probed, how many probes are kept, and what counts as stuck. */
export const LOOP_PROBE_MS = 500;
export const LOOP_LAG_WINDOWS = 20;
export const LOOP_STUCK_MS = 5_000;

/** Version 2 connections are warned so long before their token expires: time to get another. */
export const TOKEN_WARNING_MS = 60_000;

/**
 * Unsent bytes at which a connection is passed over until its peer reads again. About
 * 1,400 messages: a reader that is merely late never notices, a dead one costs no more.
 */
export const SEND_BUFFER_BYTES_MAX = 65_536;

/**
 * Messages sent to one connection before the others have their turn. What Deno keeps of a
 * message until it is written is ten times its text, so a long row of them is dear.
 */
export const SENDS_PER_LOOK_MAX = 128;

/** How often passed-over connections are looked at again; the socket has no drain event. */
export const STALLED_RECHECK_MS = 100;

/** A peer that takes nothing off its full buffer for so long is closed with 1013. */
export const SLOW_READER_MS = 10_000;

/**
 * It has longer for what is unsent above a full buffer: of a large state nothing counts as taken
 * before all of it is, and this is what a slow mobile link takes of it.
 */
export const SLOW_READER_BYTES_PER_SECOND_MIN = 32_768;

/**
 * How long the fan-out works before accepts, pings and HTTP have their turn. What is sent waits as
 * tasks of Deno until then: half a millisecond cost a sixth less than five did.
 */
export const FANOUT_SLICE_MS = 0.5;

/**
 * Transitions kept in memory for connections that are behind, about 10 MB. Four times the
 * default connections of a node, so a storm of all of them does not outrun a healthy reader.
 */
export const RING_TRANSITIONS_MAX = 65_536;

/** Users in one transaction. Larger batches gain little and hold row locks longer. */
export const BATCH_USERS_MAX = 1_000;

/** Rows per read of the feed, so that catching up never builds one huge result. */
export const FEED_READ_ROWS_MAX = 5_000;

/** Rows of the feed that are kept for nodes that were away; past it they load a snapshot. */
export const FEED_KEEP_ROWS_MAX = 1_000_000;

/**
 * How far the counter moves on from what this node took when a database lost transitions: further than
 * any other node was told, so that no `seq` is used twice. Of 2 ** 53 there is plenty.
 */
export const LOST_SEQS_MARGIN = 1_000_000;

/** Age past which feed rows go, so that a quiet cluster's log does not keep names for ever. */
export const FEED_KEEP_MS = 24 * 3_600_000;

/** Rows pruned in one transaction, and transactions in a row: housekeeping is done in small steps. */
export const FEED_PRUNE_ROWS_MAX = 10_000;
export const FEED_PRUNE_ROUNDS_MAX = 100;

/** Users of ended nodes that are put right in one transaction; the rest wait for the next. */
export const REAP_USERS_MAX = 10_000;

/** Retries wait between half of and the whole of a doubling time, from the first to the last. */
export const RETRY_FIRST_MS = 50;
export const RETRY_LAST_MS = 2_000;

/** Database connections of a node: a flusher, a heartbeat, makers of users, readers. A cluster shares the rest. */
export const POOL_CONNECTIONS_MAX = 6;

/** Users that are made at a time; presence and the lease have the other connections to themselves. */
export const PROVISIONS_AT_ONCE_MAX = 2;

/** Callers that wait for that. Who is given up after `ENTRANCE_MS` waits on while the database hangs. */
export const PROVISIONS_WAITING_MAX = 5_000;

/** A database that does not take a connection in this time is away. */
export const DATABASE_CONNECT_MS = 5_000;

/** A statement that runs longer is ended by the database, so that no lock is held for ever. */
export const DATABASE_STATEMENT_MS = 8_000;

/** The client's own deadline behind the database's, for a link that went half-open. */
export const DATABASE_ANSWER_MS = 10_000;

/** A listening connection that does not answer its heartbeat in this time is given up. */
export const LISTENER_ANSWER_MS = 5_000;

/** Names are read anew at most so often, however many users are renamed. */
export const NAMES_REFRESH_MS = 1_000;

/** Time for all pending migrations, among them another node's that we wait for. */
export const MIGRATE_MS = 120_000;

/** A migration that needs a lock waits for it so long, and then lets those pass for as long who wait behind it. */
export const MIGRATE_LOCK_MS = 1_000;

/**
 * Seconds after which a silent peer counts as gone; Deno pings it at half of that.
 * Phones sleep in shorter naps, and proxies commonly cut at 60 seconds.
 */
export const IDLE_TIMEOUT_SECONDS = 30;

/** A socket that has not opened so long after our answer never will; its place is given back. */
export const HANDSHAKE_MS = 10_000;

/** A listener that ended by itself is begun again after so long: descriptors may be free by then. */
export const LISTEN_AGAIN_MS = 500;

/** How long a good token is remembered at most: a key that its issuer withdrew ends with it. */
export const VERIFIED_TOKEN_MS_MAX = 600_000;

/** Characters of a token's id (`jti`), which orders name and nodes keep. */
export const TOKEN_ID_LENGTH_MAX = 256;

/** Bytes of an issuer's key set. Real ones have a few keys of 2 KiB. */
export const KEY_SET_BYTES_MAX = 1_048_576;

/** Pause after a fault while there is no key set at all: nobody can come in meanwhile. */
export const KEY_SET_FIRST_PAUSE_MS = 1_000;

/**
 * Time from an open socket to the decision who comes in. Longer than an issuer may take for its
 * keys; a database that needs more is away, and the client is better off on another node.
 */
export const ENTRANCE_MS = 6_000;

/** Sockets that were opened only to say that their token is bad, and whose peers did not answer yet. */
export const REFUSED_SOCKETS_MAX = 1_000;

/** Entries per table of client addresses. Past it the oldest go: memory before precision. */
export const ADDRESSES_MAX = 50_000;

/** Bytes of a token. Real ones are below 2 KiB; larger input is refused unread. */
export const TOKEN_BYTES_MAX = 8_192;

/** Clock difference that is forgiven between the token's issuer and us. */
export const TOKEN_CLOCK_TOLERANCE_SECONDS = 5;

/** Good tokens that are remembered, at about 300 bytes each: twice the sockets of a default node. */
export const VERIFIED_TOKENS_MAX = 30_000;

/** The issuer's key set: time for an answer, pauses after an unknown key and after a fault, and age. */
export const KEY_SET_ANSWER_MS = 5_000;
export const KEY_SET_COOLDOWN_MS = 5_000;
export const KEY_SET_PAUSE_MS = 30_000;
export const KEY_SET_AGE_MS_MAX = 600_000;

/** Users that are known to be provisioned as their tokens say, so that a return costs no write. */
export const PROVISIONED_USERS_MAX = 30_000;

/** Orders in one read, so that a node that was away does not build one huge result. */
export const ORDERS_READ_MAX = 1_000;

/** How long an order is kept. A revoked token that lives longer would be good again. */
export const ORDERS_KEEP_MS = 30 * 24 * 3_600_000;

/** Revoked tokens that a node remembers, at about 100 bytes each. Past it the oldest go. */
export const REVOKED_TOKENS_MAX = 100_000;

/** Bytes of an order: room for the longest token id. */
export const ADMIN_BODY_BYTES_MAX = 2_048;

/** Lines in the log of each event that clients can cause; the rest is counted. */
export const LOG_LINES_PER_MINUTE_MAX = 60;

/** Ids that one `GET /users/online?ids=` may name. */
export const FILTER_IDS_MAX = 1_000;

/** Time for the peers' answers after the last 1001 was sent; one may never answer. */
export const DRAIN_SETTLE_MS = 1_000;

/** Time for requests under way. A socket whose peer does not answer never ends, and is not waited for. */
export const HTTP_STOP_MS = 500;

/** Time for each part's own stop; the rest of the process does not wait for a part that hangs. */
export const PART_STOP_MS = 2_000;

/** Time for a start that is under way when the process is told to stop. An orderly stop comes on top. */
export const EARLY_STOP_MS = 2_500;

/** Time for everything above the database, so that an orderly stop fits into ten seconds. */
export const ORDERLY_STOP_MS = 6_500;

/** First start initialises a cluster; a start after a crash replays its log. */
export const EMBEDDED_START_MS = 30_000;

/** Postgres gets this long for an orderly stop before it is made to stop. */
export const EMBEDDED_STOP_MS = 2_000;

/** A Postgres that was killed is gone by then, even where its parent is slow to notice. */
export const EMBEDDED_TAKEOVER_MS = 10_000;

/** Pause before an embedded Postgres that died is started again. */
export const EMBEDDED_RESTART_MS = 500;

/**
 * Simulated users of the demo. They share an address with the tabs that look at them, and leave
 * 500 of the default `MAX_CONNECTIONS_PER_ADDRESS` to these.
 */
export const CROWD_USERS_MAX = 4_500;

/** Simulated users that one request may add, so that a slip of the hand is soon over. */
export const CROWD_ADD_MAX = 500;

/** A quarter of the default `MAX_NEW_CONNECTIONS_PER_SECOND`: the page stays quick while a crowd comes. */
export const CROWD_CONNECTS_PER_SECOND_MAX = 500;

/** Bytes of a request to the demo: room for a number with a name. */
export const DEMO_BODY_BYTES_MAX = 1_024;

/** Rows of `GET /demo/since`: all that the page may have to show, at about 60 bytes each. */
export const DEMO_SINCE_ROWS_MAX = 5_000;
