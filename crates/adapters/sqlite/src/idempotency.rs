use wharf_ports::IdempotencyRepository;

use crate::store::Store;

impl IdempotencyRepository for Store {}
