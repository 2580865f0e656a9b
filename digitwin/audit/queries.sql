-- name: record
-- No RETURNING: who may only add to the trail may not read it.
INSERT INTO audit_logs (user_id, id, action, resource, resource_id, actor_id, result,
                        ip_address, user_agent, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb)

-- name: record_many
-- One statement for all rows, as one array for each column.
INSERT INTO audit_logs (user_id, id, action, resource, resource_id, actor_id, result,
                        ip_address, user_agent, metadata)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                     $7::text[], $8::text[], $9::text[], $10::jsonb[])

-- name: statistics
-- All counts of one period in one reading, so that they agree with each other.
SELECT action, result, user_id, day, grouping(action, result, user_id, day) AS kind, count(*)
FROM (SELECT action, result, user_id, (created_at AT TIME ZONE 'UTC')::date AS day
      FROM audit_logs
      WHERE created_at >= $1 AND created_at < $2) AS records
GROUP BY GROUPING SETS ((action), (result), (user_id), (day))

-- name: placed_records
-- What the database alone knows about each record: when it came, and whether a month and a seal
-- took it in.
SELECT id, audit_logs.created_at, leaf.record_id IS NOT NULL AS is_sealed,
       audit_logs.tableoid = (SELECT partdefid FROM pg_partitioned_table
                              WHERE partrelid = 'audit_logs'::regclass) AS is_unplaced
FROM audit_logs LEFT JOIN audit_leaves AS leaf ON leaf.record_id = id

-- name: unguarded
-- The trail and its partitions, and its seals, whose row triggers do not stand before every DELETE
-- and UPDATE.
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
-- The database clock decides what month it is.
SELECT now()

-- name: cutoff
-- The database clock decides what is old.
SELECT now() - make_interval(secs => $1)

-- name: purge_batch
-- A few records at a time, of those that are sealed (and, where they are to be, archived); those
-- another instance is at are left to it.
WITH old AS (SELECT user_id, id FROM audit_logs WHERE created_at < $1
               AND EXISTS (SELECT FROM audit_leaves
                           WHERE record_id = audit_logs.id AND seal <= $3 OFFSET 0)
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM audit_logs AS record USING old
              WHERE record.user_id = old.user_id AND record.id = old.id RETURNING 1)
SELECT count(*) FROM gone

-- name: allow_purge
-- The guard lets a DELETE pass for the rest of this transaction only.
SELECT set_config('digitwin.allow_hard_delete', 'on', true)

-- name: begin_partitioning
-- One instance at a time, nobody waiting for another; and no statement here waits long for a lock.
SELECT set_config('lock_timeout', '100ms', true),
       pg_try_advisory_xact_lock(hashtextextended('digitwin.audit_logs', 0)) AS mine, now()

-- name: partitions
-- Partitions as PostgreSQL has them; the one without bounds is the default.
SELECT format('%I', child.relname) AS name, child.oid = parent.partdefid AS is_default,
       pg_get_expr(child.relpartbound, child.oid) AS bounds
FROM pg_partitioned_table AS parent
JOIN pg_inherits ON inhparent = parent.partrelid
JOIN pg_class AS child ON child.oid = inhrelid
WHERE parent.partrelid = 'audit_logs'::regclass
ORDER BY child.relname

-- name: create_partition
-- Beside the trail first: made inside it, it would lock all of it.
CREATE TABLE {name} (LIKE audit_logs INCLUDING ALL)

-- name: lock_writers
-- Records of this very month are on their way to the default partition: there they would be refused.
LOCK TABLE ONLY audit_logs IN SHARE ROW EXCLUSIVE MODE

-- name: lock_default
-- Attaching locks the default partition; asking without waiting keeps others from queueing up.
LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE NOWAIT

-- name: move_from_default
-- Records that came before their month had a partition.
WITH moved AS (DELETE FROM {default} WHERE id >= '{lower}' AND id < '{upper}' RETURNING *)
INSERT INTO {name} SELECT * FROM moved

-- name: attach_partition
-- Locks the trail against other changes of its partitions, not against readers and writers.
ALTER TABLE audit_logs ATTACH PARTITION {name} FOR VALUES FROM ('{lower}') TO ('{upper}')

-- name: count_partition
-- What a drop will take along, counted before anything is locked.
SELECT count(*) FROM {name}

-- name: lock_trail
-- Dropping a partition locks the whole trail for a moment: only when that moment is free.
LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE NOWAIT

-- name: has_younger
-- The age of a record is its created_at; its month comes from its id.
SELECT EXISTS (SELECT FROM {name} WHERE created_at >= $1)

-- name: drop_partition
-- A month at once, without a DELETE for each record.
DROP TABLE {name}


-- name: hold_sealing
-- An erasure and a seal must not pass each other: the seal would hold what the erasure has removed.
SELECT pg_advisory_xact_lock(hashtextextended('digitwin.audit_seals', 0))

