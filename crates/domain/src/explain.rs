//! Why a file of the source is, or is not, in a sync's bucket: a pure decision from what is known.
//!
//! What the database knows comes first; [`look`](Facts::look) tells when the provider has to be asked. This must not know how
//! either is asked.

use serde_json::{Value, json};

use crate::dead_letter::{DeadLetter, HEALING_PAUSE, MOST_TRIES};
use crate::error_code::ErrorCode;
use crate::filter::{self, Listed, Rule, Rules, Verdict};
use crate::ids::{DeadLetterId, JobId, ObjectId};
use crate::job::Job;
use crate::object::{DeletedBy, Object};
use crate::plan::Entry;
use crate::run::catalogue::Known;
use crate::run::ending::OVER_CAP;
use crate::sync::{Order, Sync, SyncStatus};
use crate::{Metadata, Timestamp, time_text};

/// What became of the file, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is in the bucket, brought by this sync.
    Ingested,
    /// A rule leaves it out.
    Filtered,
    /// It is there and well, but left out for a reason that is no rule.
    Skipped,
    /// It is in the bucket, brought by another sync.
    Duplicate,
    /// Runs have not come so far, since each deals with a limited number of files.
    OverCap,
    /// It could not be copied.
    DeadLetter,
    /// The provider shows no such file to this connection.
    NotVisible,
    /// The sync does not look there.
    OutOfScope,
    /// No run has come to it yet.
    NotReached,
    /// It was in the bucket, and is a tombstone.
    Deleted,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 10] = [
        Self::Ingested,
        Self::Filtered,
        Self::Skipped,
        Self::Duplicate,
        Self::OverCap,
        Self::DeadLetter,
        Self::NotVisible,
        Self::OutOfScope,
        Self::NotReached,
        Self::Deleted,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingested => "ingested",
            Self::Filtered => "filtered",
            Self::Skipped => "skipped",
            Self::Duplicate => "duplicate",
            Self::OverCap => "over_cap",
            Self::DeadLetter => "dead_letter",
            Self::NotVisible => "not_visible",
            Self::OutOfScope => "out_of_scope",
            Self::NotReached => "not_reached",
            Self::Deleted => "deleted",
        }
    }
}

/// The decision, what it rests on, and what a person can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What became of the file.
    pub decision: Decision,
    /// What the decision rests on.
    pub evidence: Metadata,
    /// The object that the bucket has of it.
    pub object: Option<ObjectId>,
    /// The job that copied it, or in which it failed.
    pub job: Option<JobId>,
    /// The dead letter that tells of its failures.
    pub dead_letter: Option<DeadLetterId>,
    /// What happened and what to do, for a person.
    pub message: String,
}

/// A file that the provider shows.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// As a listing tells of it.
    pub entry: &'a Entry,
    /// Its path from the source path on.
    pub relative_path: &'a str,
    /// Its type, if the provider knows it.
    pub content_type: Option<&'a str>,
    /// Its metadata.
    pub metadata: &'a Metadata,
}

/// What the provider said when it was asked about the file.
#[derive(Debug, Clone, Copy)]
pub enum Look<'a> {
    /// It was not asked.
    NotAsked,
    /// There is such a file.
    Present(Present<'a>),
    /// There is no such file, or it does not say so.
    Absent,
    /// It answered with an error that speaks about the file.
    Refused {
        /// What went wrong.
        code: ErrorCode,
        /// What it means, in our own words.
        message: &'a str,
    },
}

/// Everything that is known of one file.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the person typed.
    pub source: &'a str,
    /// The provider's identity of the file, and whether it lies under the source path; `None` where no such file can be, or
    /// none was found at its path.
    pub located: Option<(&'a str, bool)>,
    /// The sync.
    pub sync: &'a Sync,
    /// Its rules.
    pub rules: &'a Rules,
    /// Why the connection is not in use; `None` while it is.
    pub connection_stopped: Option<&'a str>,
    /// The bucket's object of the file.
    pub object: Option<&'a Object>,
    /// What the catalogue tells of it.
    pub known: Option<&'a Known>,
    /// Its open dead letter.
    pub dead_letter: Option<&'a DeadLetter>,
    /// The sync's newest job that has ended.
    pub last_job: Option<&'a Job>,
    /// Until when a tombstone can be restored, unless its bytes are gone.
    pub restorable_until: Option<Timestamp>,
    /// What the provider said.
    pub look: Look<'a>,
}

