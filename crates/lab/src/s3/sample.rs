//! The sample buckets: small, and with the odd names real buckets have.

use super::seed::generated_content;
use super::store::{NewObject, Store};
use bytes::Bytes;

const HARBOUR: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 90"><rect width="160" height="90" fill="#f6b26b"/><circle cx="118" cy="52" r="14" fill="#fff2cc"/><rect y="56" width="160" height="34" fill="#274e13" opacity=".75"/><path d="M30 58h46l-8 12H38z" fill="#434343"/><path d="M52 26v32H34z" fill="#eeeeee"/></svg>"##;
const QUAY: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 90"><rect width="160" height="90" fill="#9fc5e8"/><path d="M0 60h160v30H0z" fill="#7f6000"/><path d="M20 60V30h10v30zm40 0V22h10v38zm40 0V34h10v26z" fill="#cc4125"/></svg>"##;

enum Sample {
    Text(&'static str),
    Generated(usize),
}

use Sample::{Generated, Text};

const MEDIA: [(&str, &str, Sample); 12] = [
    (
        "readme.txt",
        "text/plain",
        Text("Pictures, papers and sounds of a small harbour.\n"),
    ),
    ("images/harbour at dawn.svg", "image/svg+xml", Text(HARBOUR)),
    ("images/été/quai n° 7.svg", "image/svg+xml", Text(QUAY)),
    (
        "video/ferry-001.bin",
        "application/octet-stream",
        Generated(96 * 1024),
    ),
    (
        "video/ferry-002.bin",
        "application/octet-stream",
        Generated(160 * 1024),
    ),
    (
        "audio/foghorn+echo.bin",
        "application/octet-stream",
        Generated(24 * 1024),
    ),
    (
        "papers/tariffs 100% final.csv",
        "text/csv",
        Text("vessel,metres,fee\nAurora,12,40\nPetrel,31,115\n"),
    ),
    (
        "papers//manifest.json",
        "application/json",
        Text("{\"cargo\": [\"salt\", \"rope\", \"lamps\"]}\n"),
    ),
    (
        "papers/../pilots.md",
        "text/markdown",
        Text("# Pilots\n\n- Ines\n- Olav\n"),
    ),
    (
        "notes/港の日記.md",
        "text/markdown",
        Text("# 港の日記\n\n今朝は霧が深い。\n"),
    ),
    (
        "notes/tide & wind <draft> \"2\".txt",
        "text/plain",
        Text("High water 06:12, wind south-west.\n"),
    ),
    ("notes/empty.txt", "text/plain", Text("")),
];

const TIGRIS: [(&str, &str, Sample); 6] = [
    (
        "welcome.md",
        "text/markdown",
        Text("# Charts\n\nSoundings of the bay, newest first.\n"),
    ),
    ("charts/bay north.svg", "image/svg+xml", Text(QUAY)),
    ("charts/bay south.svg", "image/svg+xml", Text(HARBOUR)),
    (
        "soundings/2024.csv",
        "text/csv",
        Text("point,metres\nA,4.2\nB,11.9\n"),
    ),
    (
        "soundings/2025+corrections.csv",
        "text/csv",
        Text("point,metres\nA,4.1\nB,12.3\n"),
    ),
    (
        "soundings/raw/sweep.bin",
        "application/octet-stream",
        Generated(64 * 1024),
    ),
];

pub(crate) fn put_into(store: &Store) {
    put_all(store, "demo-media", &MEDIA);
    put_all(store, "demo-tigris", &TIGRIS);
}

fn put_all(store: &Store, bucket: &str, samples: &[(&str, &str, Sample)]) {
    for (key, content_type, sample) in samples {
        let bytes = match sample {
            Text(text) => Bytes::from_static(text.as_bytes()),
            Generated(size) => generated_content(key, *size),
        };
        let new = NewObject {
            content_type: Some((*content_type).to_owned()),
            ..NewObject::of(bytes)
        };
        store.put(bucket, key, new);
    }
}
