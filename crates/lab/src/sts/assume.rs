//! `AssumeRole`: what it may be asked with, and who gets a session.

use super::{Form, Refusal};
use crate::identity::{self, Assumption, Principal};
use crate::world::World;

const SHORTEST_SECONDS: u32 = 900;
const LONGEST_SECONDS: u32 = 43_200;
const DEFAULT_SECONDS: u32 = 3600;
/// Sessions of roles may not open longer ones.
const LONGEST_CHAINED_SECONDS: u32 = 3600;

/// One parameter's length and the characters it may hold besides letters, digits and `_`.
struct Rule {
    name: &'static str,
    least: usize,
    most: usize,
    punctuation: &'static str,
    pattern: &'static str,
}

const SESSION_NAME: Rule = Rule {
    name: "roleSessionName",
    least: 2,
    most: 64,
    punctuation: "+=,.@-",
    pattern: r"[\w+=,.@-]*",
};
const EXTERNAL_ID: Rule = Rule {
    name: "externalId",
    least: 2,
    most: 1224,
    punctuation: "+=,.@:/-",
    pattern: r"[\w+=,.@:\/-]*",
};

pub(super) fn read(form: &Form) -> Result<Assumption, Refusal> {
    let arn = required(form, "RoleArn", "roleArn")?;
    if !(20..=2048).contains(&arn.len()) {
        return Err(constraint(
            arn,
            "roleArn",
            "Member must have length greater than or equal to 20",
        ));
    }
    let is_role = arn.starts_with("arn:aws")
        && arn
            .splitn(6, ':')
            .nth(5)
            .is_some_and(|last| last.starts_with("role/"));
    if !is_role {
        return Err(Refusal::new("ValidationError", format!("{arn} is invalid")));
    }
    let session_name = required(form, "RoleSessionName", "roleSessionName")?;
    SESSION_NAME.check(session_name)?;
    let external_id = form.field("ExternalId");
    if let Some(external_id) = external_id {
        EXTERNAL_ID.check(external_id)?;
    }
    Ok(Assumption {
        role_arn: arn.to_owned(),
        session_name: session_name.to_owned(),
        external_id: external_id.map(ToOwned::to_owned),
        seconds: seconds(form)?,
    })
}

pub(super) fn open(
    world: &World,
    caller: &Principal,
    asked: &Assumption,
) -> Result<Principal, Refusal> {
    if caller.expires.is_some() && asked.seconds > LONGEST_CHAINED_SECONDS {
        return Err(Refusal::new(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role \
             chaining",
        ));
    }
    world
        .identities
        .assume(asked)
        .map_err(|refusal| match refusal {
            identity::Refusal::Denied => Refusal::new(
                "AccessDenied",
                format!(
                    "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
                    caller.arn, asked.role_arn
                ),
            ),
            identity::Refusal::TooLong => Refusal::new(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ),
        })
}

fn seconds(form: &Form) -> Result<u32, Refusal> {
    let Some(text) = form.field("DurationSeconds") else {
        return Ok(DEFAULT_SECONDS);
    };
    let told = |bound: String| {
        constraint(
            text,
            "durationSeconds",
            &format!("Member must have value {bound}"),
        )
    };
    match text.parse() {
        Ok(seconds) if seconds < SHORTEST_SECONDS => {
            Err(told(format!("greater than or equal to {SHORTEST_SECONDS}")))
        }
        Ok(seconds) if seconds > LONGEST_SECONDS => {
            Err(told(format!("less than or equal to {LONGEST_SECONDS}")))
        }
        Ok(seconds) => Ok(seconds),
        Err(_) => Err(Refusal::new(
            "MalformedInput",
            "DurationSeconds must be a whole number",
        )),
    }
}

fn required<'a>(form: &'a Form, field: &str, member: &str) -> Result<&'a str, Refusal> {
    form.field(field).ok_or_else(|| {
        Refusal::new(
            "ValidationError",
            format!(
                "1 validation error detected: Value null at '{member}' failed to satisfy constraint: \
                 Member must not be null"
            ),
        )
    })
}

impl Rule {
    fn check(&self, value: &str) -> Result<(), Refusal> {
        let length = value.chars().count();
        let says = if length < self.least {
            format!(
                "Member must have length greater than or equal to {}",
                self.least
            )
        } else if length > self.most {
            format!(
                "Member must have length less than or equal to {}",
                self.most
            )
        } else if value.chars().all(|character| self.allows(character)) {
            return Ok(());
        } else {
            format!(
                "Member must satisfy regular expression pattern: {}",
                self.pattern
            )
        };
        Err(constraint(value, self.name, &says))
    }

    fn allows(&self, character: char) -> bool {
        character.is_ascii_alphanumeric()
            || character == '_'
            || self.punctuation.contains(character)
    }
}

fn constraint(value: &str, member: &str, says: &str) -> Refusal {
    Refusal::new(
        "ValidationError",
        format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {says}"
        ),
    )
}