/// Whether the provider has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What is stored settles it.
    Settled,
    /// What is stored is an answer, and the provider's word makes it a better one.
    Better,
    /// Only the provider can tell.
    Needed,
}

impl Facts<'_> {
    /// Whether the provider has to be asked.
    pub fn need(&self) -> Need {
        let Some((_, in_scope)) = self.located else {
            return Need::Settled;
        };
        if self.dead_letter.is_some() {
            return Need::Settled;
        }
        if let Some(object) = self.object {
            return match object.deleted {
                None if self.sync.settings.reconcile.on_update || !in_scope => Need::Settled,
                Some((_, DeletedBy::Person)) => Need::Settled,
                None | Some((_, DeletedBy::Source)) => Need::Better,
            };
        }
        if !in_scope {
            return Need::Settled;
        }
        let left_out = self.known.and_then(|known| known.left_out.as_ref());
        left_out.map_or(Need::Needed, |_| Need::Better)
    }
}

/// Decides what became of the file.
pub fn decide(facts: &Facts<'_>) -> Explanation {
    Explanation {
        object: facts.object.map(|object| object.id.clone()),
        ..explanation(facts)
    }
}

fn explanation(facts: &Facts<'_>) -> Explanation {
    let Some((identity, in_scope)) = facts.located else {
        return match facts.look {
            Look::Absent => not_visible(facts),
            _ => out_of_scope(facts),
        };
    };
    if let Some(letter) = facts.dead_letter {
        return dead_letter(facts, letter);
    }
    if let Some(object) = facts.object {
        match object.deleted {
            None => {
                if let Some(told) = live(facts, object, in_scope) {
                    return told;
                }
            }
            Some((at, by)) => {
                if let Some(told) = tombstone(facts, object, at, by) {
                    return told;
                }
            }
        }
    }
    if !in_scope {
        return out_of_scope(facts);
    }
    match facts.look {
        Look::Present(present) => present_only(facts, identity, present),
        Look::Absent => not_visible(facts),
        Look::Refused { code, message } => refused(facts, code, message),
        Look::NotAsked => match facts.known.and_then(|known| known.left_out.as_ref()) {
            Some(left_out) => {
                let reason = format!("{} did not let it through", left_out.rule);
                filtered(facts, &left_out.rule, &left_out.version, &reason)
            }
            None => not_reached(facts, identity, None),
        },
    }
}

fn told(decision: Decision, evidence: Value, message: String) -> Explanation {
    Explanation {
        decision,
        evidence: match evidence {
            Value::Object(fields) => {
                let known = fields.into_iter().filter(|(_, value)| !value.is_null());
                known.collect()
            }
            _ => Metadata::new(),
        },
        object: None,
        job: None,
        dead_letter: None,
        message,
    }
}

fn out_of_scope(facts: &Facts<'_>) -> Explanation {
    let path = &facts.sync.settings.source_path;
    let evidence = json!({
        "source_path": path,
        "source_object_id": facts.located.map(|(identity, _)| identity),
    });
    let message = if facts.located.is_some() {
        format!(
            "The file does not lie under {path}, where this sync looks. Check the spelling, or create a sync whose source_path \
             covers it."
        )
    } else {
        format!(
            "{} names no file that could lie under {path}. Give the file's path from there on, or its full address.",
            facts.source
        )
    };
    told(Decision::OutOfScope, evidence, message)
}

