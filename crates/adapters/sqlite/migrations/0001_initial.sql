-- Times are microseconds since 1970 in UTC. JSON is stored as text and never looked into by SQL. Every row carries its
-- organization, and every foreign key does too, so that nothing can point across organizations.

CREATE TABLE organizations (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX organizations_name ON organizations (name);

CREATE TABLE organization_keys (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    version      INTEGER NOT NULL,
    ring_key     TEXT    NOT NULL,
    wrapped      BLOB    NOT NULL,
    PRIMARY KEY (organization, version)
) STRICT;

CREATE TABLE users (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    id           TEXT    NOT NULL,
    email        TEXT    NOT NULL,
    role         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;

CREATE UNIQUE INDEX users_email ON users (organization, email);

CREATE TABLE api_keys (
    organization TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    prefix       TEXT    NOT NULL,
    hash         BLOB    NOT NULL,
    permission   TEXT    NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, user_id) REFERENCES users (organization, id)
) STRICT;

CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
CREATE UNIQUE INDEX api_keys_name ON api_keys (organization, user_id, name) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_by_age ON api_keys (organization, user_id, created_at, id);

CREATE TABLE audit_rows (
    organization  TEXT    NOT NULL REFERENCES organizations (id),
    id            TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    action        TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    actor         TEXT    NOT NULL,
    user_id       TEXT,
    key_id        TEXT,
    reason        TEXT,
    ip_address    TEXT,
    user_agent    TEXT,
    changes       TEXT    NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;

CREATE INDEX audit_rows_by_age ON audit_rows (organization, at, id);

CREATE TABLE namespaces (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    id           TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    description  TEXT,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;

CREATE UNIQUE INDEX namespaces_name ON namespaces (organization, name);
CREATE INDEX namespaces_by_age ON namespaces (organization, created_at, id);

CREATE TABLE buckets (
    organization   TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    namespace      TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    -- The name in lower case, for searching in any letter case; SQL alone knows no letters beyond ASCII.
    lower_name     TEXT    NOT NULL,
    description    TEXT,
    schema         TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    -- When an object last arrived.
    last_upload_at INTEGER,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, namespace) REFERENCES namespaces (organization, id)
) STRICT;

CREATE UNIQUE INDEX buckets_name ON buckets (organization, namespace, name);
CREATE INDEX buckets_by_age ON buckets (organization, namespace, created_at, id);

CREATE TABLE connections (
    organization         TEXT    NOT NULL REFERENCES organizations (id),
    id                   TEXT    NOT NULL,
    name                 TEXT    NOT NULL,
    description          TEXT,
    provider             TEXT    NOT NULL,
    config               TEXT    NOT NULL,
    credential_type      TEXT    NOT NULL,
    sealed               BLOB,
    credential_version   INTEGER NOT NULL,
    write_enabled        INTEGER NOT NULL,
    metadata             TEXT    NOT NULL,
    intent               TEXT    NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    definite_failure     INTEGER NOT NULL,
    -- The public status, for filters and leases; the model's own function decides everywhere else.
    status               TEXT    NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN intent = 'archived' THEN 'ARCHIVED'
            WHEN intent = 'suspended' OR consecutive_failures >= 5 THEN 'SUSPENDED'
            WHEN definite_failure THEN 'FAILED'
            ELSE 'ACTIVE'
        END
    ) STORED,
    epoch                INTEGER NOT NULL,
    revision             INTEGER NOT NULL,
    last_error           TEXT,
    last_used_at         INTEGER,
    last_failure_at      INTEGER,
    status_changed_at    INTEGER NOT NULL,
    created_by           TEXT    NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    CHECK (intent <> 'archived' OR sealed IS NULL)
) STRICT;

CREATE UNIQUE INDEX connections_name ON connections (organization, name) WHERE intent <> 'archived';
CREATE INDEX connections_by_age ON connections (organization, created_at, id);

CREATE TABLE syncs (
    organization         TEXT    NOT NULL,
    id                   TEXT    NOT NULL,
    bucket               TEXT    NOT NULL,
    namespace            TEXT    NOT NULL,
    connection           TEXT    NOT NULL,
    mode                 TEXT    NOT NULL,
    settings             TEXT    NOT NULL,
    state                TEXT    NOT NULL,
    next_run_at          INTEGER,
    queued_job           TEXT,
    -- The interrupted job that the next one goes on from.
    resume_of            TEXT,
    fence                INTEGER NOT NULL,
    lease_job            TEXT,
    lease_worker         TEXT,
    lease_acquired_at    INTEGER,
    lease_expires_at     INTEGER,
    lease_ttl            INTEGER,
    last_pass            INTEGER NOT NULL,
    checkpoint           TEXT,
    counters             TEXT    NOT NULL,
    runs_completed       INTEGER NOT NULL,
    runs_failed          INTEGER NOT NULL,
    last_sync_at         INTEGER,
    last_error           TEXT,
    consecutive_failures INTEGER NOT NULL,
    revision             INTEGER NOT NULL,
    created_by           TEXT    NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, bucket) REFERENCES buckets (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, connection) REFERENCES connections (organization, id)
) STRICT;

