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
    fn what_is_written_reads_back_the_same() {
        for seconds in [0, 1, 59, 60, 61, 3599, 3600, 5400, 86_400, 99_999] {
            let period = Period::from_secs(seconds);
            assert_eq!(period.to_string().parse(), Ok(period));
        }
    }
}
