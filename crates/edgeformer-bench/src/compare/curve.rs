use std::collections::BTreeMap;

use serde::Serialize;

use crate::device::DeviceRecord;
use crate::speed::{Case, Row, SpeedReport};
use crate::{Error, Result};

/// Tokens of a sequence at which devices are compared.
pub const LENGTHS: [usize; 5] = [128, 512, 1024, 2048, 4096];

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Tokens a second of a prompt of that length.
    Prefill,
    /// Tokens a second that are written behind so much context.
    Decode,
    /// The most bytes that the process had resident.
    Memory,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Prefill, Self::Decode, Self::Memory];

    /// A word for file names and headings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Memory => "memory",
        }
    }
}

/// What one device did with one model, over the length of a sequence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// What the device is called.
    pub device: String,
    /// Prompt tokens a second, by the prompt's length.
    pub prefill: BTreeMap<usize, f64>,
    /// Written tokens a second, by the context before them.
    pub decode: BTreeMap<usize, f64>,
    /// Bytes resident at most, by the length of the sequence.
    pub memory: BTreeMap<usize, u64>,
}

/// One model in one format, on several devices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The model.
    pub model: String,
    /// Format of most of its weights.
    pub format: String,
    /// Its curves; the first is what the others are compared with.
    pub curves: Vec<Curve>,
}

impl Curve {
    fn new(device: &str) -> Self {
        let (prefill, decode, memory) = Default::default();
        Self { device: device.into(), prefill, decode, memory }
    }

    /// A quantity at a length of [`LENGTHS`], if it was measured.
    pub fn at(&self, quantity: Quantity, length: usize) -> Option<f64> {
        match quantity {
            Quantity::Prefill => self.prefill.get(&length).copied(),
            Quantity::Decode => self.decode.get(&length).copied(),
            Quantity::Memory => self.memory.get(&length).map(|&bytes| bytes as f64),
        }
    }

    /// All points of a quantity, from short to long.
    pub fn points(&self, quantity: Quantity) -> Vec<(usize, f64)> {
        LENGTHS.into_iter().filter_map(|at| Some((at, self.at(quantity, at)?))).collect()
    }

    /// Takes a row over. Of several numbers of threads the fastest counts, for a device is asked
    /// what it can do.
    fn add(&mut self, row: &Row) {
        let (speeds, length) = match row.case {
            Case::Prefill { tokens, depth: 0 } => (&mut self.prefill, tokens),
            // A case without context ends at its own length.
            Case::Decode { tokens, depth: 0 } => (&mut self.decode, tokens),
            Case::Decode { depth, .. } => (&mut self.decode, depth),
            Case::Prefill { .. } | Case::EndToEnd { .. } => return,
        };
        if !LENGTHS.contains(&length) {
            return;
        }
        let speed = speeds.entry(length).or_insert(row.tokens_per_second);
        *speed = speed.max(row.tokens_per_second);
        if let Some(bytes) = row.peak_rss_bytes {
            let most = self.memory.entry(length).or_insert(bytes);
            *most = bytes.max(*most);
        }
    }

    fn is_empty(&self) -> bool {
        self.prefill.is_empty() && self.decode.is_empty()
    }
}

impl Comparison {
    /// Lays reports side by side, model by model, in the order in which they come.
    ///
    /// # Errors
    /// If no row is of a length at which devices are compared.
    pub fn of(reports: &[SpeedReport]) -> Result<Vec<Self>> {
        let mut comparisons: Vec<Self> = Vec::new();
        for (report, device) in reports.iter().zip(names(reports)) {
            for row in &report.rows {
                Self::of_model(&mut comparisons, row).curve(&device).add(row);
            }
        }
        for comparison in &mut comparisons {
            comparison.curves.retain(|curve| !curve.is_empty());
        }
        comparisons.retain(|comparison| !comparison.curves.is_empty());
        match comparisons.is_empty() {
            false => Ok(comparisons),
            true => Err(Error::Request(nothing_to_compare())),
        }
    }

    /// The comparison of a row's model, begun if it is the model's first row.
    fn of_model<'a>(comparisons: &'a mut Vec<Self>, row: &Row) -> &'a mut Self {
        let (model, format) = (&row.model, &row.format);
        let same = |known: &Self| known.model == *model && known.format == *format;
        let index = comparisons.iter().position(same).unwrap_or_else(|| {
            let (model, format) = (model.clone(), format.clone());
            comparisons.push(Self { model, format, curves: Vec::new() });
            comparisons.len() - 1
        });
        &mut comparisons[index]
    }

    fn curve(&mut self, device: &str) -> &mut Curve {
        let index = self.curves.iter().position(|curve| curve.device == device);
        let index = index.unwrap_or_else(|| {
            self.curves.push(Curve::new(device));
            self.curves.len() - 1
        });
        &mut self.curves[index]
    }
}

fn nothing_to_compare() -> String {
    let cases = LENGTHS.map(|length| format!("pp{length},tg32@d{length}")).join(",");
    format!("no row is of a length at which devices are compared: measure --cases {cases}")
}

