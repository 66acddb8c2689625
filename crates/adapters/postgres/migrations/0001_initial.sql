-- JSON is stored as text and never looked into by SQL: unlike JSONB, text takes every value that JSON can express. All
-- text is compared byte by byte. Every row carries its organization, and every foreign key does too, so that nothing can
-- point across organizations.

CREATE TABLE organizations (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ      NOT NULL
);

CREATE UNIQUE INDEX organizations_name ON organizations (name);

CREATE TABLE organization_keys (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    version      BIGINT           NOT NULL,
    ring_key     TEXT COLLATE "C" NOT NULL,
    wrapped      BYTEA            NOT NULL,
    PRIMARY KEY (organization, version)
);

CREATE TABLE users (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL,
    email        TEXT COLLATE "C" NOT NULL,
    role         TEXT COLLATE "C" NOT NULL,
    created_at   TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id)
);

CREATE UNIQUE INDEX users_email ON users (organization, email);

CREATE TABLE api_keys (
    organization TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    prefix       TEXT COLLATE "C" NOT NULL,
    hash         BYTEA            NOT NULL,
    permission   TEXT COLLATE "C" NOT NULL,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    created_at   TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, user_id) REFERENCES users (organization, id)
);

CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
CREATE UNIQUE INDEX api_keys_name ON api_keys (organization, user_id, name) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_by_age ON api_keys (organization, user_id, created_at, id);

CREATE TABLE audit_rows (
    organization  TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id            TEXT COLLATE "C" NOT NULL,
    at            TIMESTAMPTZ      NOT NULL,
    action        TEXT COLLATE "C" NOT NULL,
    resource_type TEXT COLLATE "C" NOT NULL,
    resource_id   TEXT COLLATE "C" NOT NULL,
    actor         TEXT COLLATE "C" NOT NULL,
    user_id       TEXT COLLATE "C",
    key_id        TEXT COLLATE "C",
    reason        TEXT COLLATE "C",
    ip_address    TEXT COLLATE "C",
    user_agent    TEXT COLLATE "C",
    changes       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, id)
);

CREATE INDEX audit_rows_by_age ON audit_rows (organization, at, id);

CREATE TABLE namespaces (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    description  TEXT COLLATE "C",
    created_at   TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id)
);

CREATE UNIQUE INDEX namespaces_name ON namespaces (organization, name);
CREATE INDEX namespaces_by_age ON namespaces (organization, created_at, id);

CREATE TABLE buckets (
    organization   TEXT COLLATE "C" NOT NULL,
    id             TEXT COLLATE "C" NOT NULL,
    namespace      TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    -- The name in lower case, for searching in any letter case; in this collation SQL knows no letters beyond ASCII.
    lower_name     TEXT COLLATE "C" NOT NULL,
    description    TEXT COLLATE "C",
    schema         TEXT COLLATE "C" NOT NULL,
    metadata       TEXT COLLATE "C" NOT NULL,
    -- When an object last arrived.
    last_upload_at TIMESTAMPTZ,
    created_at     TIMESTAMPTZ      NOT NULL,
    updated_at     TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, namespace) REFERENCES namespaces (organization, id)
);

CREATE UNIQUE INDEX buckets_name ON buckets (organization, namespace, name);
CREATE INDEX buckets_by_age ON buckets (organization, namespace, created_at, id);

CREATE TABLE connections (
    organization         TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id                   TEXT COLLATE "C" NOT NULL,
    name                 TEXT COLLATE "C" NOT NULL,
    description          TEXT COLLATE "C",
    provider             TEXT COLLATE "C" NOT NULL,
    config               TEXT COLLATE "C" NOT NULL,
    credential_type      TEXT COLLATE "C" NOT NULL,
    sealed               BYTEA,
    credential_version   BIGINT           NOT NULL,
    write_enabled        BOOLEAN          NOT NULL,
    metadata             TEXT COLLATE "C" NOT NULL,
    intent               TEXT COLLATE "C" NOT NULL,
    consecutive_failures BIGINT           NOT NULL,
    definite_failure     BOOLEAN          NOT NULL,
    -- The public status, for filters and leases; the model's own function decides everywhere else.
    status               TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN intent = 'archived' THEN 'ARCHIVED'
            WHEN intent = 'suspended' OR consecutive_failures >= 5 THEN 'SUSPENDED'
            WHEN definite_failure THEN 'FAILED'
            ELSE 'ACTIVE'
        END
    ) STORED,
    epoch                BIGINT           NOT NULL,
    revision             BIGINT           NOT NULL,
    last_error           TEXT COLLATE "C",
    last_used_at         TIMESTAMPTZ,
    last_failure_at      TIMESTAMPTZ,
    status_changed_at    TIMESTAMPTZ      NOT NULL,
    created_by           TEXT COLLATE "C" NOT NULL,
    created_at           TIMESTAMPTZ      NOT NULL,
    updated_at           TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    CHECK (intent <> 'archived' OR sealed IS NULL)
);

CREATE UNIQUE INDEX connections_name ON connections (organization, name) WHERE intent <> 'archived';
CREATE INDEX connections_by_age ON connections (organization, created_at, id);

