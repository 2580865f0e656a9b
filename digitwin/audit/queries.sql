-- name: record
-- No RETURNING: a role that may only add to the trail may not read it.
INSERT INTO audit_logs (user_id, id, action, resource, resource_id, actor_id, result,
                        ip_address, user_agent, metadata)
VALUES (:user_id, :id, :action, :resource, :resource_id, :actor_id, :result,
        :ip_address, :user_agent, :metadata::jsonb)

-- name: record_many
-- All rows in one statement, as one array for each column.
INSERT INTO audit_logs (user_id, id, action, resource, resource_id, actor_id, result,
                        ip_address, user_agent, metadata)
SELECT * FROM unnest(:user_id::uuid[], :id::uuid[], :action::text[], :resource::text[],
                     :resource_id::text[], :actor_id::uuid[], :result::text[],
                     :ip_address::text[], :user_agent::text[], :metadata::jsonb[])

-- name: page
-- Newest first.
SELECT {columns} FROM audit_logs{where} ORDER BY id DESC LIMIT {limit}

-- name: all_records
-- Oldest first.
SELECT {columns} FROM audit_logs{where} ORDER BY id

-- name: statistics
-- All counts of a period from one scan, so that they agree with each other.
SELECT action, result, user_id, day, grouping(action, result, user_id, day) AS kind, count(*)
FROM (SELECT action, result, user_id, (created_at AT TIME ZONE 'UTC')::date AS day
      FROM audit_logs
      WHERE created_at >= :since AND created_at < :until) AS records
GROUP BY GROUPING SETS ((action), (result), (user_id), (day))

-- name: placed_records
-- What only the database knows about a record: when it was inserted, whether a monthly partition
-- holds it, its seal, and whether it is dated after that (without a seal: after now).
SELECT id, least(greatest(audit_logs.created_at, '0001-01-02 UTC'), '9999-12-31 UTC') AS created_at,
       leaf.seal, audit_logs.created_at > coalesce(made.created_at, now()) AS is_ahead,
       audit_logs.tableoid = (SELECT partdefid FROM pg_partitioned_table
                              WHERE partrelid = 'audit_logs'::regclass) AS is_unplaced
FROM audit_logs LEFT JOIN audit_leaves AS leaf ON leaf.record_id = id
     LEFT JOIN audit_seals AS made ON made.number = leaf.seal

-- name: unguarded
-- The partitions of the trail and the tables of seals that lack a row trigger before DELETE and
-- UPDATE.
SELECT tree.relid::regclass::text
FROM (SELECT relid FROM pg_partition_tree('audit_logs')
      UNION ALL SELECT unnest(ARRAY['audit_seals', 'audit_leaves', 'audit_checkpoints']::regclass[])
     ) AS tree (relid)
LEFT JOIN pg_trigger AS guard ON guard.tgrelid = tree.relid
     AND guard.tgenabled IN ('O', 'A') AND guard.tgtype & 3 = 3  -- FOR EACH ROW, BEFORE
GROUP BY tree.relid
HAVING coalesce(bit_or(guard.tgtype), 0) & 24 <> 24  -- DELETE, UPDATE
ORDER BY 1

-- name: now
-- The database clock decides which month it is.
SELECT now()

-- name: cutoff
-- The database clock decides what is old.
SELECT now() - make_interval(secs => :age)

-- name: purge_batch
-- A small batch of sealed (and, if configured, archived) records; SKIP LOCKED leaves rows that
-- another instance is deleting.
WITH old AS (SELECT user_id, id FROM audit_logs WHERE created_at < :cutoff
               AND EXISTS (SELECT FROM audit_leaves
                           WHERE record_id = audit_logs.id AND seal <= :upto OFFSET 0)
             ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM audit_logs AS record USING old
              WHERE record.user_id = old.user_id AND record.id = old.id RETURNING 1)
SELECT count(*) FROM gone

-- name: begin_partitioning
-- One instance at a time, without waiting for it; the short lock_timeout bounds every later
-- statement of the transaction.
SELECT set_config('lock_timeout', '100ms', true),
       pg_try_advisory_xact_lock(hashtextextended('digitwin.audit_logs', 0)) AS mine, now()

