-- name: overviews
-- `{page}` is a page of sessions in its order; for each of them one entry of the participants' key
-- and the last one of its range in the turns' key. Only the beginning of a text is detoasted.
SELECT page.*, who.kind AS participant_kind, who.name AS participant_name, last.*
FROM ({page}) AS page
LEFT JOIN participants AS who ON who.user_id = page.user_id AND who.id = page.participant_id
LEFT JOIN LATERAL (
    SELECT left(nullif(coalesce(heard_text, twin_text), ''), {preview}) AS last_twin_text,
           left(nullif(user_text, ''), {preview}) AS last_user_text, status AS last_turn_status,
           coalesce(ended_at, started_at, created_at) AS last_turn_at
    FROM conversation_turns AS turn
    WHERE turn.user_id = page.user_id AND turn.session_id = page.id
    ORDER BY turn.position DESC LIMIT 1
) AS last ON true
ORDER BY page.id{direction}