-- name: permission
-- What a transaction has allowed itself so far, to be put back as it was.
SELECT coalesce(current_setting('digitwin.allow_hard_delete', true), '')

-- name: permit
-- For the rest of this transaction at most.
SELECT set_config('digitwin.allow_hard_delete', $1, true)

-- name: pseudonymise
-- A person leaves some records, which move rather than change: their key holds user_id, and no
-- UPDATE of it passes. With what was theirs go the salts of its commitments; the seals hold on.
WITH theirs AS (
    SELECT user_id, id FROM audit_logs WHERE {whose} LIMIT $4
), gone AS (
    DELETE FROM audit_logs AS record USING theirs
    WHERE record.user_id = theirs.user_id AND record.id = theirs.id
    RETURNING record.*
), judged AS (
    SELECT *, user_id = $1 AS is_about, coalesce(actor_id = $1, false) AS is_by,
           user_id = $1 OR coalesce(resource_id = $2, false) AS is_named,
           coalesce(actor_id = $1, user_id = $1) AS is_from
    FROM gone
), moved AS (
    INSERT INTO audit_logs (user_id, id, action, resource, resource_id, actor_id, result,
                            ip_address, user_agent, metadata, created_at)
    SELECT CASE WHEN is_about THEN $3 ELSE user_id END, id, action, resource,
           CASE WHEN NOT is_named THEN resource_id END,
           CASE WHEN is_by THEN $3 ELSE actor_id END, result,
           CASE WHEN NOT is_from THEN ip_address END,
           CASE WHEN NOT is_from THEN user_agent END,
           CASE WHEN is_named THEN '{{}}'::jsonb ELSE metadata END, created_at
    FROM judged
), unsalted AS (
    UPDATE audit_leaves AS leaf
    SET salts = CASE WHEN is_about THEN $5::bytea ELSE substr(salts, 1, 16) END
             || CASE WHEN is_by THEN $5 ELSE substr(salts, 17, 16) END
             || CASE WHEN is_named THEN $5 ELSE substr(salts, 33, 16) END
             || CASE WHEN is_from THEN $5 || $5 ELSE substr(salts, 49, 32) END
             || CASE WHEN is_named THEN $5 ELSE substr(salts, 81, 16) END
    FROM judged WHERE leaf.record_id = judged.id
)
SELECT count(*) FROM gone

-- name: begin_sealing
-- One sealer at a time, nobody waiting for another; an erasure holds the same lock.
SELECT pg_try_advisory_xact_lock(hashtextextended('digitwin.audit_seals', 0)) AS mine, now()

-- name: settle
-- A transaction has its time a moment before it shows in pg_locks: whoever was in that moment has
-- come out of it when this is over.
SELECT pg_sleep(0.05)

-- name: running
-- The transactions open in this database, others' and invisible ones included: each holds a lock
-- on itself, which everybody may see. One that was prepared has left that list, so it is told apart.
SELECT coalesce(string_agg(virtualxid, ',' ORDER BY virtualxid), '') AS running,
       EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database()) AS prepared
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock' AND datname = current_database()
  AND pid <> pg_backend_pid() AND backend_type IS DISTINCT FROM 'autovacuum worker'

-- name: last_seal
-- Where the chain goes on.
SELECT number, created_at, horizon, newest, records, root, previous, head, key_id, algorithm,
       signature, running
FROM audit_seals ORDER BY number DESC LIMIT 1

-- name: last_checkpoint
-- Where the chain begins.
SELECT number, created_at, removed_before, seal, seal_head, records, head, key_id, algorithm,
       signature
FROM audit_checkpoints ORDER BY number DESC LIMIT 1

-- name: unsealed
-- Records without a leaf, oldest first, from where the last seals stopped. OFFSET 0 keeps the leaf's
-- look-up by its index: joined, the planner may read all leaves there are.
SELECT id, created_at, action, resource, result, user_id, actor_id, resource_id, ip_address,
       user_agent, metadata
FROM audit_logs AS record
WHERE created_at >= $1 AND (created_at, id) > ($1, $2) AND created_at < $3
  AND NOT EXISTS (SELECT FROM audit_leaves WHERE record_id = record.id OFFSET 0)
ORDER BY created_at, id LIMIT $4

-- name: oldest_unsealed
-- For a probe: how many seconds ago the oldest record came that no seal holds yet.
SELECT coalesce(extract(epoch FROM now() - (
    SELECT created_at FROM audit_logs AS record
    WHERE created_at >= coalesce((SELECT horizon FROM audit_seals ORDER BY number DESC LIMIT 1),
                                 '-infinity')
      AND NOT EXISTS (SELECT FROM audit_leaves WHERE record_id = record.id OFFSET 0)
    ORDER BY created_at LIMIT 1
)), 0)::float8

-- name: add_seal
-- Its leaves come in the same transaction.
INSERT INTO audit_seals (number, created_at, horizon, newest, records, root, previous, head, key_id,
                         algorithm, signature, running)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: add_leaves
