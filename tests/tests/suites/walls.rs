//! The walls between organizations: every operation of the document, with another organization's identifiers wherever one
//! can stand, by everybody who might try. Nobody gets another answer than for an identifier that does not exist, nothing of the other
//! organization changes, and no provider is asked.

mod belongings;
mod matrix;

use anyhow::{Result, ensure};
use wharf_tests::{Database, Installation, Lab, Store, WithoutPredicates};

use belongings::Belongings;
use matrix::{Actor, Matrix};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identifier_of_another_organization_means_anything_on_sqlite() -> Result<()> {
    hold(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identifier_of_another_organization_means_anything_on_postgres() -> Result<()> {
    hold(Store::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_alone_keeps_organizations_apart_when_the_queries_do_not_ask() -> Result<()> {
    let (Some(mut wharf), Some(lab)) = (
        Installation::on(Store::Postgres).await?,
        Lab::start().await?,
    ) else {
        return Ok(());
    };
    let direct = wharf.database().await?;
    let relay = WithoutPredicates::before(wharf.database_url()?).await?;
    wharf.set("WHARF_DATABASE_URL", relay.url());
    let deviations = holds(&wharf, &direct, &lab, &Actor::ALL).await?;
    ensure!(
        relay.taken_out() > 50,
        "the relay took out {} predicates only",
        relay.taken_out()
    );
    deviations.are_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_both_walls_the_matrix_sees_through() -> Result<()> {
    let (Some(mut wharf), Some(lab)) = (
        Installation::on(Store::Postgres).await?,
        Lab::start().await?,
    ) else {
        return Ok(());
    };
    let direct = wharf.database().await?;
    let relay = WithoutPredicates::before(wharf.database_url()?).await?;
    for table in direct.tables().await? {
        let sql = format!("ALTER TABLE \"{table}\" NO FORCE ROW LEVEL SECURITY");
        direct.change(&sql, None).await?;
        let sql = format!("ALTER TABLE \"{table}\" DISABLE ROW LEVEL SECURITY");
        direct.change(&sql, None).await?;
    }
    wharf.set("WHARF_DATABASE_URL", relay.url());
    let deviations = holds(&wharf, &direct, &lab, &[Actor::Admin]).await?;
    ensure!(
        deviations.count() > 20,
        "{} deviations only: the matrix does not look closely",
        deviations.count()
    );
    Ok(())
}

/// The same on an installation whose database is looked at as its own settings say.
async fn hold(store: Store) -> Result<()> {
    let (Some(wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(());
    };
    // `SQLite`'s file is there once a server has started.
    drop(wharf.start().await?);
    let database = wharf.database().await?;
    holds(&wharf, &database, &lab, &Actor::ALL)
        .await?
        .are_none()
}

/// Fills two organizations and has everybody of the one try everything of the other.
async fn holds(
    wharf: &Installation,
    database: &Database,
    lab: &Lab,
    actors: &[Actor],
) -> Result<matrix::Deviations> {
    let server = wharf.start().await?;
    lab.put("harbour", &belongings::files()).await?;
    let owner = Belongings::of_the_first(&server, lab).await?;
    let caller = Belongings::of_another(wharf, &server, lab).await?;
    let matrix = Matrix::of(&server, &owner, &caller).await?;

    let rows = database.rows_of(&owner.organization).await?;
    let asked = lab.journal().await?.len();
    let mut deviations = matrix.walk(actors).await?;
    ensure!(
        lab.journal().await?.len() == asked,
        "the provider was asked"
    );
    let after = database.rows_of(&owner.organization).await?;
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

fn short(row: &str) -> String {
    row.chars().take(300).collect()
}