-- name: partitions
-- The partitions in the catalog; the one without bounds is the default.
SELECT format('%I', child.relname) AS name, child.oid = parent.partdefid AS is_default,
       pg_get_expr(child.relpartbound, child.oid) AS bounds
FROM pg_partitioned_table AS parent
JOIN pg_inherits ON inhparent = parent.partrelid
JOIN pg_class AS child ON child.oid = inhrelid
WHERE parent.partrelid = 'audit_logs'::regclass
ORDER BY child.relname

-- name: create_partition
-- A separate table first: CREATE TABLE ... PARTITION OF would lock the whole trail.
CREATE TABLE {partition} (LIKE audit_logs INCLUDING ALL)

-- name: lock_writers
-- Records of the current month are being written to the default partition, which would refuse them
-- once the month's partition is attached.
LOCK TABLE ONLY audit_logs IN SHARE ROW EXCLUSIVE MODE

-- name: lock_default
-- ATTACH locks the default partition; NOWAIT keeps other sessions from queueing behind this one.
LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE NOWAIT

-- name: move_from_default
-- Records that were written before their month had a partition.
WITH moved AS (DELETE FROM {default} WHERE id >= '{lower}' AND id < '{upper}' RETURNING *)
INSERT INTO {partition} SELECT * FROM moved

-- name: attach_partition
-- Takes SHARE UPDATE EXCLUSIVE on the trail: readers and writers continue.
ALTER TABLE audit_logs ATTACH PARTITION {partition} FOR VALUES FROM ('{lower}') TO ('{upper}')

-- name: count_partition
-- The number of records that a drop removes, counted before anything is locked.
SELECT count(*) FROM {partition}

-- name: lock_trail
-- DROP TABLE of a partition locks the whole trail; NOWAIT, so only if nobody holds a lock.
LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE NOWAIT

-- name: has_younger
-- A record's age is its created_at; its partition follows from its id.
SELECT EXISTS (SELECT FROM {partition} WHERE created_at >= :cutoff)

-- name: drop_partition
-- Removes a month at once, without a DELETE for each record.
DROP TABLE {partition}

-- name: hold_sealing
-- An erasure and a sealing run must not overlap: the seal would be over values that the erasure
-- removed.
SELECT pg_advisory_xact_lock(hashtextextended('digitwin.audit_seals', 0))

-- name: permission
-- The transaction's present permission to delete, to be restored afterwards.
SELECT coalesce(current_setting('digitwin.allow_hard_delete', true), '')

-- name: permit
-- The guard allows DELETE if this is 'on'; applies to the rest of this transaction at most.
SELECT set_config('digitwin.allow_hard_delete', :permission, true)

-- name: pseudonymise
-- Erases a person from a batch of records. Each is deleted and inserted again: its key contains
-- user_id, which the guard lets no UPDATE change. The salts of the erased fields become zeros, so
-- that nobody can guess values by their commitments; the seals over them remain valid.
WITH theirs AS (
    SELECT user_id, id FROM audit_logs WHERE {where} LIMIT :limit
), gone AS (
    DELETE FROM audit_logs AS record USING theirs
    WHERE record.user_id = theirs.user_id AND record.id = theirs.id
    RETURNING record.*
), judged AS (
    SELECT *, user_id = :user_id AS is_about, coalesce(actor_id = :user_id, false) AS is_by,
           user_id = :user_id OR coalesce(resource_id = ANY({names}), false) AS is_named,
           coalesce(actor_id = :user_id, user_id = :user_id) AS is_from
    FROM gone
), moved AS (
    INSERT INTO audit_logs (user_id, id, action, resource, resource_id, actor_id, result,
                            ip_address, user_agent, metadata, created_at)
    SELECT CASE WHEN is_about THEN :pseudonym ELSE user_id END, id, action, resource,
           CASE WHEN NOT is_named THEN resource_id END,
           CASE WHEN is_by THEN :pseudonym ELSE actor_id END, result,
           CASE WHEN NOT is_from THEN ip_address END,
           CASE WHEN NOT is_from THEN user_agent END,
           CASE WHEN is_named THEN '{}'::jsonb ELSE metadata END, created_at
    FROM judged
), unsalted AS (
    UPDATE audit_leaves AS leaf
    SET salts = CASE WHEN is_about THEN :no_salt::bytea ELSE substr(salts, 1, 16) END
             || CASE WHEN is_by THEN :no_salt ELSE substr(salts, 17, 16) END
             || CASE WHEN is_named THEN :no_salt ELSE substr(salts, 33, 16) END
             || CASE WHEN is_from THEN :no_salt || :no_salt ELSE substr(salts, 49, 32) END
             || CASE WHEN is_named THEN :no_salt ELSE substr(salts, 81, 16) END
    FROM judged WHERE leaf.record_id = judged.id
)
SELECT count(*) FROM gone

