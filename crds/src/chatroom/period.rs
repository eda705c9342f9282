//! A span of time as people write it in a manifest: `30s`, `5m`, `1h30m`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A whole number of seconds, at most 99,999 of each unit. Keeps the unit it was written in out of sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(u64);

/// Why a string is no period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration like 30s, 5m or 1h30m: {0:?}")]
pub struct PeriodError(String);

impl Period {
    /// What the schema demands of the text. Go, CEL and this module read it alike.
    pub const PATTERN: &str = "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$";

    /// That many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Its length in seconds.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Its length.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// A whole number of milliseconds below 100 s, as people write one: `300ms` or `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Millis(u64);

impl Millis {
    /// What the schema demands of the text. Go, CEL and this module read it alike.
    pub const PATTERN: &str = "^([0-9]{1,5}ms|[0-9]{1,2}s)$";

    /// That many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Its length.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl FromStr for Millis {
    type Err = MillisError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || MillisError(text.to_owned());
        let (digits, factor, most) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(digits), _) => (digits, 1, 5),
            (None, Some(digits)) => (digits, 1000, 2),
            (None, None) => return Err(refuse()),
        };
        let fits = (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|_| fits).ok_or_else(refuse)?;
        Ok(Self(number * factor))
    }
}

impl TryFrom<String> for Millis {
    type Error = MillisError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Millis> for String {
    fn from(millis: Millis) -> Self {
        match millis.0 {
            s if s > 0 && s % 1000 == 0 => format!("{}s", s / 1000),
            ms => format!("{ms}ms"),
        }
    }
}

impl JsonSchema for Millis {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Millis".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN, "minLength": 2, "maxLength": 7 })
    }
}

/// Why a string is no number of milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration like 300ms or 2s: {0:?}")]
pub struct MillisError(String);

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || PeriodError(text.to_owned());
        let (mut rest, mut seconds) = (text, 0_u64);
        for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
            if let Some((digits, after)) = rest.split_once(unit) {
                if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(refuse());
                }
                seconds += digits.parse::<u64>().map_err(|_| refuse())? * factor;
                rest = after;
            }
        }
        if text.is_empty() || !rest.is_empty() { Err(refuse()) } else { Ok(Self(seconds)) }
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN, "minLength": 2, "maxLength": 18 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h30m", 5400), ("24h", 86_400), ("1h0m5s", 3605), ("0s", 0)]
        {
            assert_eq!(text.parse(), Ok(Period::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "5", "m", "5 m", "-5m", "1.5h", "5m1h", "5ms", "100000s", "5d", "1s1s", "٣s"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn milliseconds_are_read_and_written_as_people_write_them() {
        for (text, millis) in [("300ms", 300), ("2s", 2000), ("0ms", 0), ("99999ms", 99_999)] {
            assert_eq!(text.parse(), Ok(Millis::from_millis(millis)), "{text}");
            assert_eq!(String::from(Millis::from_millis(millis)), text);
        }
        for text in ["", "ms", "s", "5", "5m", "100s", "1.5s", "100000ms", "-1s", "1s500ms", "+5s"] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for seconds in [0, 1, 59, 60, 61, 3599, 3600, 5400, 86_400, 99_999] {
            let period = Period::from_secs(seconds);
            assert_eq!(period.to_string().parse(), Ok(period));
        }
    }
}
