use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, text};

async fn filled(count: usize) -> World {
    let world = World::new().await;
    for i in 0..count {
        world.clock.advance(Duration::from_millis(1));
        world.bucket(&format!("bucket {i:02}")).await;
    }
    world
}

fn names(list: &Value) -> Vec<String> {
    list["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| text(&bucket["bucket_name"]).to_owned())
        .collect()
}

#[tokio::test]
async fn every_way_through_a_list_sees_every_item_once_newest_first() {
    let world = filled(23).await;
    let expected: Vec<String> = (0..23).rev().map(|i| format!("bucket {i:02}")).collect();

    let mut by_cursor = Vec::new();
    let mut cursor = String::new();
    loop {
        let list = world
            .call(
                "POST",
                &format!("/v1/buckets/list?limit=5&cursor={cursor}"),
                json!({}),
            )
            .await
            .ok();
        by_cursor.extend(names(&list));
        match list["pagination"]["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(by_cursor, expected);

    let mut by_link = Vec::new();
    let mut link = "/v1/buckets/list?page_size=5&include_total=true".to_owned();
    let mut pages = Vec::new();
    loop {
        let list = world.call("POST", &link, json!({})).await.ok();
        by_link.extend(names(&list));
        let pagination = &list["pagination"];
        assert_eq!(
            (&pagination["total"], &pagination["total_pages"]),
            (&json!(23), &json!(5))
        );
        pages.push(pagination["page"].as_u64().unwrap());
        match pagination["next_page"].as_str() {
            Some(next) => next.clone_into(&mut link),
            None => break,
        }
    }
    assert_eq!((by_link, pages), (expected.clone(), vec![1, 2, 3, 4, 5]));

    let third = world
        .call("POST", "/v1/buckets/list?page=3&limit=5", json!({}))
        .await
        .ok();
    assert_eq!(names(&third), expected[10..15]);
    let back = text(&third["pagination"]["previous_page"]).to_owned();
    assert_eq!(
        names(&world.call("POST", &back, json!({})).await.ok()),
        expected[5..10]
    );
    // A page that a body asks for, and the links from there, followed with the same body.
    let body = json!({"page": 2, "limit": 4});
    let second = world
        .call("POST", "/v1/buckets/list", body.clone())
        .await
        .ok();
    assert_eq!(names(&second), expected[4..8]);
    let next = text(&second["pagination"]["next_page"]).to_owned();
    let third = world.call("POST", &next, body).await.ok();
    assert_eq!(names(&third), expected[8..12]);
    let odd = world
        .call("POST", "/v1/buckets/list?offset=3&limit=10", json!({}))
        .await
        .ok();
    let back = text(&odd["pagination"]["previous_page"]).to_owned();
    assert_eq!(
        names(&world.call("POST", &back, json!({})).await.ok()),
        expected[..3]
    );
    let past = world
        .call("POST", "/v1/buckets/list?offset=9999", json!({}))
        .await
        .ok();
    assert_eq!((names(&past).len(), &past["total_count"]), (0, &json!(23)));
    let back = text(&past["pagination"]["previous_page"]).to_owned();
    assert_eq!(
        names(&world.call("POST", &back, json!({})).await.ok()),
        expected[13..]
    );
    assert_eq!(
        names(&world.call("POST", "/v1/buckets/list", json!({})).await.ok()).len(),
        10
    );
}

#[tokio::test]
async fn bad_paging_is_refused_in_every_list_with_its_place() {
    let world = World::new().await;
    let sync = world.sync().await;
    let bucket = format!("/v1/buckets/{}", text(&sync["bucket_id"]));
    let syncs = format!("{bucket}/syncs");
    for (method, path) in [
        ("POST", "/v1/organizations/connections/list".to_owned()),
        ("GET", "/v1/namespaces".to_owned()),
        ("POST", "/v1/namespaces/list".to_owned()),
        ("POST", "/v1/buckets/list".to_owned()),
        ("GET", format!("{bucket}/objects")),
        ("POST", format!("{bucket}/objects/list")),
        ("POST", format!("{syncs}/list")),
        (
            "POST",
            format!("{syncs}/{}/jobs", text(&sync["sync_config_id"])),
        ),
    ] {
        let list = world.call(method, &path, Value::Null).await.ok();
        assert_eq!(list["pagination"]["page_size"], 10, "{path}");
        for (query, place) in [
            ("limit=0", "query.limit"),
            ("limit=1001", "query.limit"),
            ("page_size=2&limit=3", "query.page_size"),
            ("offset=10001", "query.offset"),
            ("page=0", "query.page"),
            ("cursor=forged", "query.cursor"),
            ("after=-62135596800000000-x", "query.after"),
            ("next_cursor=%00", "query.next_cursor"),
            ("include_total=2", "query.include_total"),
        ] {
            let mistakes = world
                .call(method, &format!("{path}?{query}"), Value::Null)
                .await
                .mistakes();
            assert_eq!(mistakes[0].0, place, "{path}?{query}");
        }
    }
}
