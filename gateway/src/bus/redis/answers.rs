//! What the scripts answer, and why one refused.
//!
//! Decides nothing; an answer that no script gives is an error. Pure.

use std::time::Duration;

use fred::types::Value;

use super::{super::Appended, stream_codec};
use crate::{
    deadlines::BARRIER,
    redis::connection::{Fault, list, number},
    rooms::{Epoch, PARTITIONS, amendments::Refused},
};

/// Format of the metadata; a partition with another is refused.
pub(super) const FORMAT: u64 = 1;

/// What the append script said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// What became of each post.
    Written(Vec<Result<Appended, Unwritten>>),
    /// No epoch is open in this process.
    Adopt,
    /// A room's history continues in another segment than was named.
    Segment { room: usize, segment: u32 },
    /// The data set began with this epoch.
    Lost { born: u64 },
    /// The data that is open in this epoch contradicts itself: a part of it is missing.
    Broken { epoch: u64 },
    /// Others may give back what was lost; for so long at most.
    Hold(Duration),
}

/// Why one post of a group was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// Its room is new, and the partition has no place for another.
    NoPlace,
    /// It changes a message, and may not.
    Amendment(Refused),
}

/// What is open after the adopt script has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    pub epoch: u64,
    /// The end of the log when the epoch was opened, or now.
    pub offset: u64,
    /// The first epoch of the data: another one means that the data is another.
    pub born: u64,
}

/// Reads an answer of the append script to a group with this mark.
pub fn answer(value: Value, mark: u32) -> Result<Answer, Fault> {
    let values = list(value);
    let word = values.first().and_then(|word| word.as_str().map(|text| text.to_string())).unwrap_or_default();
    let at = |index: usize| values.get(index).and_then(number);
    let read = match word.as_str() {
        "OK" => at(1).zip(at(2)).zip(values.get(3)).and_then(|((epoch, time), answers)| {
            let answers = list(answers.clone());
            let read = answers.iter().map(|answer| appended(answer, epoch, time, mark));
            read.collect::<Option<_>>().map(Answer::Written)
        }),
        "ADOPT" => Some(Answer::Adopt),
        "SEGMENT" => at(1).zip(at(2)).and_then(|(room, segment)| {
            Some(Answer::Segment { room: (room as usize).checked_sub(1)?, segment: segment.try_into().ok()? })
        }),
        "LOST" => at(1).map(|born| Answer::Lost { born }),
        "BROKEN" => at(1).map(|epoch| Answer::Broken { epoch }),
        "HOLD" => at(1).map(|millis| Answer::Hold(Duration::from_millis(millis).min(BARRIER))),
        _ => None,
    };
    read.ok_or_else(|| refused(&word, values.get(1)))
}

/// Reads an answer of the adopt script.
pub fn adopted(value: Value) -> Result<Adopted, Fault> {
    let values = list(value);
    let word = values.first().and_then(|word| word.as_str().map(|text| text.to_string())).unwrap_or_default();
    let at = |index: usize| values.get(index).and_then(number);
    match at(1).zip(at(2)).zip(at(3)) {
        Some(((epoch, offset), born)) if word == "OK" => Ok(Adopted { epoch, offset, born }),
        _ => Err(refused(&word, values.get(1))),
    }
}

/// Reads an answer of the restore script: whether the room was given back.
pub fn restored(value: Value) -> Result<bool, Fault> {
    let values = list(value);
    let word = values.first().and_then(|word| word.as_str().map(|text| text.to_string())).unwrap_or_default();
    match values.get(1).and_then(number) {
        Some(given) if word == "OK" => Ok(given == 1),
        _ => Err(refused(&word, values.get(1))),
    }
}

pub(super) fn refused(word: &str, found: Option<&Value>) -> Fault {
    let found = found.and_then(|found| found.as_str().map(|text| text.to_string())).unwrap_or_default();
    match word {
        "FORMAT" => Fault::Unfit(format!("the data is of format {found}, this release reads {FORMAT}").into()),
        "PARTITIONS" => Fault::Unfit(format!("the data has {found} partitions, this release {PARTITIONS}").into()),
        "TRYAGAIN" => Fault::TryAgain,
        _ => Fault::Refused(format!("a script answered {word:?}").into()),
    }
}

