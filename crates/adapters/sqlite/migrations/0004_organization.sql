-- What an organization and its members can change of themselves.
ALTER TABLE organizations ADD COLUMN logo_url            TEXT;
ALTER TABLE organizations ADD COLUMN billing_email       TEXT;
ALTER TABLE organizations ADD COLUMN notifications_email TEXT;
ALTER TABLE organizations ADD COLUMN metadata            TEXT NOT NULL DEFAULT '{}';
ALTER TABLE organizations ADD COLUMN rate_limits         TEXT NOT NULL DEFAULT '{}';
ALTER TABLE organizations ADD COLUMN read_auditing       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN updated_at          INTEGER NOT NULL DEFAULT 0;
UPDATE organizations SET updated_at = created_at;

ALTER TABLE users ADD COLUMN name       TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN avatar_url TEXT;
ALTER TABLE users ADD COLUMN status     TEXT NOT NULL DEFAULT 'active';
ALTER TABLE users ADD COLUMN metadata   TEXT NOT NULL DEFAULT '{}';
ALTER TABLE users ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
-- Removed users stay as rows, so that what they made and did can be told.
ALTER TABLE users ADD COLUMN removed_at INTEGER;
UPDATE users SET name = email, updated_at = created_at;
DROP INDEX users_email;
CREATE UNIQUE INDEX users_email ON users (organization, email) WHERE removed_at IS NULL;

ALTER TABLE api_keys ADD COLUMN description         TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN permissions         TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN scopes              TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN rate_limit_override INTEGER;
ALTER TABLE api_keys ADD COLUMN allowed_origins     TEXT;
ALTER TABLE api_keys ADD COLUMN principal_id        TEXT;
ALTER TABLE api_keys ADD COLUMN created_by          TEXT NOT NULL DEFAULT 'operator';
ALTER TABLE api_keys ADD COLUMN revoked_by          TEXT;
ALTER TABLE api_keys ADD COLUMN last_used_at        INTEGER;
UPDATE api_keys SET permissions = '["' || permission || '"]';
ALTER TABLE api_keys DROP COLUMN permission;

-- The health watch: when a connection is checked next and by whom; when its credentials run out, as far as is known.
ALTER TABLE connections ADD COLUMN next_check_at          INTEGER;
ALTER TABLE connections ADD COLUMN check_fence            INTEGER  NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN check_lease_expires_at INTEGER;
ALTER TABLE connections ADD COLUMN expires_at             INTEGER;
ALTER TABLE connections ADD COLUMN expiry_warned          INTEGER NOT NULL DEFAULT 0;
-- Another sign-in with a password that failed before could lock its account: that waits for a person.
UPDATE connections SET next_check_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000
    WHERE status = 'ACTIVE' OR status = 'FAILED' AND credential_type <> 'username_password';
CREATE INDEX connections_to_check ON connections (next_check_at)
    WHERE next_check_at IS NOT NULL AND status IN ('ACTIVE', 'FAILED');

CREATE TABLE connection_checks (
    organization TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    connection   TEXT    NOT NULL,
    cause        TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    ms           INTEGER NOT NULL,
    -- passed, failed (and counted) or undecided.
    outcome      TEXT    NOT NULL,
    report       TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, connection) REFERENCES connections (organization, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX connection_checks_by_age ON connection_checks (organization, connection, at, id, outcome);
CREATE INDEX connection_checks_old ON connection_checks (at);

-- Audit rows are chained. Rows from before have no place until the server adopts them, in the order of their times.
ALTER TABLE audit_rows ADD COLUMN position INTEGER;
ALTER TABLE audit_rows ADD COLUMN link     BLOB;
CREATE UNIQUE INDEX audit_rows_position ON audit_rows (organization, position) WHERE position IS NOT NULL;
CREATE INDEX audit_rows_unchained ON audit_rows (organization, at, id) WHERE position IS NULL;
CREATE INDEX audit_rows_resource ON audit_rows (organization, resource_id, position);

CREATE TABLE audit_heads (
    organization TEXT    NOT NULL PRIMARY KEY REFERENCES organizations (id),
    position     INTEGER NOT NULL,
    link         BLOB    NOT NULL,
    -- The newest place whose event was removed from the outbox.
    pruned       INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Only organizations of this moment have rows to be adopted: their heads stand at the start. Every later one gets its head together
-- with its first row.
INSERT INTO audit_heads (organization, position, link) SELECT id, 0, zeroblob(32) FROM organizations;

-- The outbox: what an organization's subscribers are to be told, in the order of the audit chain.
CREATE TABLE events (
    organization  TEXT    NOT NULL REFERENCES organizations (id),
    position      INTEGER NOT NULL,
    link          BLOB    NOT NULL,
    audit         TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    announcement  TEXT    NOT NULL,
    PRIMARY KEY (organization, position)
) STRICT;

CREATE UNIQUE INDEX events_audit ON events (organization, audit);
CREATE INDEX events_old ON events (at);

-- How far each organization's events were published to the stream, if there is one.
CREATE TABLE event_streams (
    organization     TEXT    NOT NULL PRIMARY KEY REFERENCES organizations (id),
    position         INTEGER NOT NULL,
    item             INTEGER NOT NULL,
    next_attempt_at  INTEGER,
    fence            INTEGER NOT NULL,
    lease_expires_at INTEGER
) STRICT;

CREATE INDEX event_streams_due ON event_streams (COALESCE(lease_expires_at, next_attempt_at), organization);

CREATE TABLE webhooks (
    organization     TEXT    NOT NULL REFERENCES organizations (id),
    id               TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    event_types      TEXT    NOT NULL,
    all_types        INTEGER NOT NULL,
    resource_types   TEXT    NOT NULL,
    channels         TEXT    NOT NULL,
    sealed           BLOB    NOT NULL,
    secret_version   INTEGER NOT NULL,
    is_active        INTEGER NOT NULL,
    health           TEXT    NOT NULL,
    position         INTEGER NOT NULL,
    item             INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    next_attempt_at  INTEGER,
    redeliver_at     INTEGER,
    fence            INTEGER NOT NULL,
    lease_expires_at INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;

CREATE INDEX webhooks_by_age ON webhooks (organization, created_at, id);
CREATE INDEX webhooks_due ON webhooks (COALESCE(lease_expires_at, MIN(next_attempt_at, redeliver_at)), organization, id);
CREATE INDEX webhooks_held ON webhooks (organization, lease_expires_at) WHERE lease_expires_at IS NOT NULL;

CREATE TABLE webhook_redeliveries (
    organization TEXT    NOT NULL,
    webhook      TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    fence        INTEGER NOT NULL,
    PRIMARY KEY (organization, webhook, event),
    FOREIGN KEY (organization, webhook) REFERENCES webhooks (organization, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE webhook_deliveries (
    organization TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    webhook      TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    event_type   TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    redelivery   INTEGER NOT NULL,
    http_status  INTEGER,
    error        TEXT,
    ms           INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, webhook) REFERENCES webhooks (organization, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (organization, webhook, at, id);
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (at);

-- Requests that may be sent again: what was claimed by which key, and what came of it.
CREATE TABLE idempotency_claims (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    id           TEXT    NOT NULL,
    fingerprint  TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    claimed_at   INTEGER NOT NULL,
    effect_type  TEXT,
    effect_id    TEXT,
    status       INTEGER,
    body         TEXT,
    PRIMARY KEY (organization, id),
    CHECK ((effect_type IS NULL) = (effect_id IS NULL)),
    CHECK ((status IS NULL) = (body IS NULL))
) STRICT;

CREATE INDEX idempotency_claims_old ON idempotency_claims (claimed_at);