-- All leaves of a seal in one statement, as one array for each column.
INSERT INTO audit_leaves (seal, place, record_id, created_at, content, leaf, commitments, salts)
SELECT $1, * FROM unnest($2::int[], $3::uuid[], $4::timestamptz[], $5::bytea[], $6::bytea[],
                         $7::bytea[], $8::bytea[])

-- name: seals_after
-- The chain in pieces.
SELECT number, created_at, horizon, newest, records, root, previous, head, key_id, algorithm,
       signature
FROM audit_seals WHERE number > $1 ORDER BY number LIMIT $2

-- name: leaves_with_records
-- What was sealed beside what is there now, in the order of the seals, of one moment.
SELECT leaf.seal, leaf.place, leaf.record_id, leaf.created_at AS dated, leaf.content, leaf.leaf,
       leaf.commitments, leaf.salts, record.id, record.created_at, record.action, record.resource,
       record.result, record.user_id, record.actor_id, record.resource_id, record.ip_address,
       record.user_agent, record.metadata
FROM audit_leaves AS leaf LEFT JOIN audit_logs AS record ON record.id = leaf.record_id
WHERE leaf.seal > $1 AND leaf.seal <= $2
ORDER BY leaf.seal, leaf.place

-- name: heads
-- Of seals that something outside the database tells of.
SELECT number, head FROM audit_seals WHERE number = ANY($1::bigint[])

-- name: newest_seal
-- How far the chain goes now.
SELECT coalesce(max(number), 0) FROM audit_seals

-- name: has_removable
-- Whether a removal would remove anything: it leaves a checkpoint.
SELECT EXISTS (SELECT FROM audit_logs WHERE created_at < $1
               AND EXISTS (SELECT FROM audit_leaves
                           WHERE record_id = audit_logs.id AND seal <= $2 OFFSET 0))

-- name: removable_seals
-- The first and the last seal of what a removal will remove.
SELECT min(leaf.seal) AS first, max(leaf.seal) AS last
FROM audit_logs AS record JOIN audit_leaves AS leaf ON leaf.record_id = record.id
WHERE record.created_at < $1 AND leaf.seal <= $2

-- name: has_kept
-- Whether a month holds what must not go with it: what no seal up to this one holds.
SELECT EXISTS (SELECT FROM {name} AS record
               WHERE NOT EXISTS (SELECT FROM audit_leaves
                                 WHERE record_id = record.id AND seal <= $1 OFFSET 0))

-- name: hold_checkpoints
-- One at a time: each goes on from the last.
SELECT now() FROM pg_advisory_xact_lock(hashtextextended('digitwin.audit_checkpoints', 0))

-- name: add_checkpoint
-- Before the records go, and when their seals do.
INSERT INTO audit_checkpoints (number, created_at, removed_before, seal, seal_head, records, head,
                               key_id, algorithm, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: first_seal_with_records
-- What lies before it is gone. In the order of the key, so that it stops at the first record found.
SELECT leaf.seal FROM audit_leaves AS leaf
WHERE leaf.seal > $1 AND EXISTS (SELECT FROM audit_logs WHERE id = leaf.record_id OFFSET 0)
ORDER BY leaf.seal, leaf.place LIMIT 1

-- name: remove_seals
-- A checkpoint stands for them.
DELETE FROM audit_seals WHERE number <= $1

-- name: remove_leaves
-- Of seals that a checkpoint stands for.
WITH old AS (SELECT seal, place FROM audit_leaves
             WHERE seal <= (SELECT seal FROM audit_checkpoints ORDER BY number DESC LIMIT 1)
             ORDER BY seal, place LIMIT $1 FOR UPDATE SKIP LOCKED),
     gone AS (DELETE FROM audit_leaves AS leaf USING old
              WHERE leaf.seal = old.seal AND leaf.place = old.place RETURNING 1)
SELECT count(*) FROM gone

-- name: sealed_records
-- In the order of the seals: what was given out stays before what is to come.
SELECT leaf.seal, leaf.place, record.id, record.created_at, record.action, record.resource,
       record.resource_id, record.user_id, record.actor_id, record.result, record.ip_address,
       record.user_agent, record.metadata
FROM audit_leaves AS leaf JOIN audit_logs AS record ON record.id = leaf.record_id
WHERE (leaf.seal, leaf.place) > ($1, $2) AND record.created_at >= $3 AND record.created_at < $4
ORDER BY leaf.seal, leaf.place

-- name: unsealed_records
-- What an export may tell beforehand.
SELECT id, created_at, action, resource, resource_id, user_id, actor_id, result, ip_address,
       user_agent, metadata
FROM audit_logs AS record
WHERE created_at >= $1 AND created_at < $2
  AND NOT EXISTS (SELECT FROM audit_leaves WHERE record_id = record.id OFFSET 0)
ORDER BY created_at, id
