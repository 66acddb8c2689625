use wharf_domain::Timestamp;

/// The time, where no database is at hand. Never decides about leases: the database's clock does.
pub trait Clock: Send + Sync {
    /// Now, with microsecond precision.
    fn now(&self) -> Timestamp;
}
