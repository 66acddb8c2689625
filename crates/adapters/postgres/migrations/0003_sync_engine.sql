-- Pauses, wishes for a full run, held deletes and how runs went.
ALTER TABLE syncs ADD COLUMN paused_at TIMESTAMPTZ;
ALTER TABLE syncs ADD COLUMN paused_by TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN pause_reason TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN pending_full BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE syncs ADD COLUMN held_deletes TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN stats TEXT COLLATE "C" NOT NULL DEFAULT '{}';

-- A paused sync is due only while somebody holds it, so that its lease can run out.
DROP INDEX syncs_due;
CREATE INDEX syncs_due ON syncs (COALESCE(lease_expires_at, next_run_at), id)
    WHERE COALESCE(lease_expires_at, next_run_at) IS NOT NULL AND (paused_at IS NULL OR lease_job IS NOT NULL);
CREATE INDEX syncs_held ON syncs (organization, lease_expires_at) WHERE lease_expires_at IS NOT NULL;

-- What the source said beside metadata, what a mapping made of it, who copied it, and whether its bytes are still there.
ALTER TABLE objects ADD COLUMN version_id TEXT COLLATE "C";
ALTER TABLE objects ADD COLUMN tags TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE objects ADD COLUMN mapped TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE objects ADD COLUMN copied_by_sync TEXT COLLATE "C";
ALTER TABLE objects ADD COLUMN copied_by_job TEXT COLLATE "C";
ALTER TABLE objects ADD COLUMN purged_at TIMESTAMPTZ;

CREATE INDEX objects_tombstones ON objects (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- The catalogue: what a sync knows of its source, in the order of the source's identities, so that a sorted listing can be
-- merged with it. A row may point at an object (the sync holds on to it), remember a version that was left out and the rule,
-- carry the pass that saw it (written only by passes that mark), and be missing: found so by a pass, and by a complete one
-- since.
CREATE TABLE catalogue (
    organization     TEXT COLLATE "C" NOT NULL,
    sync             TEXT COLLATE "C" NOT NULL,
    authority        TEXT COLLATE "C" NOT NULL,
    source_object    TEXT COLLATE "C" NOT NULL,
    object           TEXT COLLATE "C",
    left_out_version TEXT COLLATE "C",
    left_out_rule    TEXT COLLATE "C",
    seen_pass        BIGINT NOT NULL,
    missing_pass     BIGINT,
    missing_since    BIGINT,
    PRIMARY KEY (organization, sync, authority, source_object),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, object) REFERENCES objects (organization, id) ON DELETE CASCADE,
    CHECK ((left_out_version IS NULL) = (left_out_rule IS NULL))
);

INSERT INTO catalogue (organization, sync, authority, source_object, object, seen_pass)
SELECT e.organization, e.sync, o.authority, o.source_object, e.object, e.seen_pass
FROM sync_entries e JOIN objects o ON o.organization = e.organization AND o.id = e.object;

DROP TABLE sync_entries;

CREATE INDEX catalogue_object ON catalogue (organization, object) WHERE object IS NOT NULL;
CREATE INDEX catalogue_missing ON catalogue (organization, sync, missing_pass) WHERE missing_pass IS NOT NULL;

-- Files that could not be copied. At most one per sync and source object is open.
CREATE TABLE dead_letters (
    organization      TEXT COLLATE "C" NOT NULL,
    id                TEXT COLLATE "C" NOT NULL,
    sync              TEXT COLLATE "C" NOT NULL,
    bucket            TEXT COLLATE "C" NOT NULL,
    namespace         TEXT COLLATE "C" NOT NULL,
    job               TEXT COLLATE "C" NOT NULL,
    source_object     TEXT COLLATE "C" NOT NULL,
    path              TEXT COLLATE "C" NOT NULL,
    version           TEXT COLLATE "C" NOT NULL,
    error_type        TEXT COLLATE "C" NOT NULL,
    error_message     TEXT COLLATE "C" NOT NULL,
    tries             BIGINT NOT NULL,
    exhausted         BOOLEAN NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    last_reattempt_at TIMESTAMPTZ,
    requeued_at TIMESTAMPTZ,
    resolved_at TIMESTAMPTZ,
    disposal_reason   TEXT COLLATE "C",
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX dead_letters_open ON dead_letters (organization, sync, source_object) WHERE resolved_at IS NULL;
CREATE INDEX dead_letters_by_age ON dead_letters (organization, sync, first_seen_at, id) WHERE resolved_at IS NULL;
CREATE INDEX dead_letters_exhausted ON dead_letters (last_seen_at) WHERE resolved_at IS NULL AND exhausted;
