//! Whether an organization's audit trail is as Wharf wrote it.

use wharf_domain::audit::{AuditHash, ChainHead, link_bytes};
use wharf_domain::ids::OrganizationId;
use wharf_ports::{AuditSeal, ChainedRow};

use crate::{Engine, EngineError};

/// Rows read at a time.
const BATCH: u32 = 1000;

/// What a look through an organization's whole trail found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// How many rows hold, from the first one on.
    pub rows: u64,
    /// The last of them; to be kept elsewhere, and given to a later look.
    pub head: ChainHead,
    /// The first thing that is wrong.
    pub fault: Option<ChainFault>,
    /// What this look could not have seen.
    pub unseen: Option<&'static str>,
}

/// Where a trail is not as Wharf wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFault {
    /// What happened there.
    pub kind: ChainFaultKind,
    /// The place in the chain.
    pub position: u64,
    /// The identifier that the row at that place carries, if there is one.
    pub audit_id: Option<String>,
    /// For a person.
    pub message: String,
}

/// What can happen to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainFaultKind {
    /// It says something else than it did, or its link was changed.
    Altered,
    /// It is gone.
    Removed,
    /// Wharf did not write it.
    SlippedIn,
    /// It and what came behind it are gone, as if they had never been.
    RolledBack,
}

impl ChainFaultKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Removed => "removed",
            Self::SlippedIn => "slipped_in",
            Self::RolledBack => "rolled_back",
        }
    }
}

const WITHOUT_HEAD: &str = "Without a head from elsewhere, such as the newest event that was delivered, it cannot be seen \
                            whether the newest rows and the stored head were put back to an earlier state together, or the \
                            whole trail was made to look like one of a version without links before a server started.";
const SINCE_HEAD: &str = "It cannot be seen whether rows that are newer than the given head were put back to an earlier \
                          state together with the stored head.";

impl Engine {
    /// Looks through an organization's trail, row by row, and names the first one that is not as it was written. `known` is a head
    /// that the chain had at some time, from an event or an earlier look.
    pub async fn verify_audit(
        &self,
        organization: &OrganizationId,
        known: Option<ChainHead>,
    ) -> Result<AuditVerdict, EngineError> {
        let found = self
            .repositories()
            .access
            .organization(organization)
            .await?;
        found.ok_or_else(|| EngineError::not_found("organization", organization.as_str()))?;
        let audit = &self.repositories().audit;
        let stored = audit.head(organization).await?;
        let mut walk = Walk {
            organization,
            seal: &*self.parts.audit_seal,
            expected: vec![stored],
            head: ChainHead::EMPTY,
            waiting: None,
        };
        walk.expected.extend(known);
        let mut after = 0;
        let mut fault = None;
        while fault.is_none() {
            let rows = audit.chain(organization, after, BATCH).await?;
            let Some(last) = rows.last() else { break };
            // Every place read is behind the one before, whatever a tampered table says.
            after = last.link.position.max(after + 1);
            fault = rows.into_iter().find_map(|row| walk.step(row).err());
        }
        let fault = match fault {
            Some(fault) => Some(fault),
            None => match walk.end() {
                Err(fault) => Some(fault),
                // Rows that were written meanwhile are in the head by now.
                Ok(()) => head_behind(&walk.head, &audit.head(organization).await?),
            },
        };
        let unseen = match (&fault, known) {
            (Some(_), _) => None,
            (None, None) => Some(WITHOUT_HEAD),
            (None, Some(known)) => (known.position < walk.head.position).then_some(SINCE_HEAD),
        };
        Ok(AuditVerdict {
            rows: walk.head.position,
            head: walk.head,
            fault,
            unseen,
        })
    }
}

/// A walk along a chain, one row behind what was read: what a row is may show in the next one.
struct Walk<'a> {
    organization: &'a OrganizationId,
    seal: &'a dyn AuditSeal,
    /// Heads that the chain must go through.
    expected: Vec<ChainHead>,
    /// The last row that holds.
    head: ChainHead,
    /// A row whose link does not hold.
    waiting: Option<ChainedRow>,
}