/// One post's answer; the outer None is nonsense.
fn appended(value: &Value, epoch: u64, time: u64, mark: u32) -> Option<Result<Appended, Unwritten>> {
    if let Value::Integer(seq) = value {
        let Ok(seq) = u64::try_from(*seq) else { return Some(Err(unwritten(*seq)?)) };
        let appended = Appended { seq, epoch: Epoch(epoch), time, duplicate: false };
        return stream_codec::written(seq, time).then_some(Ok(appended));
    }
    let text = value.as_str()?;
    let mut parts = text.split(' ').map(str::parse);
    let mut next = || parts.next()?.ok();
    let (seq, epoch, time) = (next()?, Epoch(next()?), next()?);
    let duplicate = next() != Some(mark.into());
    stream_codec::written(seq, time).then_some(Ok(Appended { seq, epoch, time, duplicate }))
}

/// As the script numbers it.
fn unwritten(number: i64) -> Option<Unwritten> {
    Some(match number {
        -1 => Unwritten::NoPlace,
        -2 => Unwritten::Amendment(Refused::NotFound),
        -3 => Unwritten::Amendment(Refused::Forbidden),
        -4 => Unwritten::Amendment(Refused::Full),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: Vec<Value>) -> Value {
        Value::Array(values)
    }

    #[test]
    fn an_answer_tells_new_entries_from_duplicates_and_refusals() {
        let texts = ["2 7 900", "2 7 900 5", "2 7 900 6"].map(Value::from);
        let refusals = [-1_i64, -2, -3, -4].map(Value::from);
        let written = values([vec![4.into()], texts.into(), refusals.into()].concat());
        let answer = answer(values(vec!["OK".into(), "9".into(), "1000".into(), written]), 6).unwrap();
        let new = Appended { seq: 4, epoch: Epoch(9), time: 1000, duplicate: false };
        let known = Appended { seq: 2, epoch: Epoch(7), time: 900, duplicate: true };
        let own = Appended { duplicate: false, ..known };
        let refused = |refused| Err(Unwritten::Amendment(refused));
        let refusals =
            [Err(Unwritten::NoPlace), refused(Refused::NotFound), refused(Refused::Forbidden), refused(Refused::Full)];
        assert_eq!(answer, Answer::Written([&[Ok(new), Ok(known), Ok(known), Ok(own)][..], &refusals].concat()));
    }

    #[test]
    fn an_answer_may_ask_for_an_epoch_or_another_segment() {
        assert_eq!(answer(values(vec!["ADOPT".into()]), 0).unwrap(), Answer::Adopt);
        let segment = answer(values(vec!["SEGMENT".into(), 2.into(), 5.into()]), 0).unwrap();
        assert_eq!(segment, Answer::Segment { room: 1, segment: 5 });
        assert_eq!(answer(values(vec!["BROKEN".into(), "9".into()]), 0).unwrap(), Answer::Broken { epoch: 9 });
        assert_eq!(answer(values(vec!["LOST".into(), "77".into()]), 0).unwrap(), Answer::Lost { born: 77 });
        assert_eq!(answer(values(vec!["TRYAGAIN".into()]), 0), Err(Fault::TryAgain));
        for (millis, held) in [("1500", Duration::from_millis(1500)), ("9999999", BARRIER)] {
            assert_eq!(answer(values(vec!["HOLD".into(), millis.into()]), 0).unwrap(), Answer::Hold(held));
        }
    }

    #[test]
    fn data_of_another_release_is_unfit_and_nonsense_is_refused() {
        for word in ["FORMAT", "PARTITIONS"] {
            let value = values(vec![word.into(), "77".into()]);
            assert!(matches!(answer(value.clone(), 0), Err(Fault::Unfit(reason)) if reason.to_string().contains("77")));
            assert!(matches!(adopted(value), Err(Fault::Unfit(_))));
        }
        let written =
            |seq: i64, time: &str| values(vec!["OK".into(), "9".into(), time.into(), values(vec![seq.into()])]);
        for beyond_numbers in [written(1 << 53, "1000"), written(0, "1000"), written(4, "9007199254741000")] {
            assert!(matches!(answer(beyond_numbers, 0), Err(Fault::Refused(_))));
        }
        for value in [Value::Null, values(vec!["OK".into()]), values(vec!["SEGMENT".into(), 0.into(), 1.into()])] {
            assert!(matches!(answer(value, 0), Err(Fault::Refused(_))));
        }
    }
}