fn dead_letter(facts: &Facts<'_>, letter: &DeadLetter) -> Explanation {
    let next = if letter.exhausted {
        Some(letter.last_tried_at() + HEALING_PAUSE)
    } else {
        facts.sync.runs_next_at()
    };
    let evidence = json!({
        "source_object_id": letter.source_object,
        "source_version": letter.version,
        "error_type": letter.error_type,
        "error_message": letter.error_message,
        "tries": letter.tries,
        "exhausted": letter.exhausted,
        "first_seen_at": time_text(&letter.first_seen_at),
        "last_seen_at": time_text(&letter.last_seen_at),
        "last_reattempt_at": letter.last_reattempt_at.as_ref().map(time_text),
        "next_try_at": next.as_ref().map(time_text),
    });
    let cause = &letter.error_message;
    let stale = match facts.object {
        Some(object) if object.deleted.is_none() => " The bucket still has the version before it.",
        _ => "",
    };
    let ahead = if letter.exhausted {
        "It is tried again once a day, when it changes at the source, or when you queue its dead letter again."
    } else {
        "The next run tries it again; nothing has to be done unless it keeps failing."
    };
    let message = format!(
        "It could not be copied ({}): {cause}.{stale} {} of {MOST_TRIES} tries have failed. {ahead}",
        letter.error_type,
        letter.tries.min(MOST_TRIES),
        cause = cause.trim_end_matches('.'),
    );
    Explanation {
        job: Some(letter.job.clone()),
        dead_letter: Some(letter.id.clone()),
        ..told(Decision::DeadLetter, evidence, message)
    }
}

/// What a live object tells; `None` when it is no business of this sync.
fn live(facts: &Facts<'_>, object: &Object, in_scope: bool) -> Option<Explanation> {
    let known = facts.known;
    let holds = known.is_some_and(|known| known.held);
    if !in_scope && !holds {
        return None;
    }
    let copied_by = object.copied_by.as_ref();
    let ours = copied_by.is_none_or(|(sync, _)| *sync == facts.sync.id);
    let waiting = facts
        .sync
        .held_deletes
        .as_ref()
        .filter(|_| known.is_some_and(|known| known.missing));
    let mut evidence = json!({
        "source_object_id": object.source.object,
        "source_version": object.facts.version,
        "copied_at": time_text(&object.updated_at),
        "copied_by_sync": copied_by.map(|(sync, _)| sync.as_str()),
        "held": holds,
        "held_delete": waiting.map(|held| json!({"since": time_text(&held.since), "reason": held.reason})),
    });
    let newer = match facts.look {
        Look::Present(present) if present.entry.version != object.facts.version => {
            Some(present.entry.version.as_str())
        }
        _ => None,
    };
    let (decision, message) = if let Some(held) = waiting {
        let message = format!(
            "It is in the bucket, but gone at the source or kept out by the sync's rules, and its delete waits: {} Approve or \
             discard the sync's held deletes, or wait for the next complete pass.",
            held.reason
        );
        (Decision::Ingested, message)
    } else if let Some(version) = newer.filter(|_| !facts.sync.settings.reconcile.on_update) {
        evidence["reason"] = json!("updates_off");
        evidence["source_version_now"] = json!(version);
        let message = "It is in the bucket in an older version. It has changed at the source since, and this sync copies no \
                       changes: turn reconcile.on_update on to have them.";
        (Decision::Skipped, message.to_owned())
    } else if ours {
        let message = format!(
            "It is in the bucket as {}, in the version that was copied at {}. Nothing has to be done.",
            object.id,
            time_text(&object.updated_at)
        );
        (Decision::Ingested, message)
    } else {
        let from = copied_by.map_or("another sync", |(sync, _)| sync.as_str());
        let share = if holds {
            "This sync shares it"
        } else {
            "This sync shares it from its next run on"
        };
        let message = format!(
            "It is in the bucket as {}, copied by {from}. {share}, so it is not copied again; nothing has to be done.",
            object.id
        );
        (Decision::Duplicate, message)
    };
    Some(Explanation {
        job: copied_by.map(|(_, job)| job.clone()),
        ..told(decision, evidence, message)
    })
}

