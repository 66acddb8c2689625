use wharf_ports::CheckRepository;

use crate::store::Store;

impl CheckRepository for Store {}
