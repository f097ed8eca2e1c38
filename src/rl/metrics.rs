//! What a training tells as it goes: `metrics.jsonl`, TensorBoard events with the same keys, and curves as pictures.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use prost::Message;
use serde_json::{Map, Value};

/// The numbers of one update, by key; in the order in which they are shown.
pub type Metrics = IndexMap<&'static str, f64>;

/// Writes the numbers of every update.
#[derive(Debug)]
pub struct Recorder {
    lines: PathBuf,
    events: File,
}

/// Name of the file of lines in a run's folder.
pub const LINES: &str = "metrics.jsonl";

impl Recorder {
    /// Goes on in the folder of a run after this many steps: what was written of later ones is dropped.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(folder: &Path, after: u64) -> io::Result<Recorder> {
        let lines = folder.join(LINES);
        let kept: String = read(folder)?.iter().filter(|row| row.0 <= after).map(|row| line(row.0, &row.1)).collect();
        crate::formats::write_atomically(&lines, |out| out.write_all(kept.as_bytes()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // TensorBoard reads all files of a folder whose names have this form, in order of name.
        let name = format!("events.out.tfevents.{}.{:020}.graphopt", now.as_secs(), after);
        let mut events = OpenOptions::new().create(true).append(true).open(folder.join(name))?;
        let version = Event { file_version: Some("brain.Event:2".to_owned()), ..Event::now() };
        events.write_all(&framed(&version.encode_to_vec()))?;
        Ok(Recorder { lines, events })
    }

    /// Writes the numbers after this many steps. Those that are not finite are left out.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&mut self, steps: u64, metrics: &Metrics) -> io::Result<()> {
        let row = metrics.iter().filter(|(_, value)| value.is_finite());
        let row: Map<String, Value> = row.map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let mut lines = OpenOptions::new().create(true).append(true).open(&self.lines)?;
        lines.write_all(line(steps, &row).as_bytes())?;
        let value = |(key, value): (&String, &Value)| {
            Some(SummaryValue { tag: Some(key.clone()), simple_value: Some(value.as_f64()? as f32) })
        };
        let summary = Summary { value: row.iter().filter_map(value).collect() };
        let event = Event { step: Some(steps as i64), summary: Some(summary), ..Event::now() };
        self.events.write_all(&framed(&event.encode_to_vec()))
    }
}

fn line(steps: u64, row: &Map<String, Value>) -> String {
    let mut all = Map::from_iter([("step".to_owned(), Value::from(steps))]);
    all.extend(row.clone());
    format!("{}\n", Value::Object(all))
}

/// The lines of a run: steps, and numbers by key. A line cut short, the last of a run that was killed, is left out.
///
/// # Errors
/// The file cannot be read.
pub fn read(folder: &Path) -> io::Result<Vec<(u64, Map<String, Value>)>> {
    let text = match fs::read_to_string(folder.join(LINES)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let row = |line: &str| {
        let mut row: Map<String, Value> = serde_json::from_str(line).ok()?;
        Some((row.shift_remove("step")?.as_u64()?, row))
    };
    Ok(text.lines().filter_map(row).collect())
}

/// A record of TensorBoard's files: length, data, each with its masked CRC-32C.
fn framed(data: &[u8]) -> Vec<u8> {
    let masked = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8);
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked(data).to_le_bytes());
    record
}

/// `tensorflow.Event`, as far as scalars need it.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, optional, tag = "2")]
    step: Option<i64>,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

impl Event {
    fn now() -> Event {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Event { wall_time: now.as_secs_f64(), ..Event::default() }
    }
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, optional, tag = "1")]
    tag: Option<String>,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_up_to_the_step_that_a_training_goes_on_from() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::open(dir.path(), 0).unwrap();
        for step in [10, 20, 30] {
            let metrics = Metrics::from([("losses/a", step as f64 / 4.0), ("losses/b", f64::NAN)]);
            recorder.write(step, &metrics).unwrap();
        }
        let mut recorder = Recorder::open(dir.path(), 20).unwrap();
        recorder.write(25, &Metrics::from([("losses/a", 1.0)])).unwrap();
        let rows = read(dir.path()).unwrap();
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [10, 20, 25]);
        assert_eq!(rows[0].1, Map::from_iter([("losses/a".to_owned(), Value::from(2.5))]));
        fs::write(dir.path().join(LINES), "{\"step\":1}\n{\"ste").unwrap();
        assert_eq!(read(dir.path()).unwrap().len(), 1);
    }

    #[test]
    #[allow(clippy::manual_rotate, reason = "the mask as TensorFlow defines it")]
    fn a_record_is_framed_as_tensorboard_reads_it() {
        // The CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4).
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let record = framed(b"abc");
        assert_eq!(record.len(), 8 + 4 + 3 + 4);
        assert_eq!(record[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
        let sum = crc32c::crc32c(&record[..8]);
        assert_eq!(record[8..12], ((sum >> 15 | sum << 17).wrapping_add(0xa282_ead8)).to_le_bytes());
    }
}
