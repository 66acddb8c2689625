//! Credentials that were sealed once must open for ever.

use std::sync::Arc;

use wharf_domain::connection::SealedCredentials;
use wharf_domain::secret::SecretKey;
use wharf_ports::{KeyContext, KeyRing, OrganizationKey};

use crate::desk::{Desk, Keys, binding, organization};

const SEALED: &str = "\
    534345310100000007505152535455565758595a5b84f16e6820ed014e33e13f63db136f104d66f0d8d213d5e160dd59\
    1954de1a1ff92dd306ecffeb9f853f690fee9a7261202122232425262728292a2b2c2d2e2f303132333435363738393a\
    3b3c3d3e3f5eda2f7752f51abc356e88266a29517ea72499bb318337d52b05e0e590588abe404142434445464748494a\
    4b156d7733a9c4fc89e60cc5acedaebc0edba8655bef1f8992081a70fcdcf73078364e0f41fa21b82a233c24d28cb442\
    85c246d4abf747d1d076e61b4801fb2868020d5bdd188f0e81445da23997c83c68a1de0fc356a117f9032433eb110c1a\
    62c514da8f43ec609a7c2b215b3070a31ae775e39d9f731e369fc4e45c3bcc979f27d980a9d504d783bc10782a92ff42\
    62fde519a019791574b5858d58428a2300220071566223d42bc49a1d765d247135ff393ee7e6378234e1a7aec37074ae\
    f8552eb418789559a85bc95ecd2387de5cb5d2b697e41225cce5dd17b28149b6093b9ea844945b2dacb4f90adf309ddb\
    d8ed13171e79c659f6eae5373d9a0c67f0c0a777633d260f2af2a9c1262595c4d6";

/// Made by an independent implementation of the documented form under the organization key `42…42`.
#[tokio::test]
async fn credentials_sealed_by_the_first_release_open() {
    let desk = Desk::over(Arc::new(Keys::default()));
    let context = KeyContext {
        organization: organization('a'),
        version: 7,
    };
    let wrapped = desk
        .ring
        .wrap(&context, &SecretKey::new([0x42; 32]))
        .await
        .unwrap();
    desk.keys.stored.lock().unwrap().insert(
        (organization('a'), 7),
        OrganizationKey {
            version: 7,
            wrapped,
        },
    );

    let sealed = SealedCredentials(hex::decode(SEALED).unwrap());
    let opened = desk.envelope.open(&binding(), &sealed).await.unwrap();
    assert_eq!(
        opened.expose(),
        br#"{"type":"access_key","access_key_id":"AKIAEXAMPLE"}"#
    );
}
