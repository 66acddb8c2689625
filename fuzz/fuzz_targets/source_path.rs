//! Regions, accounts and source paths: what is read prints the same, and matching never leaves the prefix.
//!
//! The text is cut in two at its first NUL: a source path, and a key to match (both are tried as region and account, too).
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_domain::provider::BucketPath;
use wharf_domain::provider::s3::Region;
use wharf_domain::provider::snowflake::Account;

fuzz_target!(|text: &str| {
    let (path, key) = text.split_once('\0').unwrap_or((text, text));
    for name in [path, key] {
        if let Some(region) = Region::parse(name) {
            assert_eq!(region.as_str(), name);
            assert!(region.partition().starts_with("aws"));
            let _ = region.is_of_aws();
        }
        if let Some(account) = Account::parse(name) {
            assert_eq!(Account::parse(account.as_str()).as_ref(), Some(&account));
            let host = account.host();
            assert!(
                host.ends_with(".snowflakecomputing.com")
                    || host.ends_with(".snowflakecomputing.cn"),
                "{host}"
            );
            assert!(
                !host.contains(['/', '@', ':', '#', '?', '%', '\\']),
                "{host}"
            );
        }
    }
    let Ok(read) = BucketPath::parse(path, "source_path") else {
        return;
    };
    let shown = read.to_string();
    assert_eq!(BucketPath::parse(&shown, "source_path").as_ref(), Ok(&read));
    assert!(
        !read.bucket().contains(['/', '\\', '@', ':', '?', '#', '%']),
        "{shown}"
    );
    assert!(
        read.bucket().parse::<std::net::IpAddr>().is_err(),
        "{shown}"
    );
    if read.matches(key) {
        assert!(key.starts_with(read.list_prefix()), "{shown} covers {key}");
    }
    if let Ok(scope) = read.narrowed(key, "provider_filters.prefix") {
        let shown = scope.to_string();
        assert_eq!(
            BucketPath::parse_scope(&shown, "source_path"),
            Ok(scope),
            "{shown}"
        );
    }
    if let Some(object) = read.locate(key) {
        assert!(object.ends_with(read.relative(&object)), "{object}");
        assert!(object.contains(BucketPath::folders_of(&object)), "{object}");
    }
    let inside = format!("{}/{key}", read.list_prefix().trim_end_matches('/'));
    if !read.list_prefix().is_empty() && !read.list_prefix().ends_with('/') {
        assert!(read.matches(&inside), "{shown} does not cover {inside}");
    }
});
