//! Reading stored rows and writing stored forms.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use wharf_domain::Timestamp;

use crate::error::Fault;

/// The columns of a row, read into the model's types. What does not fit is named by table and column, never by value.
pub(crate) struct Columns<'r> {
    table: &'static str,
    row: &'r SqliteRow,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { table, row }
    }

    pub(crate) fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(
        &self,
        column: &'static str,
    ) -> Result<T, Fault> {
        self.row
            .try_get(column)
            .map_err(|_| self.corrupt(column, "is missing or of another type"))
    }

    pub(crate) fn parse<T: FromStr>(&self, column: &'static str) -> Result<T, Fault> {
        self.read(column, |text| text.parse().ok())
    }

    pub(crate) fn parse_optional<T: FromStr>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Fault> {
        self.read_optional(column, |text| text.parse().ok())
    }

    pub(crate) fn read<T>(
        &self,
        column: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        read(self.get::<&str>(column)?).ok_or_else(|| self.corrupt(column, "does not read"))
    }

    pub(crate) fn read_optional<T>(
        &self,
        column: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let text = self.get::<Option<&str>>(column)?;
        text.map(|text| read(text).ok_or_else(|| self.corrupt(column, "does not read")))
            .transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Fault> {
        self.read(column, |text| serde_json::from_str(text).ok())
    }

    pub(crate) fn json_optional<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Fault> {
        self.read_optional(column, |text| serde_json::from_str(text).ok())
    }

    /// A number that is never negative.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, Fault> {
        T::try_from(self.get(column)?).map_err(|_| self.corrupt(column, "is out of range"))
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, Fault> {
        self.time_optional(column)?
            .ok_or_else(|| self.corrupt(column, "is missing"))
    }

    pub(crate) fn time_optional(&self, column: &'static str) -> Result<Option<Timestamp>, Fault> {
        let stored: Option<i64> = self.get(column)?;
        let read = |stored| {
            Timestamp::from_timestamp_micros(stored)
                .ok_or_else(|| self.corrupt(column, "is no time"))
        };
        stored.map(read).transpose()
    }

    pub(crate) fn corrupt(&self, column: &'static str, why: &str) -> Fault {
        Fault::Corrupt(format!("{}.{column}: {why}", self.table))
    }
}

/// The stored form of a structured value.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the model's values have text keys and finite numbers")
}

/// The stored form of a count; what the column cannot hold is its largest number.
pub(crate) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