-- name: begin_sealing
-- One sealing run at a time, without waiting for it; an erasure holds the same lock.
SELECT pg_try_advisory_xact_lock(hashtextextended('digitwin.audit_seals', 0)) AS mine, now()

-- name: settle
-- A transaction has its timestamp a moment before it appears in pg_locks. After this pause every
-- transaction that was between the two is visible.
SELECT pg_sleep(0.05)

-- name: running
-- All open transactions of this database, read-only ones and those of other roles included: each
-- holds a lock on its own virtualxid, which every role may see. Prepared transactions do not, so
-- they are reported separately.
SELECT coalesce(string_agg(virtualxid, ',' ORDER BY virtualxid), '') AS running,
       EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database()) AS prepared
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock' AND datname = current_database()
  AND pid <> pg_backend_pid() AND backend_type IS DISTINCT FROM 'autovacuum worker'

-- name: last_seal
-- The end of the chain, to which the next seal is linked, and the horizon that is known now.
SELECT {seal_columns}, running, {known_horizon} AS known, now()
FROM audit_seals ORDER BY number DESC LIMIT 1

-- name: seal_columns
-- A time that Python cannot hold becomes one that no seal has: such a seal was changed.
number, least(greatest(created_at, '0001-01-02 UTC'), '9999-12-31 UTC') AS created_at,
CASE WHEN horizon IS NOT NULL THEN
    least(greatest(horizon, '0001-01-02 UTC'), '9999-12-31 UTC') END AS horizon,
CASE WHEN newest IS NOT NULL THEN
    least(greatest(newest, '0001-01-02 UTC'), '9999-12-31 UTC') END AS newest,
records, root, previous, head, key_id, algorithm, signature

-- name: known_horizon
-- Part of statements: the last horizon, except those of seals made while the clock was ahead.
(SELECT horizon FROM audit_seals WHERE horizon BETWEEN '0001-01-02 UTC' AND now()
 ORDER BY number DESC LIMIT 1)

-- name: horizon_before
-- The horizon that was known when a seal was made, if the clock had been ahead before.
SELECT horizon FROM audit_seals
WHERE number > :first AND number < :number AND horizon BETWEEN '0001-01-02 UTC' AND :at
ORDER BY number DESC LIMIT 1

-- name: last_checkpoint
-- The start of the chain after removals.
SELECT number, least(greatest(created_at, '0001-01-02 UTC'), '9999-12-31 UTC') AS created_at,
       least(greatest(removed_before, '0001-01-02 UTC'), '9999-12-31 UTC') AS removed_before,
       seal, seal_head, records, head, key_id, algorithm, signature
FROM audit_checkpoints ORDER BY number DESC LIMIT 1

-- name: unsealed
-- Records without a leaf, oldest first, from the last horizon on. OFFSET 0 keeps the leaf's lookup
-- on its index: as a join, the planner may read all leaves.
SELECT id, created_at, action, resource, result, user_id, actor_id, resource_id, ip_address,
       user_agent, metadata
FROM audit_logs AS record
WHERE created_at >= :after_time AND (created_at, id) > (:after_time, :after_id)
  AND created_at < :until
  AND NOT EXISTS (SELECT FROM audit_leaves WHERE record_id = record.id OFFSET 0)
ORDER BY created_at, id LIMIT :limit