/// What a tombstone tells; `None` when the file has come back since, so that something else keeps it out.
fn tombstone(
    facts: &Facts<'_>,
    object: &Object,
    at: Timestamp,
    by: DeletedBy,
) -> Option<Explanation> {
    if by == DeletedBy::Source && matches!(facts.look, Look::Present(_)) {
        return None;
    }
    let evidence = json!({
        "source_object_id": object.source.object,
        "source_version": object.facts.version,
        "deleted_at": time_text(&at),
        "deleted_by": by.as_str(),
        "restorable_until": facts.restorable_until.as_ref().map(time_text),
    });
    let why = match by {
        DeletedBy::Source => {
            "It was deleted from the bucket because it was gone at the source, or kept out by the sync's rules"
        }
        DeletedBy::Person => {
            "A person deleted it from the bucket; it stays away until it changes at the source"
        }
    };
    let back = match facts.restorable_until {
        Some(until) => format!("It can be restored until {}.", time_text(&until)),
        None => "Its bytes are gone, so it cannot be restored.".to_owned(),
    };
    let message = format!("{why} (at {}). {back}", time_text(&at));
    Some(Explanation {
        job: object.copied_by.as_ref().map(|(_, job)| job.clone()),
        ..told(Decision::Deleted, evidence, message)
    })
}

fn not_visible(facts: &Facts<'_>) -> Explanation {
    let evidence = json!({"source_object_id": facts.located.map(|(identity, _)| identity)});
    let message = "The provider shows no such file to this connection: it is not there, or not shared with the credential. \
                   Check the spelling, including upper and lower case, and the credential's permissions.";
    told(Decision::NotVisible, evidence, message.to_owned())
}

/// Answers that speak about the file: it is not to be had, or not to be seen.
fn refused(facts: &Facts<'_>, code: ErrorCode, why: &str) -> Explanation {
    let skipped = matches!(
        code,
        ErrorCode::ResourceArchived | ErrorCode::ObjectCustomerKey | ErrorCode::ObjectRequesterPays
    );
    let (decision, what, key) = if skipped {
        (Decision::Skipped, "It is there, but left out", "reason")
    } else {
        let what = "The provider does not let this connection see it";
        (Decision::NotVisible, what, "error_code")
    };
    let evidence = json!({
        "source_object_id": facts.located.map(|(identity, _)| identity),
        key: code.as_str(),
    });
    let why = why.trim_end_matches('.');
    let message = format!("{what} ({code}): {why}. {}", code.remedy());
    told(decision, evidence, message)
}

/// A file that is at the source and not in the bucket.
fn present_only(facts: &Facts<'_>, identity: &str, present: Present<'_>) -> Explanation {
    let Present {
        entry,
        relative_path,
        content_type,
        metadata,
    } = present;
    if let Some(reason) = entry.unreadable {
        let evidence = json!({
            "source_object_id": entry.object,
            "source_version": entry.version,
            "reason": reason,
        });
        let remedy = ErrorCode::ALL
            .iter()
            .find(|code| code.as_str() == reason)
            .map_or("", |code| code.remedy());
        let message = format!("It is there, but cannot be read as it is ({reason}). {remedy}");
        return told(Decision::Skipped, evidence, message.trim_end().to_owned());
    }
    let listed = Listed {
        relative_path,
        size_bytes: entry.size_bytes,
        modified_at: entry.modified_at,
    };
    if let Verdict::Filtered(rule) = facts.rules.by_listing(&listed) {
        let reason = facts.rules.describe(rule, &listed, None);
        return filtered(facts, rule.as_str(), &entry.version, &reason);
    }
    let none = Metadata::new();
    let of_file = filter::Facts {
        relative_path,
        content_type,
        metadata,
        tags: &none,
    };
    let verdict = facts.rules.by_facts(&of_file);
    let left_out = facts
        .known
        .and_then(|known| known.left_out.as_ref())
        .filter(|left_out| left_out.version == entry.version);
    match (verdict, left_out) {
        (_, Some(left_out)) => {
            let rule = Rule::parse(&left_out.rule);
            let reason = rule.map_or_else(
                || format!("{} did not let it through", left_out.rule),
                |rule| facts.rules.describe(rule, &listed, Some(&of_file)),
            );
            filtered(facts, &left_out.rule, &left_out.version, &reason)
        }
        // One look brings no tags, which these rules may ask for.
        (Verdict::Filtered(Rule::MetadataFilters), None) => {
            not_reached(facts, identity, Some(Rule::MetadataFilters))
        }
        (Verdict::Filtered(rule), None) => {
            let reason = facts.rules.describe(rule, &listed, Some(&of_file));
            filtered(facts, rule.as_str(), &entry.version, &reason)
        }
        (Verdict::Keep, None) => not_reached(facts, identity, None),
    }
}

