-- External ids for role assumption, issued by Wharf to an organization.
CREATE TABLE external_ids (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    id           TEXT    NOT NULL,
    issued_at    INTEGER NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;

-- An id is one organization's alone.
CREATE UNIQUE INDEX external_ids_id ON external_ids (id);