-- name: oldest_unsealed
-- For the health probe: the age in seconds of the oldest record without a seal, and how many there
-- are, counted up to `most`. Those of a clock that was ahead have no age. PostgreSQL 15 does not
-- subtract infinite times, which somebody may have inserted.
SELECT extract(epoch FROM now() - greatest(least(min(created_at), now()), '0001-01-02 UTC'))::float8
           AS seconds, count(*) AS records
FROM (SELECT created_at FROM audit_logs AS record
      WHERE created_at >= coalesce({known_horizon}, '-infinity')
        AND NOT EXISTS (SELECT FROM audit_leaves WHERE record_id = record.id OFFSET 0)
      ORDER BY created_at LIMIT :most) AS unsealed

-- name: add_seal
-- Its leaves follow in the same transaction.
INSERT INTO audit_seals (number, created_at, horizon, newest, records, root, previous, head, key_id,
                         algorithm, signature, running)
VALUES (:number, :created_at, :horizon, :newest, :records, :root, :previous, :head, :key_id,
        :algorithm, :signature, :running)

-- name: add_leaves
-- All leaves of a seal in one statement, as one array for each column.
INSERT INTO audit_leaves (seal, place, record_id, created_at, content, leaf, commitments, salts)
SELECT :seal, * FROM unnest(:place::int[], :record_id::uuid[], :created_at::timestamptz[],
                            :content::bytea[], :leaf::bytea[], :commitments::bytea[],
                            :salts::bytea[])

-- name: seals_after
-- A page of the chain.
SELECT {seal_columns}
FROM audit_seals WHERE number > :after ORDER BY number LIMIT :limit

-- name: leaves_with_records
-- What was sealed next to what is stored now, in the order of the seals, from one snapshot. Times
-- as in `seal_columns`.
SELECT leaf.seal, leaf.place, leaf.record_id,
       least(greatest(leaf.created_at, '0001-01-02 UTC'), '9999-12-31 UTC') AS dated,
       leaf.content, leaf.leaf, leaf.commitments, leaf.salts, record.id,
       CASE WHEN record.id IS NOT NULL THEN
           least(greatest(record.created_at, '0001-01-02 UTC'), '9999-12-31 UTC')
       END AS created_at, record.action, record.resource,
       record.result, record.user_id, record.actor_id, record.resource_id, record.ip_address,
       record.user_agent, record.metadata
FROM audit_leaves AS leaf LEFT JOIN audit_logs AS record ON record.id = leaf.record_id
WHERE leaf.seal > :after AND leaf.seal <= :upto
ORDER BY leaf.seal, leaf.place

-- name: heads
-- The heads of seals that the checkpoint sink has, for comparison.
SELECT number, head FROM audit_seals WHERE number = ANY(:numbers::bigint[])

-- name: newest_seal
-- The end of the chain at present.
SELECT coalesce(max(number), 0) FROM audit_seals

-- name: has_removable
-- A removal writes a checkpoint, so first whether there is anything to remove.
SELECT EXISTS (SELECT FROM audit_logs WHERE created_at < :cutoff
               AND EXISTS (SELECT FROM audit_leaves
                           WHERE record_id = audit_logs.id AND seal <= :upto OFFSET 0))

-- name: removable_seals
-- The first and last seal of the records that a removal deletes.
SELECT min(leaf.seal) AS first, max(leaf.seal) AS last
FROM audit_logs AS record JOIN audit_leaves AS leaf ON leaf.record_id = record.id
WHERE record.created_at < :cutoff AND leaf.seal <= :upto

-- name: has_kept
-- Whether a month holds records that no seal up to this one holds, which must not be dropped.
SELECT EXISTS (SELECT FROM {partition} AS record
               WHERE NOT EXISTS (SELECT FROM audit_leaves
                                 WHERE record_id = record.id AND seal <= :upto OFFSET 0))

-- name: hold_checkpoints
-- One checkpoint at a time: each continues the last one.
SELECT now() FROM pg_advisory_xact_lock(hashtextextended('digitwin.audit_checkpoints', 0))

