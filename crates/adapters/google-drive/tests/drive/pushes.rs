//! Channels on which Drive tells of changes.

use std::time::Duration;

use wharf_domain::secret::SecretString;
use wharf_lab::google::Role;
use wharf_ports::{WatchRequest, Watching};

use crate::source::Source;

async fn watch(source: &Source, channel: &str, ttl: Duration) -> Watching {
    let request = WatchRequest {
        channel,
        // Nobody listens there.
        address: "http://127.0.0.1:9/v1/hooks/channel",
        token: &SecretString::new("a-word".to_owned()),
        ttl,
    };
    let watching = source.open().watch(&source.scope, &request).await.unwrap();
    watching.expect("Drive pushes")
}

/// Waits until so many messages were sent; what they were about.
async fn messages(source: &Source, count: usize) -> Vec<String> {
    for _ in 0..500 {
        let sent = source.google().deliveries();
        if sent.len() >= count {
            return sent.into_iter().map(|message| message.state).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the messages do not come")
}

#[tokio::test]
async fn a_channel_is_opened_on_the_feed_of_the_source_and_ended() {
    for source in [
        Source::drive(Role::Reader).await,
        Source::mine().await,
        Source::shared_folder().await,
    ] {
        let watching = watch(&source, "channel-1", Duration::from_hours(1)).await;
        assert_eq!(messages(&source, 1).await, ["sync"]);
        source.file("a", &source.top);
        assert_eq!(messages(&source, 2).await, ["sync", "change"]);
        let provider = source.open();
        provider
            .unwatch("channel-1", &watching.resource)
            .await
            .unwrap();
        // It has ended.
        provider
            .unwatch("channel-1", &watching.resource)
            .await
            .unwrap();
        source.file("b", &source.top);
        watch(&source, "channel-2", Duration::from_hours(1)).await;
        assert_eq!(messages(&source, 3).await, ["sync", "change", "sync"]);
    }
}

#[tokio::test]
async fn no_channel_is_asked_for_longer_than_drive_keeps_one() {
    let source = Source::drive(Role::Reader).await;
    let short = watch(&source, "channel-1", Duration::from_hours(1)).await;
    let long = watch(&source, "channel-2", Duration::from_hours(24 * 30)).await;
    let apart = (long.expires_at - short.expires_at).num_hours();
    assert!((166..=167).contains(&apart), "{apart}");
}