CREATE TABLE syncs (
    organization         TEXT COLLATE "C" NOT NULL,
    id                   TEXT COLLATE "C" NOT NULL,
    bucket               TEXT COLLATE "C" NOT NULL,
    namespace            TEXT COLLATE "C" NOT NULL,
    connection           TEXT COLLATE "C" NOT NULL,
    mode                 TEXT COLLATE "C" NOT NULL,
    settings             TEXT COLLATE "C" NOT NULL,
    state                TEXT COLLATE "C" NOT NULL,
    next_run_at          TIMESTAMPTZ,
    queued_job           TEXT COLLATE "C",
    -- The interrupted job that the next one goes on from.
    resume_of            TEXT COLLATE "C",
    fence                BIGINT           NOT NULL,
    lease_job            TEXT COLLATE "C",
    lease_worker         TEXT COLLATE "C",
    lease_acquired_at    TIMESTAMPTZ,
    lease_expires_at     TIMESTAMPTZ,
    lease_ttl            BIGINT,
    last_pass            BIGINT           NOT NULL,
    checkpoint           TEXT COLLATE "C",
    counters             TEXT COLLATE "C" NOT NULL,
    runs_completed       BIGINT           NOT NULL,
    runs_failed          BIGINT           NOT NULL,
    last_sync_at         TIMESTAMPTZ,
    last_error           TEXT COLLATE "C",
    consecutive_failures BIGINT           NOT NULL,
    revision             BIGINT           NOT NULL,
    created_by           TEXT COLLATE "C" NOT NULL,
    created_at           TIMESTAMPTZ      NOT NULL,
    updated_at           TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, bucket) REFERENCES buckets (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, connection) REFERENCES connections (organization, id)
);

CREATE INDEX syncs_by_age ON syncs (organization, bucket, created_at, id);
CREATE INDEX syncs_connection ON syncs (organization, connection);
-- A held sync is due when its lease expires, any other when its next run is planned.
CREATE INDEX syncs_due ON syncs (COALESCE(lease_expires_at, next_run_at), id)
    WHERE COALESCE(lease_expires_at, next_run_at) IS NOT NULL;

CREATE TABLE jobs (
    organization      TEXT COLLATE "C" NOT NULL,
    id                TEXT COLLATE "C" NOT NULL,
    sync              TEXT COLLATE "C" NOT NULL,
    bucket            TEXT COLLATE "C" NOT NULL,
    namespace         TEXT COLLATE "C" NOT NULL,
    status            TEXT COLLATE "C" NOT NULL,
    "trigger"         TEXT COLLATE "C" NOT NULL,
    phase             TEXT COLLATE "C" NOT NULL,
    counters          TEXT COLLATE "C" NOT NULL,
    complete          BOOLEAN,
    incomplete_reason TEXT COLLATE "C",
    error             TEXT COLLATE "C",
    resumed_from      TEXT COLLATE "C",
    created_at        TIMESTAMPTZ      NOT NULL,
    started_at        TIMESTAMPTZ,
    completed_at      TIMESTAMPTZ,
    updated_at        TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE
);

CREATE INDEX jobs_by_age ON jobs (organization, sync, created_at, id);

CREATE TABLE objects (
    organization    TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    bucket          TEXT COLLATE "C" NOT NULL,
    namespace       TEXT COLLATE "C" NOT NULL,
    provider        TEXT COLLATE "C" NOT NULL,
    authority       TEXT COLLATE "C" NOT NULL,
    source_object   TEXT COLLATE "C" NOT NULL,
    path            TEXT COLLATE "C" NOT NULL,
    version         TEXT COLLATE "C" NOT NULL,
    modified_at     TIMESTAMPTZ,
    source_metadata TEXT COLLATE "C" NOT NULL,
    blob            TEXT COLLATE "C" NOT NULL,
    size_bytes      BIGINT           NOT NULL,
    content_type    TEXT COLLATE "C",
    sha256          TEXT COLLATE "C" NOT NULL,
    deleted_at      TIMESTAMPTZ,
    deleted_by      TEXT COLLATE "C",
    created_at      TIMESTAMPTZ      NOT NULL,
    updated_at      TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, bucket) REFERENCES buckets (organization, id) ON DELETE CASCADE,
    CHECK ((deleted_at IS NULL) = (deleted_by IS NULL))
);

CREATE UNIQUE INDEX objects_source ON objects (organization, bucket, provider, authority, source_object);
CREATE INDEX objects_by_age ON objects (organization, bucket, created_at, id);
CREATE INDEX objects_live ON objects (organization, bucket, size_bytes) WHERE deleted_at IS NULL;
CREATE INDEX objects_blob ON objects (blob);

-- The catalogue: which objects a sync holds on to, and the pass that saw each last.
CREATE TABLE sync_entries (
    organization TEXT COLLATE "C" NOT NULL,
    sync         TEXT COLLATE "C" NOT NULL,
    object       TEXT COLLATE "C" NOT NULL,
    seen_pass    BIGINT           NOT NULL,
    PRIMARY KEY (organization, sync, object),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, object) REFERENCES objects (organization, id) ON DELETE CASCADE
);

CREATE INDEX sync_entries_object ON sync_entries (organization, object);
CREATE INDEX sync_entries_unseen ON sync_entries (organization, sync, seen_pass);
