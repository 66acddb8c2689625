use wharf_ports::WebhookRepository;

use crate::store::Store;

impl WebhookRepository for Store {}
