-- Before Postgres 18 a scan that cannot be avoided costs so much under "enable_seqscan = off" that the
-- plan of a write would be compiled each time.
alter function rollcall_internal.apply(uuid, integer[], integer[], bigint) set jit = off;
alter function rollcall_internal.release(uuid[], integer[]) set jit = off;
