//! A Postgres server whose clients have forgotten to say whose rows they want: a relay that takes `organization = $n` out of
//! every statement on its way. What is still kept apart behind it, the database keeps apart by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

const PREDICATE: &str = "organization = $";

/// A running relay, stopped when dropped.
#[derive(Debug)]
pub struct WithoutPredicates {
    url: String,
    taken_out: Arc<AtomicU64>,
    task: AbortHandle,
}

impl WithoutPredicates {
    /// Relays to the database of this URL, `postgres://user@host:port/name`.
    pub async fn before(url: &str) -> Result<Self> {
        let (head, rest) = url.split_once('@').context("the URL names no user")?;
        let (server, name) = rest.split_once('/').context("the URL names no database")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let relay = format!("{head}@{}/{name}", listener.local_addr()?);
        let (server, taken_out) = (server.to_owned(), Arc::new(AtomicU64::new(0)));
        let count = taken_out.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, count) = (server.clone(), count.clone());
                tokio::spawn(async move { relay_one(client, &server, &count).await });
            }
        });
        Ok(Self {
            url: relay,
            taken_out,
            task: task.abort_handle(),
        })
    }

    /// The URL to connect to instead.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many statements have lost a predicate so far.
    pub fn taken_out(&self) -> u64 {
        self.taken_out.load(Ordering::Relaxed)
    }
}

impl Drop for WithoutPredicates {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay_one(client: TcpStream, server: &str, taken_out: &AtomicU64) -> Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        done = statements(from_client, to_server, taken_out) => done,
        done = copy(&mut from_server, &mut to_client) => Ok(done.map(drop)?),
    }
}

/// What a client sends, message by message.
async fn statements(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    taken_out: &AtomicU64,
) -> Result<()> {
    // Requests for encryption and the start have no type; the version of the protocol tells them apart.
    loop {
        let length = from.read_u32().await?;
        ensure!((8..=10_000).contains(&length), "no start of a conversation");
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await?;
        to.write_u32(length).await?;
        to.write_all(&body).await?;
        if body.starts_with(&196_608_u32.to_be_bytes()) {
            break;
        }
    }
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await? as usize;
        let mut body = vec![0; length.checked_sub(4).context("a length")?];
        from.read_exact(&mut body).await?;
        if kind == b'P' {
            body = parse_without_predicate(&body, taken_out)?;
        }
        let mut message = Vec::with_capacity(body.len() + 5);
        message.push(kind);
        message.extend_from_slice(&u32::try_from(body.len() + 4)?.to_be_bytes());
        message.extend_from_slice(&body);
        to.write_all(&message).await?;
    }
}

/// A `Parse` message: the statement's name, its text, the types of its parameters.
fn parse_without_predicate(body: &[u8], taken_out: &AtomicU64) -> Result<Vec<u8>> {
    let mut parts = body.splitn(3, |byte| *byte == 0);
    let name = parts.next().context("a name")?;
    let text = std::str::from_utf8(parts.next().context("a text")?)?;
    let types = parts.next().context("types")?;
    let without = without_predicates(text);
    if without != text {
        taken_out.fetch_add(1, Ordering::Relaxed);
    }
    Ok([name, without.as_bytes(), types].join(&0))
}

/// `o.organization = $1` becomes `$1::text IS NOT NULL`, which is always so.
fn without_predicates(statement: &str) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(at) = rest.find(PREDICATE) {
        let before = &rest[..at];
        let after = &rest[at + PREDICATE.len()..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let qualified =
            before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let whole_word = before.len() == qualified.len() || before.ends_with('.');
        // What is set, not asked, stays.
        let assigned = qualified.trim_end().ends_with("SET");
        if whole_word && !assigned && digits > 0 {
            out.push_str(qualified);
            out.push('$');
            out.push_str(&after[..digits]);
            out.push_str("::text IS NOT NULL");
        } else {
            out.push_str(&rest[..at + PREDICATE.len() + digits]);
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::without_predicates;

    #[test]
    fn predicates_go_and_everything_else_stays() {
        let cases = [
            (
                "SELECT a FROM t WHERE organization = $1 AND id = $2",
                "SELECT a FROM t WHERE $1::text IS NOT NULL AND id = $2",
            ),
            (
                "UPDATE t SET x = $3 FROM u WHERE (t.organization = $12) AND u.organization = t.organization",
                "UPDATE t SET x = $3 FROM u WHERE ($12::text IS NOT NULL) AND u.organization = t.organization",
            ),
            (
                "SELECT sub_organization = $1",
                "SELECT sub_organization = $1",
            ),
        ];
        for (statement, without) in cases {
            assert_eq!(without_predicates(statement), without);
        }
    }
}
