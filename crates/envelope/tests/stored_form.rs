//! Credentials that were sealed once must open for ever.

mod common;

use std::sync::Arc;

use common::{Desk, Keys, binding, organization};
use wharf_domain::connection::SealedCredentials;
use wharf_domain::secret::SecretKey;
use wharf_ports::{KeyContext, KeyRing, OrganizationKey};

const SEALED: &str = "\
    534345310100000007505152535455565758595a5b84f16e6820ed014e33e13f63db136f104d66f0d8d213d5e160dd59\
    1954de1a1fc500fc2d3abe7352de593315b73e5f34202122232425262728292a2b2c2d2e2f303132333435363738393a\
    3b3c3d3e3f6c2fee3b7e9acc4c9b5c53f2e28409d82f6265b50e9595231175d801283f1c3f404142434445464748494a\
    4ba073b208842e8478d28d3a8b55c4e9629ec6ab181dd144239a4a90f38cf71191f4223a5d6e2aa521abdc80d82b0c47\
    d8f4b66ab78c7f411e465d8440aaae372ba4d68f23e4017391156c58a23c3654018f56d914a2cb029a42cdda5b48b071\
    914c950e9c60b80f7eee0ad86ecd6227fe2ace5440f65cfa00aa1e930e67d3f68aba8e53165b11504f916f0b31136974\
    839fa70bb1be35f36833891b6de1217037a20336f142b8fa9af68d8b8b24a058f278065bd29cdfe0ce96a1e9dffdbe71\
    dcb529e9234baed92259b6f6cd84526e00ebd3b0af4528285d2a50498ee0138d0eed906119b97923f3ec0fdd71fa437a\
    0bdf3e13c5bbb70f26549c17449ce95f32f520d12b031a31c619b6dacd0e28490a";

/// Made by an independent implementation of the documented form under the organization key `42…42`.
#[tokio::test]
async fn credentials_sealed_by_the_first_release_open() {
    let desk = Desk::over(Arc::new(Keys::default()));
    let context = KeyContext { organization: organization('a'), version: 7 };
    let wrapped = desk.ring.wrap(&context, &SecretKey::new([0x42; 32])).await.unwrap();
    desk.keys.stored.lock().unwrap().insert((organization('a'), 7), OrganizationKey { version: 7, wrapped });

    let sealed = SealedCredentials(hex::decode(SEALED).unwrap());
    let opened = desk.envelope.open(&binding(), &sealed).await.unwrap();
    assert_eq!(opened.expose(), br#"{"type":"access_key","access_key_id":"AKIAEXAMPLE"}"#);
}
