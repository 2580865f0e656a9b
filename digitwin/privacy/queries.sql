-- name: types
-- What the fields of an export are, as the database has them.
SELECT attrelid::regclass::text AS table_name, attname::text AS name,
       format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = ANY($1::text[]::regclass[]) AND attnum > 0 AND NOT attisdropped

-- name: moment
-- The moment that an export shows, by the database clock.
SELECT now()

-- name: is_known
-- Whether anything is held about a person, in any table; {found} is one condition for each.
SELECT {found}

-- name: is_known_participant
-- Whether anybody's twin knows them.
SELECT EXISTS (SELECT 1 FROM participants WHERE ref = $1 AND kind = $2)