CREATE INDEX syncs_by_age ON syncs (organization, bucket, created_at, id);
CREATE INDEX syncs_connection ON syncs (organization, connection);
-- A held sync is due when its lease expires, any other when its next run is planned.
CREATE INDEX syncs_due ON syncs (COALESCE(lease_expires_at, next_run_at), id)
    WHERE COALESCE(lease_expires_at, next_run_at) IS NOT NULL;

CREATE TABLE jobs (
    organization      TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    sync              TEXT    NOT NULL,
    bucket            TEXT    NOT NULL,
    namespace         TEXT    NOT NULL,
    status            TEXT    NOT NULL,
    "trigger"         TEXT    NOT NULL,
    phase             TEXT    NOT NULL,
    counters          TEXT    NOT NULL,
    complete          INTEGER,
    incomplete_reason TEXT,
    error             TEXT,
    resumed_from      TEXT,
    created_at        INTEGER NOT NULL,
    started_at        INTEGER,
    completed_at      INTEGER,
    updated_at        INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX jobs_by_age ON jobs (organization, sync, created_at, id);

CREATE TABLE objects (
    organization    TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    bucket          TEXT    NOT NULL,
    namespace       TEXT    NOT NULL,
    provider        TEXT    NOT NULL,
    authority       TEXT    NOT NULL,
    source_object   TEXT    NOT NULL,
    path            TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    modified_at     INTEGER,
    source_metadata TEXT    NOT NULL,
    blob            TEXT    NOT NULL,
    size_bytes      INTEGER NOT NULL,
    content_type    TEXT,
    sha256          TEXT    NOT NULL,
    deleted_at      INTEGER,
    deleted_by      TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, bucket) REFERENCES buckets (organization, id) ON DELETE CASCADE,
    CHECK ((deleted_at IS NULL) = (deleted_by IS NULL))
) STRICT;

CREATE UNIQUE INDEX objects_source ON objects (organization, bucket, provider, authority, source_object);
CREATE INDEX objects_by_age ON objects (organization, bucket, created_at, id);
CREATE INDEX objects_live ON objects (organization, bucket, size_bytes) WHERE deleted_at IS NULL;
CREATE INDEX objects_blob ON objects (blob);

-- The catalogue: which objects a sync holds on to, and the pass that saw each last.
CREATE TABLE sync_entries (
    organization TEXT    NOT NULL,
    sync         TEXT    NOT NULL,
    object       TEXT    NOT NULL,
    seen_pass    INTEGER NOT NULL,
    PRIMARY KEY (organization, sync, object),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, object) REFERENCES objects (organization, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX sync_entries_object ON sync_entries (organization, object);
CREATE INDEX sync_entries_unseen ON sync_entries (organization, sync, seen_pass);