/// What devices are called: those that share a name get what tells them apart behind it.
fn names(reports: &[SpeedReport]) -> Vec<String> {
    let mut known: Vec<(&DeviceRecord, String)> = Vec::new();
    reports
        .iter()
        .map(|report| {
            let device = &report.device;
            if let Some((_, name)) = known.iter().find(|(other, _)| same_device(other, device)) {
                return name.clone();
            }
            let plain = if device.emulated {
                format!("{} (emulated)", device.name)
            } else {
                device.name.clone()
            };
            let taken = |name: &str| known.iter().any(|(_, other)| other == name);
            let commit = device.commit.as_deref().unwrap_or("unknown");
            let candidates = [
                plain.clone(),
                format!("{plain}, {}", device.isa),
                format!("{plain}, {}, commit {commit}", device.isa),
            ];
            let numbered = (2..).map(|number| format!("{plain} #{number}"));
            let name = candidates.into_iter().chain(numbered).find(|name| !taken(name));
            let name = name.unwrap_or(plain);
            known.push((device, name.clone()));
            name
        })
        .collect()
}

/// Whether two records are of one device and build: its load before a run may differ.
fn same_device(a: &DeviceRecord, b: &DeviceRecord) -> bool {
    let without_load = |record: &DeviceRecord| DeviceRecord { load_before: None, ..record.clone() };
    without_load(a) == without_load(b)
}

#[cfg(test)]
impl Comparison {
    /// Two devices for tests: the second twice as fast, until it falls off.
    pub(super) fn made_up() -> Self {
        let curve = |device: &str, prefill: [f64; 5], decode: [f64; 5]| Curve {
            device: device.into(),
            prefill: LENGTHS.into_iter().zip(prefill).collect(),
            decode: LENGTHS.into_iter().zip(decode).collect(),
            memory: LENGTHS
                .into_iter()
                .map(|at| (at, (100 << 20) + (at as u64 * 20_480)))
                .collect(),
        };
        let slow =
            curve("Abacus", [100.0, 120.0, 118.0, 110.0, 100.0], [20.0, 19.5, 19.0, 18.0, 16.5]);
        let mut fast =
            curve("Slide rule", [200.0, 250.0, 240.0, 150.0, 60.0], [40.0, 38.0, 35.0, 28.0, 20.0]);
        fast.decode.remove(&4096);
        Self { model: "toy".into(), format: "q4_0".into(), curves: vec![slow, fast] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(device: DeviceRecord, rows: &[(Case, usize, f64)]) -> SpeedReport {
        let row = |&(case, threads, tokens_per_second): &(Case, usize, f64)| Row {
            case,
            threads,
            tokens_per_second,
            peak_rss_bytes: Some(threads as u64 * 1000),
            ..Row::made_up()
        };
        SpeedReport { device, rows: rows.iter().map(row).collect(), ..SpeedReport::made_up() }
    }

    fn prefill(tokens: usize) -> Case {
        Case::Prefill { tokens, depth: 0 }
    }

    #[test]
    fn the_fastest_number_of_threads_counts() {
        let rows = [
            (prefill(512), 1, 50.0),
            (prefill(512), 2, 90.0),
            (prefill(100), 2, 1.0),
            (Case::Decode { tokens: 32, depth: 4096 }, 1, 7.0),
            (Case::Decode { tokens: 128, depth: 0 }, 1, 9.0),
            (Case::Prefill { tokens: 512, depth: 128 }, 2, 1000.0),
            (Case::EndToEnd { prompt: 128, answer: 128 }, 2, 1000.0),
        ];
        let comparisons = Comparison::of(&[report(DeviceRecord::made_up(), &rows)]).unwrap();
        let [Comparison { curves, .. }] = comparisons.as_slice() else { panic!("{comparisons:?}") };
        assert_eq!(curves[0].points(Quantity::Prefill), [(512, 90.0)]);
        assert_eq!(curves[0].points(Quantity::Decode), [(128, 9.0), (4096, 7.0)]);
        assert_eq!(
            curves[0].points(Quantity::Memory),
            [(128, 1000.0), (512, 2000.0), (4096, 1000.0)]
        );
    }

    #[test]
    fn devices_of_one_name_are_told_apart() {
        let first = DeviceRecord::made_up();
        let later = DeviceRecord { load_before: None, ..first.clone() };
        let scalar = DeviceRecord { isa: "fingers".into(), ..first.clone() };
        let newer = DeviceRecord { commit: Some("def".into()), ..scalar.clone() };
        let emulated = DeviceRecord { emulated: true, ..first.clone() };
        let reports = [first, later, scalar, newer, emulated]
            .map(|device| report(device, &[(prefill(128), 1, 1.0)]));
        let curves = &Comparison::of(&reports).unwrap()[0].curves;
        let names: Vec<_> = curves.iter().map(|curve| curve.device.as_str()).collect();
        assert_eq!(
            names,
            ["Abacus", "Abacus, fingers", "Abacus, fingers, commit def", "Abacus (emulated)"]
        );
    }

    #[test]
    fn models_are_compared_each_on_its_own() {
        let mut reports =
            [1.0, 2.0].map(|speed| report(DeviceRecord::made_up(), &[(prefill(128), 1, speed)]));
        reports[1].rows[0].format = "q8_0".into();
        let comparisons = Comparison::of(&reports).unwrap();
        let formats: Vec<_> = comparisons.iter().map(|each| each.format.as_str()).collect();
        assert_eq!(formats, ["q4_0", "q8_0"]);
    }

    #[test]
    fn nothing_to_compare_is_told_with_what_to_measure() {
        for reports in [&[][..], &[report(DeviceRecord::made_up(), &[(prefill(100), 1, 1.0)])]] {
            let error = Comparison::of(reports).unwrap_err().to_string();
            assert!(error.contains("--cases pp128,tg32@d128,pp512"), "{error}");
        }
    }
}