-- name: add_checkpoint
-- Written before records are deleted, and when their seals are.
INSERT INTO audit_checkpoints (number, created_at, removed_before, seal, seal_head, records, head,
                               key_id, algorithm, signature)
VALUES (:number, :created_at, :removed_before, :seal, :seal_head, :records, :head,
        :key_id, :algorithm, :signature)

-- name: first_seal_with_records
-- All records of earlier seals are deleted. Ordered by the key, so that the scan stops at the first
-- record found.
SELECT leaf.seal FROM audit_leaves AS leaf
WHERE leaf.seal > :after AND EXISTS (SELECT FROM audit_logs WHERE id = leaf.record_id OFFSET 0)
ORDER BY leaf.seal, leaf.place LIMIT 1

-- name: remove_seals
-- A checkpoint replaces them.
DELETE FROM audit_seals WHERE number <= :upto

-- name: remove_leaves
-- A batch of leaves whose seals a checkpoint has replaced.
WITH old AS (SELECT seal, place FROM audit_leaves
             WHERE seal <= (SELECT seal FROM audit_checkpoints ORDER BY number DESC LIMIT 1)
             ORDER BY seal, place LIMIT :limit FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM audit_leaves AS leaf USING old
              WHERE leaf.seal = old.seal AND leaf.place = old.place RETURNING 1)
SELECT count(*) FROM gone

-- name: sealed_records
-- In the order of the seals, which is stable: new records always follow those already exported.
SELECT leaf.seal, leaf.place, record.id, record.created_at, record.action, record.resource,
       record.resource_id, record.user_id, record.actor_id, record.result, record.ip_address,
       record.user_agent, record.metadata
FROM audit_leaves AS leaf JOIN audit_logs AS record ON record.id = leaf.record_id
WHERE (leaf.seal, leaf.place) > (:after_seal, :after_place)
  AND record.created_at >= :since AND record.created_at < :until
ORDER BY leaf.seal, leaf.place

-- name: unsealed_records
-- Records that an export returns ahead of their seal.
SELECT id, created_at, action, resource, resource_id, user_id, actor_id, result, ip_address,
       user_agent, metadata
FROM audit_logs AS record
WHERE created_at >= :since AND created_at < :until
  AND NOT EXISTS (SELECT FROM audit_leaves WHERE record_id = record.id OFFSET 0)
ORDER BY created_at, id

-- name: schema_version
-- How many migrations made this schema.
SELECT version FROM digitwin_schema

-- name: guard_functions
-- The functions of this package, as they are stored, and whether their only setting is our search
-- path.
SELECT proname::text AS name, prosrc AS body,
       lanname = 'plpgsql' AND NOT prosecdef AND NOT proisstrict AND provolatile = 'v' AS is_ours,
       proconfig IS NOT DISTINCT FROM
           ARRAY['search_path=' || quote_ident(current_schema()) || ', pg_temp'] AS is_fixed
FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
WHERE pronamespace = to_regnamespace(quote_ident(current_schema()))
  AND starts_with(proname, 'digitwin_')

-- name: guard_triggers
-- All triggers of this schema. A condition or a list of columns makes a trigger fire less often.
SELECT relname::text AS table, tgname::text AS name, tgtype::int AS type,
       CASE WHEN pronamespace = relnamespace THEN proname::text END AS function,
       tgenabled IN ('O', 'A') AS is_enabled, tgparentid <> 0 AS is_inherited,
       tgqual IS NOT NULL OR tgattr <> '' AS is_conditional
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND NOT tgisinternal

-- name: rules
-- A rule replaces or adds to a statement; this package makes none.
SELECT relname::text AS table, rulename::text AS name
FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
  AND starts_with(relname, 'audit_') AND rulename <> '_RETURN'

-- name: checks
-- All CHECKs of this schema that look at a column of the table in their name. Partitions may keep
-- those that their table lost.
SELECT conname::text AS name, convalidated AS is_valid
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE contype = 'c' AND NOT relispartition AND cardinality(conkey) > 0
  AND starts_with(conname, 'ck_' || relname || '__')
  AND connamespace = to_regnamespace(quote_ident(current_schema()))