impl Walk<'_> {
    fn link(&self, before: &ChainHead, row: &ChainedRow) -> Option<AuditHash> {
        let read = row.row.as_ref()?;
        if read.organization != *self.organization || read.row.id.as_str() != row.id {
            return None;
        }
        let bytes = link_bytes(self.organization, before, read.at, &read.row);
        Some(self.seal.link(&bytes))
    }

    fn step(&mut self, row: ChainedRow) -> Result<(), ChainFault> {
        if let Some(broken) = self.waiting.take() {
            return Err(self.broken(&broken, Some(&row)));
        }
        let next = self.head.position + 1;
        if row.link.position > next {
            return Err(ChainFault {
                kind: ChainFaultKind::Removed,
                position: next,
                audit_id: None,
                message: format!(
                    "The row at place {next} is gone: the next one there is stands at place {}.",
                    row.link.position
                ),
            });
        }
        if row.link.position < next {
            return Err(slipped_in(&row));
        }
        if self.link(&self.head, &row) != Some(row.link.hash) {
            self.waiting = Some(row);
            return Ok(());
        }
        self.head = row.link;
        self.check_expected()
    }

    fn end(&mut self) -> Result<(), ChainFault> {
        if let Some(broken) = self.waiting.take() {
            return Err(self.broken(&broken, None));
        }
        let end = self.head.position;
        let beyond = self.expected.iter().find(|head| head.position > end);
        match beyond {
            None if end == 0 => Err(ChainFault {
                kind: ChainFaultKind::Removed,
                position: 1,
                audit_id: None,
                message: "The trail is empty, but every organization's begins with the row of its creation: all rows are gone."
                    .to_owned(),
            }),
            None => Ok(()),
            Some(beyond) => Err(ChainFault {
                kind: ChainFaultKind::RolledBack,
                position: end + 1,
                audit_id: None,
                message: format!(
                    "The trail ends at place {end}, but it reached place {}: the rows from place {} on are gone.",
                    beyond.position,
                    end + 1
                ),
            }),
        }
    }

    /// What a row is whose link does not hold: slipped in, if the next one holds in its stead.
    fn broken(&self, row: &ChainedRow, next: Option<&ChainedRow>) -> ChainFault {
        let place = row.link.position;
        let holds = |next: &&ChainedRow| self.link(&self.head, next) == Some(next.link.hash);
        if next.as_ref().is_some_and(holds) {
            return slipped_in(row);
        }
        ChainFault {
            kind: ChainFaultKind::Altered,
            position: place,
            audit_id: Some(row.id.clone()),
            message: format!(
                "The row at place {place} is not as it was written, or another one was put in its place."
            ),
        }
    }

    /// Whether the chain goes through the heads that it must go through.
    fn check_expected(&self) -> Result<(), ChainFault> {
        let head = &self.head;
        let other = self
            .expected
            .iter()
            .find(|known| known.position == head.position && known.hash != head.hash);
        match other {
            None => Ok(()),
            Some(known) => Err(ChainFault {
                kind: ChainFaultKind::RolledBack,
                position: known.position,
                audit_id: None,
                message: format!(
                    "Another row stood at place {} before: the trail was put back to an earlier state and went on from there, \
                     or the head is not of this organization.",
                    known.position
                ),
            }),
        }
    }
}

fn slipped_in(row: &ChainedRow) -> ChainFault {
    let place = row.link.position;
    ChainFault {
        kind: ChainFaultKind::SlippedIn,
        position: place,
        audit_id: Some(row.id.clone()),
        message: if place == 0 {
            "A row stands before the first place of the trail, or at none, where Wharf writes none."
                .to_owned()
        } else {
            format!("Wharf did not write the row at place {place}.")
        },
    }
}

