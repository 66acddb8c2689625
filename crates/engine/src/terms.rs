//! What of a sync decides about files, as its settings make it.

use std::sync::Arc;

use wharf_domain::filter::Rules;
use wharf_domain::ids::SyncId;
use wharf_domain::provider::Provider;
use wharf_domain::run::decision::Terms;
use wharf_domain::sync::SyncSettings;

use crate::Engine;

impl Engine {
    /// The terms of a sync over a connection to this provider.
    pub(crate) fn terms(
        &self,
        sync: &SyncId,
        settings: &SyncSettings,
        provider: Provider,
    ) -> Terms {
        let factory = self.parts.providers.clone();
        let source_path = settings.source_path.clone();
        Terms {
            sync: sync.clone(),
            reconcile: settings.reconcile.clone(),
            skip_duplicates: settings.skip_duplicates,
            rules: rules(settings),
            relative_path: Arc::new(move |path| {
                factory.relative_path(provider, &source_path, path)
            }),
        }
    }
}

/// Which files a sync takes.
pub(crate) fn rules(settings: &SyncSettings) -> Rules {
    let filters = settings.file_filters.clone().unwrap_or_default();
    let of_provider = settings.provider_filters.clone().unwrap_or_default();
    Rules::new(&filters, &of_provider, settings.sync_from)
}
