//! The walls between organizations: every operation of the document, with another organization's identifiers wherever one
//! can stand, by everybody who might try. Nobody gets another answer than for an identifier that does not exist, nothing of the other
//! organization changes, and no provider is asked.

mod belongings;
mod matrix;

use anyhow::{Result, ensure};
use wharf_tests::{Database, Installation, Lab, Store, WithoutPredicates};

use belongings::Belongings;
use matrix::{Actor, Deviations, Matrix};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identifier_of_another_organization_means_anything_on_sqlite() -> Result<()> {
    let Some(there) = There::on(Store::Sqlite).await? else {
        return Ok(());
    };
    there.walk(&Actor::ALL).await?.are_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identifier_of_another_organization_means_anything_on_postgres() -> Result<()> {
    let Some(there) = There::on(Store::Postgres).await? else {
        return Ok(());
    };
    there.walk(&Actor::ALL).await?.are_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_alone_keeps_organizations_apart_when_the_queries_do_not_ask() -> Result<()> {
    let Some(mut there) = There::on(Store::Postgres).await? else {
        return Ok(());
    };
    let relay = WithoutPredicates::before(there.wharf.database_url()?).await?;
    there.wharf.set("WHARF_DATABASE_URL", relay.url());
    let deviations = there.walk(&Actor::ALL).await?;
    let taken_out = relay.taken_out();
    ensure!(taken_out > 50, "{taken_out} predicates were taken out only");
    deviations.are_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_both_walls_the_matrix_sees_through() -> Result<()> {
    let Some(mut there) = There::on(Store::Postgres).await? else {
        return Ok(());
    };
    for (table, policy) in there.database.policies().await? {
        let open = format!("ALTER POLICY {policy} ON \"{table}\" USING (true) WITH CHECK (true)");
        there.database.change(&open, None).await?;
    }
    let relay = WithoutPredicates::before(there.wharf.database_url()?).await?;
    there.wharf.set("WHARF_DATABASE_URL", relay.url());
    let deviations = there.walk(&[Actor::Admin]).await?.count();
    ensure!(
        deviations > 20,
        "{deviations} deviations only: the matrix does not look closely"
    );
    Ok(())
}

/// Two organizations that have one of everything.
struct There {
    wharf: Installation,
    database: Database,
    lab: Lab,
    owner: Belongings,
    caller: Belongings,
}

impl There {
    async fn on(store: Store) -> Result<Option<Self>> {
        let (Some(wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
            return Ok(None);
        };
        let server = wharf.start().await?;
        lab.put("harbour", &belongings::files()).await?;
        Ok(Some(Self {
            database: wharf.database().await?,
            owner: Belongings::of_the_first(&server, &lab).await?,
            caller: Belongings::of_another(&wharf, &server, &lab).await?,
            wharf,
            lab,
        }))
    }

    /// Has people of the one try everything of the other.
    async fn walk(&self, actors: &[Actor]) -> Result<Deviations> {
        let server = self.wharf.start().await?;
        let matrix = Matrix::of(&server, &self.owner, &self.caller).await?;
        let organization = &self.owner.organization;
        let rows = self.database.rows_of(organization).await?;
        let asked = self.lab.journal().await?.len();
        let mut deviations = matrix.walk(actors).await?;
        if self.lab.journal().await?.len() > asked {
            deviations.add("the provider was asked".to_owned());
        }
        let after = self.database.rows_of(organization).await?;
        for row in after.iter().filter(|row| !rows.contains(row)) {
            deviations.add(format!("a row changed or was added: {}", short(row)));
        }
        for row in rows.iter().filter(|row| !after.contains(row)) {
            deviations.add(format!("a row changed or went: {}", short(row)));
        }
        eprintln!(
            "{} routes, {} cells, {} deviations",
            matrix.routes(),
            deviations.cells,
            deviations.count()
        );
        Ok(deviations)
    }
}

fn short(row: &str) -> String {
    row.chars().take(300).collect()
}