fn head_behind(last: &ChainHead, stored: &ChainHead) -> Option<ChainFault> {
    (stored.position < last.position).then(|| ChainFault {
        kind: ChainFaultKind::RolledBack,
        position: stored.position + 1,
        audit_id: None,
        message: format!(
            "The stored head says that the trail ends at place {}, but it goes on to place {}.",
            stored.position, last.position
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_domain::Timestamp;
    use wharf_domain::audit::{Action, AuditRow, NewAuditRow, Origin, ResourceType};

    use super::*;

    /// A seal that nobody has to keep secret.
    struct Sum;

    impl AuditSeal for Sum {
        fn link(&self, bytes: &[u8]) -> AuditHash {
            let mut hash = [7_u8; 32];
            for (i, byte) in bytes.iter().enumerate() {
                hash[i % 32] = hash[i % 32].wrapping_mul(31).wrapping_add(*byte);
            }
            AuditHash(hash)
        }
    }

    fn organization() -> OrganizationId {
        "int_abcdefghijklmnopqrstuvwx".parse().expect("well formed")
    }

    fn chain(length: u64) -> Vec<ChainedRow> {
        let at = Timestamp::from_timestamp(1_800_000_000, 0).expect("in range");
        let mut head = ChainHead::EMPTY;
        let mut rows = Vec::new();
        for position in 1..=length {
            let row = NewAuditRow {
                id: format!("aud_{position:016x}").parse().expect("well formed"),
                action: Action::BucketCreated,
                resource_type: ResourceType::Bucket,
                resource_id: format!("bucket {position}"),
                origin: Origin::system(),
                changes: json!({}),
            };
            let hash = Sum.link(&link_bytes(&organization(), &head, at, &row));
            head = ChainHead { position, hash };
            rows.push(ChainedRow {
                id: row.id.to_string(),
                link: head,
                row: Some(AuditRow {
                    organization: organization(),
                    at,
                    link: head,
                    row,
                }),
            });
        }
        rows
    }

    /// What a walk along these rows finds, given the stored head and a known one.
    fn walk(rows: Vec<ChainedRow>, expected: &[ChainHead]) -> Option<(ChainFaultKind, u64)> {
        let organization = organization();
        let mut walk = Walk {
            organization: &organization,
            seal: &Sum,
            expected: expected.to_vec(),
            head: ChainHead::EMPTY,
            waiting: None,
        };
        let stepped = rows.into_iter().try_for_each(|row| walk.step(row));
        let fault = stepped.and_then(|()| walk.end()).err()?;
        Some((fault.kind, fault.position))
    }

    fn renumbered(mut rows: Vec<ChainedRow>) -> Vec<ChainedRow> {
        for (row, position) in rows.iter_mut().zip(1..) {
            row.link.position = position;
        }
        rows
    }

    #[test]
    fn a_chain_as_it_was_written_is_intact() {
        let rows = chain(5);
        let heads = [rows[4].link, rows[2].link];
        assert_eq!(walk(rows, &heads), None);
    }

    #[test]
    fn an_emptied_trail_and_a_row_before_its_start_are_faults() {
        let emptied = walk(Vec::new(), &[ChainHead::EMPTY]);
        assert_eq!(emptied, Some((ChainFaultKind::Removed, 1)));
        let rows = chain(3);
        let head = [rows[2].link];
        let gone = walk(Vec::new(), &head);
        assert_eq!(gone, Some((ChainFaultKind::RolledBack, 1)));
        let mut preceded = rows.clone();
        preceded.insert(0, rows[1].clone());
        preceded[0].link.position = 0;
        assert_eq!(walk(preceded, &head), Some((ChainFaultKind::SlippedIn, 0)));
    }

    #[test]
    fn the_first_row_that_was_tampered_with_is_named() {
        let rows = chain(6);
        let head = [rows[5].link];
        let alter = |change: fn(&mut ChainedRow)| {
            let mut rows = rows.clone();
            change(&mut rows[2]);
            walk(rows, &head)
        };
        let altered = Some((ChainFaultKind::Altered, 3));
        let reason = |row: &mut ChainedRow| {
            let stored = row.row.as_mut().expect("a row");
            stored.row.origin.reason = Some("another one".to_owned());
        };
        assert_eq!(alter(reason), altered);
        assert_eq!(alter(|row| row.row = None), altered);
        assert_eq!(alter(|row| row.link.hash = AuditHash::START), altered);
        assert_eq!(alter(|row| row.id = "another id".to_owned()), altered);
        let mut last = rows.clone();
        last[5].row = None;
        assert_eq!(walk(last, &head), Some((ChainFaultKind::Altered, 6)));

        let mut gap = rows.clone();
        gap.remove(2);
        assert_eq!(walk(gap.clone(), &head), Some((ChainFaultKind::Removed, 3)));
        assert_eq!(walk(renumbered(gap), &head), altered);

        let mut doubled = rows.clone();
        doubled.insert(3, rows[2].clone());
        let slipped = Some((ChainFaultKind::SlippedIn, 3));
        assert_eq!(walk(doubled, &head), slipped);
        let mut grown = rows.clone();
        grown.insert(2, rows[0].clone());
        grown[2].link.position = 3;
        assert_eq!(walk(grown, &head), slipped);
    }

    #[test]
    fn rows_that_were_put_back_are_seen_by_a_head_from_elsewhere() {
        let rows = chain(6);
        let known = rows[5].link;
        let short = rows[..4].to_vec();
        let back = Some((ChainFaultKind::RolledBack, 5));
        // The stored head alone tells, unless it was put back together with the rows.
        assert_eq!(walk(short.clone(), &[known]), back);
        let stored = short[3].link;
        assert_eq!(walk(short.clone(), &[stored]), None);
        assert_eq!(walk(short, &[stored, known]), back);
        let other = ChainHead {
            position: 4,
            hash: known.hash,
        };
        assert_eq!(
            walk(rows, &[known, other]),
            Some((ChainFaultKind::RolledBack, 4))
        );
        let ahead = head_behind(&known, &stored).map(|fault| fault.position);
        assert_eq!(ahead, Some(5));
    }
}
