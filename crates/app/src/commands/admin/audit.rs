use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use wharf_domain::audit::ChainHead;
use wharf_domain::ids::OrganizationId;
use wharf_engine::{AuditVerdict, Engine};

use super::Answer;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look through the whole trail and name the first row that is not as it was written. Exit code 1 when there is one.
    Verify {
        /// The organization's identifier, `int_…`.
        #[arg(long)]
        organization: OrganizationId,
        /// A head that the trail had at some time, as events and this command tell it: `position:link`.
        #[arg(long)]
        head: Option<ChainHead>,
    },
}

impl Command {
    pub(super) async fn run(self, engine: &Engine) -> Result<Answer> {
        match self {
            Self::Verify { organization, head } => {
                let verdict = engine.verify_audit(&organization, head).await?;
                Ok(answer(&organization, &verdict))
            }
        }
    }
}

fn answer(organization: &OrganizationId, verdict: &AuditVerdict) -> Answer {
    let fault = verdict.fault.as_ref().map(|fault| {
        json!({
            "kind": fault.kind.as_str(),
            "position": fault.position,
            "audit_id": fault.audit_id,
            "message": fault.message,
        })
    });
    Answer {
        value: json!({
            "internal_id": organization,
            "intact": verdict.fault.is_none(),
            "rows": verdict.rows,
            "head": verdict.head.to_string(),
            "fault": fault,
            "unseen": verdict.unseen,
        }),
        wrong: verdict.fault.as_ref().map(|fault| fault.message.clone()),
    }
}
