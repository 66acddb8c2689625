//! Google Drive as whole programs: the server, and the lab in Google's place.

mod changes;
mod consent;
mod errors;
mod kill;
mod push;
mod refresh;

use anyhow::Result;
use wharf_tests::{Installation, Lab, Store};

/// A server's installation that takes the lab's Google for Google. `None` when this run has left out what it needs.
async fn beside_google(store: Store) -> Result<Option<(Installation, Lab)>> {
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(None);
    };
    lab.google().stand_in(&mut wharf);
    Ok(Some((wharf, lab)))
}