fn filtered(facts: &Facts<'_>, rule: &str, version: &str, reason: &str) -> Explanation {
    let evidence = json!({
        "source_object_id": facts.located.map(|(identity, _)| identity),
        "source_version": version,
        "rule": rule,
        "reason": reason,
    });
    let message = format!(
        "The sync's rules leave it out: {}. Change {rule} to have it copied.",
        reason.trim_end_matches('.')
    );
    told(Decision::Filtered, evidence, message)
}

/// A file that nothing keeps out, but time.
fn not_reached(facts: &Facts<'_>, identity: &str, open: Option<Rule>) -> Explanation {
    let sync = facts.sync;
    let cut_short = facts
        .last_job
        .and_then(|job| job.incomplete_reason.as_deref());
    let came_so_far = match sync.checkpoint.as_ref().map(|checkpoint| &checkpoint.order) {
        Some(Order::Sorted { last }) => last.as_deref().is_some_and(|last| last >= identity),
        Some(Order::Marked { .. }) => false,
        None => true,
    };
    let evidence = json!({
        "source_object_id": identity,
        "running_job_id": sync.lease.as_ref().map(|lease| lease.job.as_str()),
        "queued_job_id": sync.queued_job.as_ref().map(JobId::as_str),
        "next_run_at": sync.runs_next_at().as_ref().map(time_text),
        "last_job_id": facts.last_job.map(|job| job.id.as_str()),
        "last_job_incomplete_reason": cut_short,
        "undecided_rule": open.map(Rule::as_str),
        "source_version": match facts.look {
            Look::Present(present) => Some(present.entry.version.as_str()),
            _ => None,
        },
    });
    let when = when(facts);
    if cut_short == Some(OVER_CAP) && !came_so_far {
        let most = sync.settings.max_objects_per_run;
        let message = format!(
            "A run deals with at most {most} files (max_objects_per_run), and runs have not come so far in the listing. {when} \
             Each goes on where the one before ended; raise max_objects_per_run to have it sooner."
        );
        return told(Decision::OverCap, evidence, message);
    }
    let message = match open {
        Some(rule) => format!(
            "No run has come to it since it was last changed. Whether {rule} let it through depends on its tags, which only a run \
             looks at. {when}"
        ),
        None => format!("No run has come to it since it was last changed. {when}"),
    };
    told(Decision::NotReached, evidence, message)
}

/// When the sync comes to it.
fn when(facts: &Facts<'_>) -> String {
    let sync = facts.sync;
    if let Some(lease) = &sync.lease {
        return format!("{} is at work and comes to it.", lease.job);
    }
    match sync.status() {
        SyncStatus::Suspended => return "The sync is paused: resume it.".to_owned(),
        SyncStatus::Archived => {
            return "The sync's connection is archived, so it never runs again.".to_owned();
        }
        SyncStatus::Completed => {
            return "The sync ran once, as it was meant to, and is completed: trigger it."
                .to_owned();
        }
        SyncStatus::Active => {}
    }
    if let Some(reason) = facts.connection_stopped {
        return format!("The connection is not in use ({reason}), so no run starts.");
    }
    if let Some(job) = &sync.queued_job {
        return format!("{job} waits for a worker and comes to it.");
    }
    let failed = sync
        .last_error
        .as_ref()
        .map(|error| format!(" The last run failed: {}.", error.trim_end_matches('.')))
        .unwrap_or_default();
    match sync.runs_next_at() {
        Some(at) => format!("The next run starts at {}.{failed}", time_text(&at)),
        None => format!("No run is planned: trigger the sync.{failed}"),
    }
}
