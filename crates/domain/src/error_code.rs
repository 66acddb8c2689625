//! The stable, dotted codes of what can go wrong with a provider, each with its meaning for the connection.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $text:literal, $counting:ident, $remedy:literal;)*) => {
        /// What went wrong with a provider, decided once in its adapter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name),* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$(Self::$name),*];

            /// The dotted code as it stands in check reports, `last_error` and job errors.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// What a failure with this code means for the connection's health.
            pub fn counting(self) -> Counting {
                match self { $(Self::$name => Counting::$counting),* }
            }

            /// What the person who must act can do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),* }
            }
        }
    };
}

/// Whether a failed attempt counts against the connection, and how definite it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Counts, and marks the connection FAILED at once: credentials, permission or configuration are wrong.
    Definite,
    /// Counts towards the five in a row, but may pass by itself: the network.
    Transient,
    /// Never counts against the connection: throttling, outages, our own faults, or what concerns one path or object.
    Uncounted,
}

codes! {
    /// The provider rejected the key, secret or password.
    AuthInvalidCredentials => "auth.invalid_credentials", Definite, "Check for a truncated paste, the wrong account or a deleted key, and update the connection's credentials.";
    /// The credential or session token is past its end.
    AuthExpired => "auth.expired", Definite, "Create a new credential or session token and update the connection.";
    /// The refresh grant was revoked or ran out.
    AuthReauthorizationRequired => "auth.reauthorization_required", Definite, "Sign in to the provider again and update the connection.";
    /// An administrator must grant the application's permissions.
    AuthConsentRequired => "auth.consent_required", Definite, "Ask an administrator of the provider account to grant the application's permissions.";
    /// The account, application or role is disabled.
    AuthAccountDisabled => "auth.account_disabled", Definite, "Re-enable the account at the provider or use another one.";
    /// The provider's clock and ours disagree.
    AuthClockSkew => "auth.clock_skew", Uncounted, "Correct the clock of the machine that runs Wharf.";
    /// The role's trust policy does not allow us with this external id.
    AuthAssumeRoleDenied => "auth.assume_role_denied", Definite, "Allow Wharf's identity and the issued external id in the role's trust policy.";
    /// The role can also be assumed without the issued external id, by whoever persuades us to try.
    AuthRoleTrustsWithoutExternalId => "auth.role_trusts_without_external_id", Definite, "Require the issued external id in the role's trust policy, with a StringEquals condition on sts:ExternalId.";
    /// The configuration cannot work.
    ConfigInvalid => "config.invalid", Definite, "Correct the named field of the connection's provider_config.";
    /// The bucket lies in another region.
    ConfigWrongRegion => "config.wrong_region", Definite, "Set provider_config.region to the bucket's region.";
    /// The endpoint answered something that is not this protocol.
    ConfigEndpointInvalid => "config.endpoint_invalid", Definite, "Check provider_config.endpoint_url: host, port and http or https.";
    /// Signed in, but not allowed to do this.
    PermDenied => "perm.denied", Definite, "Grant the named action to the credential.";
    /// An organization's or bucket's policy blocks this.
    PermPolicyBlocked => "perm.policy_blocked", Definite, "Ask who manages the bucket's or organization's policy to allow the named action.";
    /// The token lacks a scope that this needs, or the administrator has not delegated it.
    PermScopeInsufficient => "perm.scope_insufficient", Definite, "Grant the named scope to the application or the service account.";
    /// The provider's interface is not enabled for the project that the credentials belong to.
    PermApiNotEnabled => "perm.api_not_enabled", Definite, "Enable the named API for the project that the credentials belong to; it takes a few minutes.";
    /// The path does not exist, or is not shared with this identity.
    ResourceNotFound => "resource.not_found", Uncounted, "Check the path's spelling and that it is shared with the credential.";
    /// The object is in an archive class.
    ResourceArchived => "resource.archived", Uncounted, "Restore the object from its archive class first.";
    /// The object changed while it was read.
    ResourceChanged => "resource.changed", Uncounted, "Nothing to do: the next run reads the new version.";
    /// The object is encrypted with a key that only its owner has.
    ObjectCustomerKey => "object.customer_key", Uncounted, "Store the object without a customer-provided key (SSE-C) to have it copied.";
    /// Reading the object would be at our expense.
    ObjectRequesterPays => "object.requester_pays", Uncounted, "Turn off requester pays for the bucket to have its objects copied.";
    /// The native document has no form in which it can be copied.
    ObjectNotExportable => "object.not_exportable", Uncounted, "Nothing to do: the provider offers no file for a document of this kind.";
    /// The native document is larger than the provider exports.
    ObjectTooLargeToExport => "object.too_large_to_export", Uncounted, "Split the document, choose another export format, or store it as an ordinary file.";
    /// The provider holds the file to be harmful.
    ObjectFlaggedMalware => "object.flagged_malware", Uncounted, "Check the file at the provider, and remove it if it is harmful.";
    /// The file's owner or an administrator does not let it be downloaded.
    ObjectDownloadBlocked => "object.download_blocked", Uncounted, "Ask the file's owner to let viewers download it.";
    /// The place in the feed of changes is no longer valid.
    CursorExpired => "cursor.expired", Uncounted, "Nothing to do: the whole source is listed again.";
    /// The provider throttles us.
    QuotaRateLimited => "quota.rate_limited", Uncounted, "Nothing to do: Wharf slows down and goes on.";
    /// A quota is used up.
    QuotaExhausted => "quota.exhausted", Uncounted, "Raise the quota at the provider or wait until it is renewed.";
    /// The provider has an outage.
    ProviderUnavailable => "provider.unavailable", Uncounted, "Nothing to do but to wait: the provider has to recover.";
    /// The host's name does not resolve.
    NetworkDns => "network.dns", Transient, "Check the host's spelling and the name servers of the machine that runs Wharf.";
    /// The host refuses connections or cannot be reached.
    NetworkConnect => "network.connect", Transient, "Check that the host and port are right and reachable from the machine that runs Wharf.";
    /// The host did not answer in time.
    NetworkTimeout => "network.timeout", Transient, "Check that the host is reachable from the machine that runs Wharf and not overloaded.";
    /// No secure connection could be made.
    NetworkTls => "network.tls", Transient, "Check the server's certificate, and that the port speaks TLS.";
    /// The bytes differ from the provider's checksum or size.
    IntegrityMismatch => "integrity.mismatch", Uncounted, "Check the object at the provider; upload it again if it is damaged there.";
    /// The file lacks what the sync's schema mapping requires of it.
    MappingFailed => "mapping.failed", Uncounted, "Give the file what the named target of the schema mapping requires, or make the target optional.";
    /// The answer could not be understood.
    ProtocolUnexpectedResponse => "protocol.unexpected_response", Definite, "Check that the endpoint is a server of this provider's protocol.";
    /// The egress guard refused the address.
    EgressRefused => "egress.refused", Uncounted, "An operator can open the address with egress.allow.";
    /// A sealed credential does not open: the row, the key ring or the audience was changed. For a foreign key ring, the engine has another remedy.
    IntegrityError => "integrity_error", Uncounted, "Enter the connection's credentials again.";
    /// This server has no adapter for the provider, or lacks what the adapter needs for this kind of connection.
    AdapterMissing => "adapter.missing", Uncounted, "Use a version of Wharf that has an adapter for this provider.";
    /// Our own fault.
    Internal => "internal", Uncounted, "Nothing to do at the provider; see Wharf's log.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let known = Self::ALL.iter().copied().find(|code| code.as_str() == text);
        known.ok_or_else(|| serde::de::Error::custom("unknown error code"))
    }
}
